//! Simulated workflows: registration, an execution that goes through its phases, its objects in Kubernetes
//! and its log.
//!
//! Time is counted in looks: every look at an execution takes it one phase further.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::flyte::labels::{EXECUTION_ID, TERMINATED};
use crate::flyte::workflow;
use crate::rehearsal::faults::Workflow;
use crate::spec::Spec;

/// Registered entities and executions, by path.
#[derive(Debug, Default)]
pub struct Executions {
    /// The fault of every execution.
    pub trouble: Option<Workflow>,
    /// `METHOD path body` of the requests that create something, in order.
    pub posted: Vec<(String, Value)>,
    workflows: BTreeSet<String>,
    /// The specifications of launch plans, by `project/domain/name/version`.
    plans: BTreeMap<String, Value>,
    /// The number of reads so far, by `project/domain/name`.
    running: BTreeMap<String, usize>,
    /// The launch plan of each, by `project/domain/name`.
    launched: BTreeMap<String, String>,
    /// The objects in Kubernetes, as `namespace/name`.
    execution_objects: BTreeSet<String>,
    removed: Vec<String>,
}

type Answer = (StatusCode, Value);

fn refusal(status: StatusCode, message: &str) -> Answer {
    (status, json!({"error": message, "message": message, "code": 2}))
}

fn value_of<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn limit(query: &str) -> Option<usize> {
    value_of(query, "limit")?.parse().ok()
}

fn namespace_of(spec: &Spec, project: &str, domain: &str) -> Option<String> {
    let all = spec.workflow_namespaces();
    all.into_iter().find(|one| one.project == project && one.domain == domain).map(|one| one.name)
}

impl Executions {
    /// `namespace/name` of the FlyteWorkflows that were deleted.
    pub fn removed(&self) -> Vec<String> {
        self.removed.clone()
    }

    /// Admin's response, if the path is of an execution.
    pub fn admin(&mut self, spec: &Spec, method: &Method, path: &str, query: &str, body: &[u8]) -> Option<Answer> {
        let kind = path.strip_prefix("/api/v1/")?;
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if *method == Method::POST {
            self.posted.push((path.to_owned(), body.clone()));
        }
        let id_of = |body: &Value| {
            let part = |field: &str| body["id"][field].as_str().unwrap_or_default().to_owned();
            ["project", "domain", "name", "version"].map(part).join("/")
        };
        match (method.as_str(), kind.split('/').collect::<Vec<_>>().as_slice()) {
            // What kills the real one.
            ("POST", ["tasks"]) if body.pointer("/spec/template/metadata/runtime/version").is_none() => {
                Some(refusal(StatusCode::INTERNAL_SERVER_ERROR, "nil pointer"))
            }
            ("POST", ["tasks"]) => Some((StatusCode::OK, json!({}))),
            ("POST", ["launch_plans"]) => {
                self.plans.insert(id_of(&body), body["spec"].clone());
                Some((StatusCode::OK, json!({})))
            }
            ("GET", ["launch_plans", id @ ..]) => Some(match self.plans.get(&id.join("/")) {
                Some(spec) => {
                    let expected = spec.get("default_inputs").cloned().unwrap_or_else(|| json!({}));
                    (StatusCode::OK, json!({"spec": spec, "closure": {"expected_inputs": expected}}))
                }
                None => refusal(StatusCode::NOT_FOUND, "missing entity"),
            }),
            ("POST", ["workflows"]) => {
                self.workflows.insert(id_of(&body));
                Some((StatusCode::OK, json!({})))
            }
            // It has every phase already.
            ("POST", ["events", _]) => Some(refusal(StatusCode::CONFLICT, "This phase was already recorded")),
            ("GET", ["workflows", id @ ..]) => Some(match self.workflows.contains(&id.join("/")) {
                true => (StatusCode::OK, json!({"closure": {"compiled_workflow": {"primary": {}}}})),
                false => refusal(StatusCode::NOT_FOUND, "missing entity"),
            }),
            ("POST", ["executions"]) => {
                let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
                let (project, domain, name) = (text("project"), text("domain"), text("name"));
                let namespace = match &self.trouble {
                    Some(Workflow::Elsewhere(other)) => other.clone(),
                    _ => namespace_of(spec, &project, &domain)?,
                };
                self.execution_objects.insert(format!("{namespace}/{name}"));
                let plan = body.pointer("/spec/launch_plan/name").and_then(Value::as_str).unwrap_or_default();
                self.launched.insert(format!("{project}/{domain}/{name}"), plan.to_owned());
                self.running.insert(format!("{project}/{domain}/{name}"), 0);
                Some((StatusCode::OK, json!({"id": {"name": name}})))
            }
            ("GET", ["executions", project, domain]) => Some(self.list(&format!("{project}/{domain}/"), query)),
            ("GET", ["executions", id @ ..]) => Some(self.look(&id.join("/"))),
            ("GET", ["node_executions", id @ ..]) => Some(self.nodes(&id.join("/"), query)),
            ("GET", ["data", "executions", id @ ..]) => Some(match self.running.contains_key(&id.join("/")) {
                true => (StatusCode::OK, json!({"full_outputs": {"literals": {}}})),
                false => refusal(StatusCode::NOT_FOUND, "missing entity"),
            }),
            ("GET", ["task_executions", project, domain, name, "n0"]) => {
                let namespace = namespace_of(spec, project, domain)?;
                let link = match &self.trouble {
                    Some(Workflow::Link(link)) => link.clone(),
                    _ => format!(
                        "http://127.0.0.1:{}/#/log/{namespace}/{name}-n0-0/pod?namespace={namespace}",
                        spec.ports.dashboard
                    ),
                };
                Some((StatusCode::OK, json!({"task_executions": [{"closure": {"logs": [{"uri": link}]}}]})))
            }
            _ => None,
        }
    }

    fn look(&mut self, id: &str) -> Answer {
        let Some(looks) = self.running.get_mut(id) else { return refusal(StatusCode::NOT_FOUND, "missing entity") };
        *looks += 1;
        let looks = *looks;
        (StatusCode::OK, json!({"closure": self.closure(looks)}))
    }

    /// The phase of an execution that was looked at so many times, and why it failed.
    fn closure(&self, looks: usize) -> Value {
        match (&self.trouble, looks) {
            (Some(Workflow::Ignored), _) | (_, 0 | 1) => json!({}),
            (_, 2) => json!({"phase": "QUEUED"}),
            (Some(Workflow::Waits(..)), _) | (_, 3) => json!({"phase": "RUNNING"}),
            (Some(Workflow::Fails(code, message)), _) => {
                json!({"phase": "FAILED", "error": {"code": code, "message": message}})
            }
            _ => json!({"phase": "SUCCEEDED"}),
        }
    }

    /// The nodes of an execution: one, in its phase.
    fn nodes(&self, id: &str, query: &str) -> Answer {
        match self.running.get(id) {
            _ if limit(query).is_none() => refusal(StatusCode::BAD_REQUEST, "invalid value for limit"),
            None => refusal(StatusCode::NOT_FOUND, "missing entity"),
            Some(looks) => {
                let node = json!({"id": {"node_id": "n0"}, "closure": self.closure(*looks)});
                (StatusCode::OK, json!({"node_executions": [node]}))
            }
        }
    }

    /// The executions below `at`. As the real one, it refuses a list without a limit, and knows a filter by workflow.
    fn list(&self, at: &str, query: &str) -> Answer {
        let Some(limit) = limit(query) else {
            return refusal(StatusCode::BAD_REQUEST, "invalid value for limit");
        };
        let except =
            value_of(query, "filters").map(|filter| filter.strip_prefix("ne(workflow.name,")?.strip_suffix(')'));
        let except = match except {
            Some(None) => return refusal(StatusCode::BAD_REQUEST, "invalid value for filters"),
            Some(except) => except,
            None => None,
        };
        let listed = self.launched.iter().filter(|(id, plan)| id.starts_with(at) && except != Some(plan.as_str()));
        let one = |(id, plan): (&String, &String)| {
            let mut closure = self.closure(self.running.get(id).copied().unwrap_or_default());
            closure["workflow_id"] = json!({"name": plan});
            json!({"id": {"name": &id[at.len()..]}, "closure": closure})
        };
        let listed: Vec<_> = listed.take(limit).map(one).collect();
        (StatusCode::OK, json!({"executions": listed}))
    }

    /// The dashboard's response to a request for a log.
    pub fn log(&self, path: &str) -> Option<Answer> {
        let [namespace, pod, container] = path.strip_prefix("/api/v1/log/")?.split('/').collect::<Vec<_>>()[..] else {
            return None;
        };
        let name = pod.strip_suffix("-n0-0")?;
        if pod != container || !self.execution_objects.contains(&format!("{namespace}/{name}")) {
            return Some(refusal(StatusCode::NOT_FOUND, "pods not found"));
        }
        let line = if let Some(Workflow::Log(line)) = &self.trouble { line } else { "sandbox-smoke-ok" };
        Some((StatusCode::OK, json!({"logs": [{"content": line}]})))
    }

    /// The Kubernetes API's response about objects of executions.
    pub fn kubernetes(&mut self, spec: &Spec, method: &Method, path: &str, query: &str) -> Option<Answer> {
        let object = |namespace: &str, name: &str| {
            let own = self.running.iter().filter(|(id, _)| id.ends_with(&format!("/{name}")));
            let ended = own
                .map(|(_, looks)| self.closure(*looks))
                .any(|closure| matches!(closure["phase"].as_str(), Some("FAILED" | "SUCCEEDED")));
            let labels = if ended { json!({TERMINATED: "terminated"}) } else { json!({}) };
            json!({"apiVersion": workflow::API_VERSION, "kind": workflow::KIND,
                "metadata": {"namespace": namespace, "name": name, "labels": labels}})
        };
        if let Some(rest) = path.strip_prefix(&format!("/apis/{}/", workflow::API_VERSION)) {
            return Some(match rest.split('/').collect::<Vec<_>>()[..] {
                [workflow::PLURAL] => {
                    let found = self.execution_objects.iter().filter_map(|object| object.split_once('/'));
                    let found = found.filter(|(_, name)| query.contains(name));
                    let items: Vec<_> = found.map(|(namespace, name)| object(namespace, name)).collect();
                    (
                        StatusCode::OK,
                        json!({"kind": "FlyteWorkflowList", "apiVersion": workflow::API_VERSION, "metadata": {}, "items": items}),
                    )
                }
                ["namespaces", namespace, workflow::PLURAL, name] => {
                    let key = format!("{namespace}/{name}");
                    match (self.execution_objects.contains(&key), method.as_str()) {
                        // One that a user made is the API's own.
                        (false, _) => return None,
                        (true, "DELETE") => {
                            self.execution_objects.remove(&key);
                            self.removed.push(key);
                            (StatusCode::OK, json!({"kind": "Status", "status": "Success"}))
                        }
                        (true, _) => (StatusCode::OK, object(namespace, name)),
                    }
                }
                _ => return None,
            });
        }
        // What comes is told by the API's own watch, which knows no pod of an execution.
        if query.contains("watch=") {
            return None;
        }
        let within = match path {
            "/api/v1/pods" => None,
            _ => Some(path.strip_prefix("/api/v1/namespaces/")?.strip_suffix("/pods")?),
        };
        let mut namespaces: Vec<_> = spec.workflow_namespaces().into_iter().map(|ours| ours.name).collect();
        namespaces.retain(|ours| within.is_none_or(|within| within == ours));
        if namespaces.is_empty() {
            return None;
        }
        let running = namespaces.iter().flat_map(|namespace| self.running.iter().map(move |one| (namespace, one)));
        let items: Vec<_> =
            running.filter_map(|(namespace, (id, looks))| self.pod(spec, namespace, id, *looks)).collect();
        Some((StatusCode::OK, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})))
    }

    fn pod(&self, spec: &Spec, namespace: &str, id: &str, looks: usize) -> Option<Value> {
        let [project, domain, name] = id.split('/').collect::<Vec<_>>()[..] else { return None };
        let here =
            namespace_of(spec, project, domain)? == namespace && looks > 2 && self.trouble != Some(Workflow::Ignored);
        let status = match &self.trouble {
            Some(Workflow::Waits(reason, message)) => json!({"phase": "Pending", "containerStatuses": [{
                "name": "task", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message}},
            }]}),
            _ => json!({"phase": "Succeeded"}),
        };
        here.then(|| {
            let labels = json!({EXECUTION_ID: name});
            json!({"metadata": {"namespace": namespace, "name": format!("{name}-n0-0"), "labels": labels}, "status": status})
        })
    }
}
