//! A day's load at once: executions whose pods use all the processors they get. None fails by the sandbox, and admin answers
//! within two seconds throughout. `scripts/load` runs it; no other run does, since it needs a machine to itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::Scenario;
use super::data::{SYSTEM, in_node};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

/// Trials that a run without a filter leaves out.
pub(crate) const LOAD: Scenario = ("load_of_many_executions_at_once", load);

const EXECUTIONS: usize = 40;
const PODS: usize = 5;
/// As users know it: the longest that a page of the console may take.
const ANSWER: Duration = Duration::from_secs(2);
const ENDING: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_millis(200);
const TASK: &str = "load.task";
const WORKFLOW: &str = "load.wf";
/// About a second of one processor.
const COMMAND: &str = "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done";

/// Admin by the console's port, as users reach it, and the version of what is registered.
struct Admin {
    client: Client,
    at: String,
    version: String,
}

impl Admin {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = self.client.request(method, format!("{}/api/v1/{path}", self.at));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn id(&self, kind: &str, name: &str) -> Value {
        json!({"resource_type": kind, "project": "x", "domain": "d-dev", "name": name, "version": self.version})
    }

    /// Registers a workflow of some pods at once. Each asks for what a task does by default, and may have far more.
    async fn register(&self) {
        let none = json!({"inputs": {}, "outputs": {}});
        let resources = json!({
            "requests": [{"name": "CPU", "value": "100m"}, {"name": "MEMORY", "value": "100Mi"}],
            "limits": [{"name": "CPU", "value": "2"}, {"name": "MEMORY", "value": "200Mi"}]});
        let container =
            json!({"image": "postgres:10.16-alpine", "command": ["sh", "-c", COMMAND], "resources": resources});
        let metadata = json!({"runtime": {"type": "OTHER", "version": "0.0.0", "flavor": "sandbox"},
            "retries": {"retries": 0}});
        let task = json!({"type": "container", "metadata": metadata, "interface": none, "container": container});
        let reference = self.id("TASK", TASK);
        let nodes: Vec<_> = (0..PODS)
            .map(|at| {
                json!({"id": format!("n{at}"), "metadata": {"name": format!("t{at}"), "retries": {"retries": 0}},
                    "task_node": {"reference_id": reference}})
            })
            .collect();
        let workflow = json!({"interface": none, "metadata": {}, "nodes": nodes});
        let plan = json!({"workflow_id": self.id("WORKFLOW", WORKFLOW), "entity_metadata": {}, "default_inputs": {},
            "fixed_inputs": {}, "labels": {}, "annotations": {}});
        for (path, kind, name, spec) in [
            ("tasks", "TASK", TASK, json!({"template": task})),
            ("workflows", "WORKFLOW", WORKFLOW, json!({"template": workflow})),
            ("launch_plans", "LAUNCH_PLAN", WORKFLOW, plan),
        ] {
            self.ask(Method::POST, path, Some(json!({"id": self.id(kind, name), "spec": spec}))).await;
        }
    }

    async fn launch(&self, at: usize) {
        let spec = json!({"launch_plan": self.id("LAUNCH_PLAN", WORKFLOW), "metadata": {"mode": "MANUAL"},
            "disable_all": true});
        let name = format!("load{at}-{}", self.version);
        let execution = json!({"project": "x", "domain": "d-dev", "name": name, "inputs": {}, "spec": spec});
        self.ask(Method::POST, "executions", Some(execution)).await;
    }

    /// How many executions are in each phase.
    async fn phases(&self) -> BTreeMap<String, usize> {
        let filters = format!("eq(workflow.name,{WORKFLOW})%2Beq(workflow.version,{})", self.version);
        let listed = self.ask(Method::GET, &format!("executions/x/d-dev?limit=100&filters={filters}"), None).await;
        let mut phases = BTreeMap::new();
        for execution in listed["executions"].as_array().into_iter().flatten() {
            let phase = execution["closure"]["phase"].as_str().unwrap_or("UNDEFINED");
            *phases.entry(phase.to_owned()).or_insert(0) += 1;
        }
        phases
    }

    /// How long each look took, one after the other until all has ended.
    async fn looks(&self, ended: &AtomicBool) -> Vec<Duration> {
        let mut looks = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let began = Instant::now();
            self.ask(Method::GET, "executions/x/d-dev?limit=10", None).await;
            looks.push(began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        looks
    }
}

fn load() {
    let sandbox = Sandbox::new("load", &Ground::find(Wish::Real, Major::Five));
    assert!(sandbox.ground.is_real(), "only the real thing has processors to share");
    sandbox.up(&["--profile", "minimal", "--project", "x", "--engine", "docker"]).exits(0);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let admin = Admin {
        client: Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client"),
        at: format!("http://127.0.0.1:{}", sandbox.ports[0]),
        version: format!("v{clock:x}"),
    };
    let restarts = || {
        let path = "{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
        in_node(&sandbox, &format!("kubectl -n {SYSTEM} get pods -o jsonpath='{path}'"))
    };
    let before = restarts();
    let (ended, began) = (AtomicBool::new(false), Instant::now());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (phases, mut answers) = runtime.block_on(async {
        admin.register().await;
        let work = async {
            let mut answers = Vec::new();
            for at in 0..EXECUTIONS {
                let began = Instant::now();
                admin.launch(at).await;
                answers.push(began.elapsed());
            }
            let phases = loop {
                let phases = admin.phases().await;
                let over = |phase: &&String| ["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"].contains(&phase.as_str());
                if phases.iter().filter(|(phase, _)| over(phase)).map(|(_, count)| count).sum::<usize>() == EXECUTIONS {
                    break phases;
                }
                assert!(began.elapsed() < ENDING, "not over after {ENDING:?}: {phases:?}");
                tokio::time::sleep(PAUSE).await;
            };
            ended.store(true, Ordering::Relaxed);
            (phases, answers)
        };
        let ((phases, launches), looks) = tokio::join!(work, admin.looks(&ended));
        (phases, [launches, looks].concat())
    });
    answers.sort();
    let (most, nearly) = (answers[answers.len() - 1], answers[answers.len() * 95 / 100]);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{EXECUTIONS} executions of {PODS} pods in {:.0} s: {phases:?}", began.elapsed().as_secs_f64());
    println!("{} answers of admin: 95 % within {nearly:.2?}, all within {most:.2?}; load {load}", answers.len());
    assert_eq!(phases, BTreeMap::from([("SUCCEEDED".to_owned(), EXECUTIONS)]));
    assert_eq!(restarts(), before, "a component's container restarted");
    assert!(most <= ANSWER, "an answer took {most:.2?}");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
