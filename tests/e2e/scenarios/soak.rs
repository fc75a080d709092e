//! A sandbox with work in it, and one fault after another: nothing is lost, and every execution ends. `scripts/soak` runs
//! it, for as long as it is told and with a seed that it prints; no other run does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Scenario;
use super::data::{SYSTEM, contents, in_node, launch, sql};
use crate::support::docker::docker;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

/// Trials that a run without a filter leaves out.
pub(crate) const SOAK: Scenario = ("soak_of_random_faults_with_workflows_running", soak);

const MINUTES: &str = "SANDBOX_SOAK_MINUTES";
const SEED: &str = "SANDBOX_SOAK_SEED";
const COMPONENTS: [&str; 8] = [
    "postgres",
    "minio",
    "flyteadmin",
    "datacatalog",
    "flytepropeller",
    "flyteconsole",
    "gateway",
    "kubernetes-dashboard",
];
const UP: [&str; 6] = ["--profile", "minimal", "--project", "x", "--engine", "docker"];
/// Propellers abort what has no progress for long; what was cut off by a power cut is tried again before.
const ENDING: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);

/// What happens to a sandbox.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A component's pod is deleted.
    PodDeleted(&'static str),
    /// A component's pod is evicted, as by a node under pressure.
    PodEvicted(&'static str),
    /// A database's or store's process is killed.
    ProcessKilled(&'static str),
    /// `docker stop` of the node.
    NodeStopped,
    /// `docker kill` of the node.
    NodeKilled,
    /// `docker restart` of the node, as by a daemon that starts again.
    NodeRestarted,
    /// `sandbox stop`.
    Stopped,
    /// `sandbox stop --freeze`, for this long.
    Frozen(u64),
    /// `sandbox down --keep-data`.
    TakenDown,
}

impl Fault {
    fn all() -> Vec<Self> {
        let mut all: Vec<_> = COMPONENTS.into_iter().map(Self::PodDeleted).collect();
        all.extend(["postgres", "minio", "flyteadmin", "flytepropeller"].map(Self::PodEvicted));
        all.extend(["postgres", "minio"].map(Self::ProcessKilled));
        all.extend([Self::NodeStopped, Self::NodeKilled, Self::NodeRestarted, Self::Stopped]);
        all.extend([Self::Frozen(15), Self::Frozen(60), Self::TakenDown]);
        all
    }

    fn happen(self, sandbox: &Sandbox) {
        let node = sandbox.node();
        let pods = |component: &str| {
            let list = format!("kubectl -n {SYSTEM} get pods -l app.kubernetes.io/name={component} -o name");
            in_node(sandbox, &list).lines().map(|line| line.replace("pod/", "")).collect::<Vec<_>>()
        };
        match self {
            Self::PodDeleted(component) => {
                let delete = "delete pod --wait=false -l app.kubernetes.io/name=";
                in_node(sandbox, &format!("kubectl -n {SYSTEM} {delete}{component}"));
            }
            Self::PodEvicted(component) => {
                for pod in pods(component) {
                    let eviction = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction",
                        "metadata": {"name": pod, "namespace": SYSTEM}});
                    let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}/eviction");
                    in_node(sandbox, &format!("echo '{eviction}' | kubectl create --raw {path} -f -"));
                }
            }
            // The first of them is the parent of the others.
            Self::ProcessKilled(name) => {
                in_node(sandbox, &format!("kill -9 $(pidof {name} | tr ' ' '\\n' | sort -n | head -n 1)"));
            }
            Self::NodeStopped => drop(docker(&["stop", &node])),
            Self::NodeKilled => drop(docker(&["kill", &node])),
            Self::NodeRestarted => drop(docker(&["restart", "--time", "0", &node])),
            Self::Stopped => drop(sandbox.run(&["stop"]).exits(0)),
            Self::Frozen(seconds) => {
                sandbox.run(&["stop", "--freeze"]).exits(0);
                std::thread::sleep(Duration::from_secs(seconds));
            }
            Self::TakenDown => drop(sandbox.run(&["down", "--keep-data"]).exits(0)),
        }
    }
}

/// Numbers that only look random: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

fn soak() {
    let minutes = std::env::var(MINUTES).ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(30);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock);
    println!("{minutes} minutes; {SEED}={seed}");
    let sandbox = Sandbox::new("soak", &Ground::find(Wish::Real, Major::Five));
    assert!(sandbox.ground.is_real(), "only the real thing has something to lose");
    let mut dice = Dice(seed);
    sandbox.up(&UP).exits(0);
    let until = Instant::now() + Duration::from_secs(minutes * 60);
    let mut waiting = Fault::all();
    let mut launched = 0;
    println!("{:<34} {:>7} {:>6} {:>9}", "fault", "before", "after", "seconds");
    while Instant::now() < until {
        // Each once, in an order of the seed's, and then any.
        let fault = match waiting.len() {
            0 => Fault::all()[dice.below(Fault::all().len())],
            some => waiting.swap_remove(dice.below(some)),
        };
        for _ in 0..=dice.below(3) {
            launched += 1;
            launch(&sandbox, &format!("soak{seed}n{launched}"));
        }
        std::thread::sleep(Duration::from_millis(dice.below(3000) as u64));
        let before = lasting(&sandbox);
        fault.happen(&sandbox);
        let began = Instant::now();
        let halted = matches!(fault, Fault::NodeStopped | Fault::NodeKilled | Fault::Stopped | Fault::Frozen(_));
        match halted && dice.below(2) == 0 {
            true => drop(sandbox.run(&["start"]).exits(0)),
            false => drop(sandbox.up(&UP).exits(0)),
        }
        let seconds = began.elapsed().as_secs_f64();
        let after = lasting(&sandbox);
        println!("{:<34} {:>7} {:>6} {seconds:>9.1}", format!("{fault:?}"), before.len(), after.len());
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "{fault:?}: lost {lost:?}");
    }
    let phases = ended(&sandbox);
    println!("{launched} executions launched beside those of the checks; {phases}");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// What is there and stays: executions without their phase, and objects without their size.
fn lasting(sandbox: &Sandbox) -> BTreeSet<String> {
    let name = |one: String| {
        let words: Vec<&str> = one.split(' ').collect();
        match words[0] {
            "execution" | "object" => words[..2].join(" "),
            _ => one,
        }
    };
    contents(sandbox).into_iter().map(name).collect()
}

/// Waits until every execution has ended, and counts them by phase.
fn ended(sandbox: &Sandbox) -> String {
    const RUNNING: &str = "phase not in ('SUCCEEDED','FAILED','ABORTED','TIMED_OUT')";
    let began = Instant::now();
    loop {
        let running = sql(sandbox, &format!("select execution_name||' '||phase from executions where {RUNNING}"));
        if running.trim().is_empty() {
            let by_phase = sql(sandbox, "select phase||' '||count(*) from executions group by phase order by phase");
            return by_phase.lines().collect::<Vec<_>>().join(", ");
        }
        assert!(began.elapsed() < ENDING, "still running after {ENDING:?}: {running}");
        std::thread::sleep(PAUSE);
    }
}
