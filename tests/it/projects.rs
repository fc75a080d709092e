//! Projects that come and go, against a Kubernetes API in memory whose Deployments are ready at once, and an admin.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::kubernetes::{client, find};
use flyte_sandbox::lifecycle::{Removal, UnderWay, apply_prerequisites, roll_out};
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::{Difference, Plan};
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::spec::{CredentialSource, Keys, Ports, Resources, Secret, Spec};
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::minio::FakeMinio;
use crate::support::wait::until;
use flyte_sandbox::rehearsal::{Answer, ApiServer, Executions, Projects};

const ADMIN: &str = "/services/flyteadmin:http/proxy";
const SYSTEM_BUCKET: &str = "my-s3-bucket";
const NAMESPACE: &str = "103020-flytepoc-z-d-dev";
const WORKFLOW: &str = "/apis/flyte.lyft.com/v1alpha1/namespaces/103020-flytepoc-z-d-dev/flyteworkflows/running";

fn is_deleted(object: Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

struct World {
    api: ApiServer,
    admin: Arc<Mutex<Projects>>,
    executions: Arc<Mutex<Executions>>,
    minio: FakeMinio,
    client: Client,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let api = ApiServer::at(&listener.local_addr().expect("bound").to_string(), 21);
        let admin = Arc::new(Mutex::new(Projects::default()));
        let executions = Arc::new(Mutex::new(Executions::default()));
        let app = {
            let (api, admin, executions) = (api.clone(), Arc::clone(&admin), Arc::clone(&executions));
            Router::new().fallback(move |request: Request| {
                let (api, admin, executions) = (api.clone(), Arc::clone(&admin), Arc::clone(&executions));
                async move {
                    let at = request.uri().path().to_owned();
                    let Some((_, path)) = at.split_once(ADMIN) else {
                        let response = api.respond(request).await;
                        if at.contains("/deployments/") {
                            ready(&api, &at);
                        }
                        return response;
                    };
                    let (path, query) = (path.to_owned(), request.uri().query().unwrap_or_default().to_owned());
                    let (parts, body) = request.into_parts();
                    let body = to_bytes(body, 1 << 20).await.expect("a body");
                    let domains: Vec<_> = Spec::default().domains.into_iter().map(|domain| domain.id).collect();
                    let answer = admin.lock().expect("whole").answer(&parts.method, &path, &query, &body, &domains);
                    let answer = answer.or_else(|| {
                        let mut executions = executions.lock().expect("whole");
                        executions.admin(&Spec::default(), &parts.method, &path, &query, &body)
                    });
                    let (status, json) = answer.expect("about projects or executions");
                    (status, axum::Json(json)).into_response()
                }
            })
        };
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = client(&api.kubeconfig()).expect("a client");
        let minio = FakeMinio::start().await;
        // Minio's own pod makes it.
        minio.kept().buckets.insert(SYSTEM_BUCKET.to_owned());
        Self { api, admin, executions, minio, client }
    }

    fn admin(&self) -> MutexGuard<'_, Projects> {
        self.admin.lock().expect("whole")
    }

    /// Brings the projects about, and returns what was said.
    async fn bring(&self, projects: &[&str]) -> (Result<(), Failure>, Vec<Event>) {
        self.bring_about(self.plan(projects)).await
    }

    async fn bring_about(&self, plan: Plan) -> (Result<(), Failure>, Vec<Event>) {
        self.bring_with(plan, Removal::Empty).await
    }

    async fn bring_with(&self, plan: Plan, removal: Removal<'_>) -> (Result<(), Failure>, Vec<Event>) {
        let (report, mut events) = Reporter::channel();
        let deadline = Deadline::after(Duration::from_secs(60));
        let run = Run { report, deadline, cancel: CancellationToken::new() };
        let done = async {
            let before = apply_prerequisites(&self.client, &plan, &run).await?;
            roll_out(&self.client, &plan, before, removal, UnderWay::nothing(), &run).await
        };
        let done = done.await;
        let said = std::iter::from_fn(|| events.try_recv().ok()).collect();
        (done, said)
    }

    /// An execution that a user launched.
    fn execute(&self, project: &str) {
        let spec = self.spec(&["x", "z"]);
        let body = json!({"project": project, "domain": "d-dev", "name": "mine",
            "spec": {"launch_plan": {"name": "of.the.user"}}});
        let mut executions = self.executions.lock().expect("whole");
        let answer = executions.admin(&spec, &Method::POST, "/api/v1/executions", "", body.to_string().as_bytes());
        assert_eq!(answer.expect("of executions").0, StatusCode::OK);
    }

    fn warnings(events: &[Event]) -> Vec<String> {
        let warned = events.iter().filter_map(|event| match event {
            Event::Warning { message } => Some(message.clone()),
            _ => None,
        });
        warned.collect()
    }

    fn plan(&self, projects: &[&str]) -> Plan {
        planned(self.spec(projects))
    }

    fn spec(&self, projects: &[&str]) -> Spec {
        let projects = projects.iter().map(ToString::to_string).collect();
        let ports = Ports { minio: self.minio.port, ..Spec::default().ports };
        Spec { projects, ports, ..Spec::default() }
    }

    fn names(&self) -> BTreeSet<String> {
        let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        self.api.objects().iter().map(name).collect()
    }
}

fn planned(spec: Spec) -> Plan {
    let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
    Plan::new(spec, rendered).expect("a plan")
}

/// The work of Kubernetes' controllers, done at once.
fn ready(api: &ApiServer, path: &str) {
    api.edit(path, |deployment| {
        let seen = deployment["metadata"]["generation"].clone();
        deployment["status"] =
            json!({"observedGeneration": seen, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    });
}

fn running() -> Value {
    json!({"apiVersion": "flyte.lyft.com/v1alpha1", "kind": "FlyteWorkflow",
        "metadata": {"name": "running", "namespace": NAMESPACE, "finalizers": ["flyte-finalizer"]}})
}

fn applied(events: &[Event], wanted: &str) -> Vec<String> {
    let told = events.iter().filter_map(|event| match event {
        Event::Applied { object, change } => Some((object.clone(), format!("{change:?}"))),
        _ => None,
    });
    told.filter(|(_, change)| change == wanted).map(|(object, _)| object).collect()
}

fn said(events: &[Event]) -> String {
    events.iter().map(|event| format!("{event:?}\n")).collect()
}

#[tokio::test]
async fn a_project_comes_and_goes_and_the_others_stay_as_they_are() {
    let world = World::start().await;
    world.bring(&["x", "y"]).await.0.expect("brought up");
    assert_eq!(world.admin().ids(true), ["x", "y"]);
    let before = world.names();

    let (done, events) = world.bring(&["x", "y", "z"]).await;
    done.expect("added");
    assert_eq!(world.admin().ids(true), ["x", "y", "z"]);
    let bucket = |project: &str| format!("my-s3-bucket-{project}");
    assert_eq!(Vec::from_iter(&world.minio.kept().users), [&bucket("x"), &bucket("y"), &bucket("z")]);
    assert_eq!(applied(&events, "Changed"), ["configmap 103020-flytepoc-dev/kubernetes-dashboard-settings"]);
    let inventory = find(&world.client).await.expect("readable").expect("kept");
    assert_eq!(inventory.spec.projects, ["x", "y", "z"]);
    let wanted = world.plan(&["x", "y", "z"]);
    assert!(Difference::between(&inventory.spec, &inventory.objects, &wanted).is_empty());

    let (done, events) = world.bring(&["x", "y"]).await;
    done.expect("removed");
    assert_eq!(world.admin().ids(true), ["x", "y"]);
    assert_eq!(world.admin().ids(false), ["z"]);
    assert_eq!(Vec::from_iter(&world.minio.kept().buckets), [SYSTEM_BUCKET, &bucket("x"), &bucket("y")]);
    assert!(applied(&events, "Pruned").iter().all(|object| object.contains("-z")), "{}", said(&events));
    assert_eq!(world.names(), before);

    world.bring(&["x", "y", "z"]).await.0.expect("back again");
    assert_eq!(world.admin().ids(true), ["x", "y", "z"]);
}

#[tokio::test]
async fn keys_that_somebody_issues_reach_the_store_the_secret_and_the_propellers_of_their_project() {
    let world = World::start().await;
    let with_keys = |access: &str| {
        let mut spec = world.spec(&["x", "y"]);
        spec.storage.credentials = Some(CredentialSource::File("/{project}".to_owned()));
        let keys =
            |of: &str| Keys { access_key: of.to_owned(), secret_key: Secret::new("issued-to-x"), expires_at: None };
        spec.storage.issued = [("x".to_owned(), keys(access)), ("y".to_owned(), keys("of-y"))].into();
        planned(spec)
    };
    world.bring_about(with_keys("first")).await.0.expect("brought up");
    let (done, events) = world.bring_about(with_keys("second")).await;
    done.expect("renewed");
    assert_eq!(Vec::from_iter(&world.minio.kept().users), ["first", "of-y", "second"]);
    let secret = world.api.get("/api/v1/namespaces/103020-flytepoc-dev/secrets/flyte-storage-x").expect("there");
    assert_eq!(secret["data"]["accessKey"], "c2Vjb25k", "second, in base64");
    let propeller = |domain: &str| format!("deployment 103020-flytepoc-dev/flytepropeller-x-{domain}");
    let mut changed = applied(&events, "Changed");
    changed.sort();
    let propellers = ["d-dev", "p-dev", "t-dev"].map(propeller);
    assert_eq!(changed, [&propellers[..], &["secret 103020-flytepoc-dev/flyte-storage-x".to_owned()]].concat());
    let kept = find(&world.client).await.expect("readable").expect("kept").spec;
    assert_eq!(kept.storage.keys_of("x").expect("issued").access_key, "second");
}

#[tokio::test]
async fn keys_that_somebody_issues_reach_the_secrets_of_task_pods_and_the_programs_keep_theirs() {
    let world = World::start().await;
    let with_keys = |access: &str| {
        let mut spec = Spec { flyte: Release::of("1.16").expect("a release"), ..world.spec(&["x"]) };
        spec.storage.credentials = Some(CredentialSource::File("/{project}".to_owned()));
        let keys = Keys { access_key: access.to_owned(), secret_key: Secret::new("issued-to-x"), expires_at: None };
        spec.storage.issued = [("x".to_owned(), keys)].into();
        planned(spec)
    };
    world.bring_about(with_keys("first")).await.0.expect("brought up");
    let (done, events) = world.bring_about(with_keys("second")).await;
    done.expect("renewed");
    assert_eq!(Vec::from_iter(&world.minio.kept().users), ["datacatalog", "first", "flyteadmin", "second"]);
    for domain in ["d-dev", "t-dev", "p-dev"] {
        let namespace = format!("103020-flytepoc-x-{domain}");
        let secret = world.api.get(&format!("/api/v1/namespaces/{namespace}/secrets/flyte-storage")).expect("there");
        assert_eq!(secret["data"]["FLYTE_AWS_ACCESS_KEY_ID"], "c2Vjb25k", "second, in base64");
    }
    let changed = applied(&events, "Changed");
    assert!(changed.iter().all(|object| object.contains("propeller-x-") || object.contains("storage")), "{changed:?}");
}

#[tokio::test]
async fn what_runs_in_a_project_ends_by_its_propeller_before_its_namespace_goes() {
    let world = World::start().await;
    world.bring(&["x", "z"]).await.0.expect("brought up");
    world.api.put(running());
    let (api, propeller) =
        (world.api.clone(), "/apis/apps/v1/namespaces/103020-flytepoc-dev/deployments/flytepropeller-z-d-dev");
    let aborting = tokio::spawn(async move {
        until("the workflow is deleted", || api.get(WORKFLOW).is_some_and(is_deleted)).await;
        let was_there = api.get(propeller).is_some();
        api.edit(WORKFLOW, |workflow| workflow["metadata"]["finalizers"] = Value::Null);
        was_there
    });
    let (done, events) = world.bring(&["x"]).await;
    done.expect("removed");
    assert!(aborting.await.expect("it ended"), "the propeller was gone before its workflow");
    assert!(said(&events).contains("1 workflows end"), "{}", said(&events));
    assert_eq!(world.api.get(&format!("/api/v1/namespaces/{NAMESPACE}")), None);
}

#[tokio::test]
async fn a_workflow_that_comes_late_does_not_hold_its_namespace() {
    let world = World::start().await;
    world.bring(&["x", "z"]).await.0.expect("brought up");
    let api = world.api.clone();
    let late = tokio::spawn(async move {
        let drained = format!("GET {}", WORKFLOW.trim_end_matches("/running"));
        until("the workflows are looked for", || api.requests().contains(&drained)).await;
        api.put(running());
    });
    world.bring(&["x"]).await.0.expect("removed");
    late.await.expect("it came");
    assert_eq!(world.api.get(&format!("/api/v1/namespaces/{NAMESPACE}")), None);
    assert_eq!(world.api.get(WORKFLOW), None);
}

#[tokio::test]
async fn an_admin_that_refuses_is_told_in_its_words_and_nothing_is_pruned() {
    let world = World::start().await;
    world.bring(&["x", "z"]).await.0.expect("brought up");
    world.admin().refuse("pq: the database system is shutting down");
    let failure = world.bring(&["x"]).await.0.expect_err("refused");
    assert_eq!(failure.reason, Reason::Registration);
    assert_eq!(failure.causes, ["pq: the database system is shutting down"]);
    assert!(world.api.get(&format!("/api/v1/namespaces/{NAMESPACE}")).is_some());
}

#[tokio::test]
async fn what_a_run_that_was_cut_short_had_in_hand_is_seen_to_differ_and_is_done_by_the_next() {
    let world = World::start().await;
    world.bring(&["x"]).await.0.expect("brought up");
    world.api.fail(
        "PATCH /apis/apps/v1/namespaces/103020-flytepoc-dev/deployments/flytepropeller-z-d-dev",
        1,
        Answer::status(422, "no"),
    );
    world.bring(&["x", "z"]).await.0.expect_err("refused half way");
    let cut = find(&world.client).await.expect("readable").expect("kept");
    assert_eq!((cut.digest, cut.spec.projects.len()), (None, 2));
    let plan = world.plan(&["x", "z"]);
    let differs = Difference::between(&cut.spec, &cut.objects, &plan);
    assert!(differs.changed.iter().any(|object| object.name == "flytepropeller-z-d-dev"), "{differs:?}");
    assert!(differs.changed.iter().all(|object| object.name != "flyteadmin"), "{differs:?}");
    world.bring(&["x", "z"]).await.0.expect("done by the next");
    assert_eq!(world.admin().ids(true), ["x", "z"]);
}

#[tokio::test]
async fn workflows_of_all_namespaces_that_leave_end_side_by_side() {
    let world = World::start().await;
    world.bring(&["x", "z"]).await.0.expect("brought about");
    // Nobody ends the first one; each of the others ends as soon as it is told to.
    let at = |domain: &str, name: &str| {
        format!("/apis/flyte.lyft.com/v1alpha1/namespaces/103020-flytepoc-z-{domain}/flyteworkflows/{name}")
    };
    for (domain, name) in [("d-dev", "stays"), ("p-dev", "ends"), ("t-dev", "ends")] {
        world.api.put(json!({"apiVersion": "flyte.lyft.com/v1alpha1", "kind": "FlyteWorkflow", "metadata": {
            "name": name, "namespace": format!("103020-flytepoc-z-{domain}"), "finalizers": ["flyte-finalizer"]}}));
    }
    let propellers = async {
        for domain in ["p-dev", "t-dev"] {
            let path = at(domain, "ends");
            until("the workflow is deleted", || world.api.get(&path).is_none_or(is_deleted)).await;
            world.api.edit(&path, |found| found["metadata"]["finalizers"] = json!([]));
        }
    };
    let plan = world.plan(&["x"]);
    let ((done, events), ()) = tokio::join!(world.bring_about(plan), propellers);
    done.expect("brought about");
    let warnings: Vec<_> = events.iter().filter(|event| matches!(event, Event::Warning { .. })).collect();
    let warned = said(&events);
    assert!(warned.contains("no propeller ends stays of 103020-flytepoc-z-d-dev"), "{warnings:?}");
    assert!(!warned.contains("no propeller ends ends"), "{warnings:?}");
}

/// A new cluster on the data of an earlier one, as after `down --keep-data`: admin and the object store know what no
/// inventory does.
#[tokio::test]
async fn a_project_of_kept_data_that_the_spec_lacks_keeps_its_data_and_is_told() {
    let world = World::start().await;
    world.bring(&["x", "empty", "z"]).await.0.expect("brought up");
    world.execute("z");
    world.api.remove("/api/v1/namespaces/103020-flytepoc-dev/secrets/sandbox-inventory");
    let bucket = |project: &str| format!("my-s3-bucket-{project}");

    let (done, events) = world.bring(&["x"]).await;
    done.expect("brought up");
    assert_eq!(world.admin().ids(true), ["x", "z"]);
    assert_eq!(Vec::from_iter(&world.minio.kept().buckets), [SYSTEM_BUCKET, &bucket("x"), &bucket("z")]);
    let told = World::warnings(&events);
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["project z", "1 execution", "--prune-projects", "project remove z", "project add z"] {
        assert!(told[0].contains(words), "{told:?} without {words}");
    }

    let plan = world.plan(&["x"]);
    world.bring_with(plan.clone(), Removal::Named("other")).await.0.expect("as it is");
    assert_eq!(world.admin().ids(true), ["x", "z"]);
    let (done, events) = world.bring_with(plan, Removal::All).await;
    done.expect("pruned");
    assert_eq!((world.admin().ids(true), World::warnings(&events)), (vec!["x".to_owned()], vec![]));
    assert_eq!(Vec::from_iter(&world.minio.kept().buckets), [SYSTEM_BUCKET, &bucket("x")]);
}

#[tokio::test]
async fn a_bucket_of_a_project_that_admin_never_had_stays() {
    let world = World::start().await;
    world.bring(&["x"]).await.0.expect("brought up");
    let stray = "my-s3-bucket-stray".to_owned();
    world.minio.kept().buckets.insert(stray.clone());
    world.minio.kept().groups.entry(stray.clone()).or_default();
    world.bring(&["x"]).await.0.expect("as it is");
    assert!(world.minio.kept().buckets.contains(&stray));
}

#[tokio::test]
async fn what_tasks_of_one_project_get_is_told_to_admin_and_taken_back_with_the_spec() {
    let world = World::start().await;
    let told = || {
        let listed = world.admin().answer(&Method::GET, "/api/v1/matchable_attributes", "", b"", &[]);
        let (_, listed) = listed.expect("admin's");
        let all = listed["configurations"].as_array().expect("a list").clone();
        let line = |one: &Value| {
            let memory = &one["attributes"]["task_resource_attributes"]["defaults"]["memory"];
            format!("{}/{} {memory}", one["project"], one["domain"]).replace('"', "")
        };
        all.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    let mut spec = world.spec(&["x", "z"]);
    let resources = Resources { memory: Some("1Gi".to_owned()), ..Resources::default() };
    spec.tasks.projects.insert("z".to_owned(), resources);
    world.bring_about(planned(spec.clone())).await.0.expect("all ready");
    assert_eq!(told(), "z/d-dev 1Gi, z/p-dev 1Gi, z/t-dev 1Gi");
    world.bring_about(planned(spec)).await.0.expect("all ready");
    world.bring(&["x", "z"]).await.0.expect("all ready");
    assert_eq!(told(), "");
}
