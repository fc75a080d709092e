//! Simulated controllers, scheduler and kubelet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{ApiServer, overlay};
use super::faults::PodFault;
use super::flyte;
use crate::flyte::{labels, names};
use crate::manifest::ImageRef;

/// The time from a pod's creation to its readiness.
const START: Duration = Duration::from_millis(150);
/// The log of every container, besides that of a fault.
const CONTAINER_LOG: &str = "REHEARSAL: this container is simulated, and does nothing\n";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The state between two reconciliations.
#[derive(Debug, Default)]
pub(super) struct Controllers {
    born: BTreeMap<String, Instant>,
}

/// A Deployment, and the names of its ReplicaSet and pod.
struct Deployed<'a> {
    object: &'a Value,
    namespace: &'a str,
    name: &'a str,
    hash: String,
}

impl<'a> Deployed<'a> {
    fn of(object: &'a Value) -> Option<Self> {
        let text = |key: &str| object["metadata"][key].as_str();
        let (namespace, name) = (text("namespace")?, text("name")?);
        let mut hasher = DefaultHasher::new();
        object["spec"]["template"].to_string().hash(&mut hasher);
        Some(Self { object, namespace, name, hash: format!("{:08x}", hasher.finish() >> 32) })
    }

    fn set(&self) -> String {
        format!("{}-{}", self.name, self.hash)
    }

    fn pod(&self) -> String {
        format!("{}-0", self.set())
    }

    fn path(&self, root: &str, plural: &str, name: &str) -> String {
        format!("/{root}/namespaces/{}/{plural}/{name}", self.namespace)
    }

    fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let spec = &self.object["spec"]["template"]["spec"];
        ["initContainers", "containers"].into_iter().flat_map(|key| spec[key].as_array().into_iter().flatten())
    }

    fn images(&self) -> impl Iterator<Item = ImageRef> {
        self.containers().filter_map(|container| container["image"].as_str()?.parse().ok())
    }
}

impl Controllers {
    /// One reconciliation. Without `images` every image counts as in the node.
    pub(super) fn reconcile(
        &mut self,
        api: &ApiServer,
        images: Option<&BTreeMap<String, String>>,
        faults: &BTreeMap<String, PodFault>,
    ) {
        let objects = api.objects();
        let open = objects.iter().any(|object| {
            object["kind"] == "Node" && object["spec"]["taints"].as_array().is_none_or(std::vec::Vec::is_empty)
        });
        let lacks = |image: &ImageRef| images.is_some_and(|images| !images.contains_key(&image.canonical()));
        let mut alive = BTreeSet::new();
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match object["kind"].as_str() {
                Some("Namespace") => account(api, name),
                Some("Job") => complete(api, object, name),
                Some("Deployment") => {
                    let Some(deployed) = Deployed::of(object) else { continue };
                    alive.extend([deployed.set(), deployed.pod()].map(|name| format!("{}/{name}", deployed.namespace)));
                    let missing = deployed.images().find(&lacks);
                    self.deploy(api, &deployed, open, missing, faults.get(deployed.name));
                }
                _ => {}
            }
        }
        for object in &objects {
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
            let plural = match object["kind"].as_str() {
                Some("ReplicaSet") => "apis/apps/v1/namespaces/NAMESPACE/replicasets",
                Some("Pod") => "api/v1/namespaces/NAMESPACE/pods",
                _ => continue,
            };
            if !alive.contains(&format!("{}/{}", text("namespace"), text("name"))) {
                api.remove(&format!("/{}/{}", plural.replace("NAMESPACE", text("namespace")), text("name")));
            }
        }
        hold_locks(api, &objects);
    }

    fn deploy(
        &mut self,
        api: &ApiServer,
        deployed: &Deployed<'_>,
        open: bool,
        missing: Option<ImageRef>,
        fault: Option<&PodFault>,
    ) {
        let key = format!("{}/{}", deployed.namespace, deployed.pod());
        if !open && !self.born.contains_key(&key) {
            return;
        }
        let lived = self.born.entry(key).or_insert_with(Instant::now).elapsed();
        let ready = missing.is_none() && lived >= START && fault.is_none();
        let (object, template) = (deployed.object, &deployed.object["spec"]["template"]);
        if object["spec"]["replicas"] == 0 {
            let seen = object["metadata"]["generation"].clone();
            let name = deployed.path("apis/apps/v1", "deployments", deployed.name);
            api.edit(&name, |deployment| {
                deployment["status"] = json!({"observedGeneration": seen, "replicas": 0, "availableReplicas": 0});
            });
            return;
        }
        let misplaced = misplaced(&template["spec"]);
        let ready = ready && misplaced.is_none();
        let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
        let (set, pod) = (deployed.set(), deployed.pod());
        let set_uid = format!("uid-of-{}-{set}", deployed.namespace);
        let path = deployed.path("api/v1", "pods", &pod);
        if api.get(&path).is_none() {
            api.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
                "name": set, "namespace": deployed.namespace, "uid": set_uid, "annotations": {REVISION: "1"},
                "labels": template["metadata"]["labels"],
                "ownerReferences": owner("Deployment", deployed.name, object["metadata"]["uid"].as_str().unwrap_or_default())}}));
            api.put(json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {
                "name": pod, "namespace": deployed.namespace, "labels": template["metadata"]["labels"],
                "ownerReferences": owner("ReplicaSet", &set, &set_uid)}}));
            // One that is to fail says no more than its fault has it say.
            for container in deployed.containers().filter(|_| fault.is_none()) {
                api.log(&pod, container["name"].as_str().unwrap_or_default(), false, CONTAINER_LOG);
            }
        }
        let state = match (&missing, ready) {
            (Some(image), _) => {
                json!({"waiting": {"reason": "ErrImagePull", "message": format!("{image} is not in the node")}})
            }
            (None, false) if fault.is_some() => json!({}),
            (None, false) => json!({"waiting": {"reason": "ContainerCreating"}}),
            (None, true) => json!({"running": {}}),
        };
        let containers = template["spec"]["containers"].as_array().into_iter().flatten();
        let statuses: Vec<_> = containers
            .map(|container| overlaid(json!({"name": container["name"], "ready": ready, "restartCount": 0, "state": state, "image": container["image"], "imageID": ""}),
                fault.map(|fault| &fault.container)))
            .collect();
        let phase = if ready { "Running" } else { "Pending" };
        let condition =
            |kind: &str, status: bool| json!({"type": kind, "status": if status { "True" } else { "False" }});
        api.edit(&path, |pod| {
            let mut status = json!({"phase": phase, "containerStatuses": statuses,
                "conditions": [condition("PodScheduled", misplaced.is_none()), condition("Ready", ready)]});
            if let Some(why) = misplaced {
                status = json!({"phase": phase, "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}]});
            }
            pod["status"] = overlaid(status, fault.map(|fault| &fault.status));
            let init = template["spec"]["initContainers"][0]["name"].clone();
            if let Some(fault) = fault.filter(|fault| !fault.init.is_null() && !init.is_null()) {
                let status = json!({"name": init, "ready": false, "restartCount": 0, "image": "", "imageID": ""});
                pod["status"]["initContainerStatuses"] = json!([overlaid(status, Some(&fault.init))]);
            }
        });
        if let Some(fault) = fault {
            log_and_event(api, deployed, fault);
        }
        let (name, count) = (deployed.path("apis/apps/v1", "deployments", deployed.name), u64::from(ready));
        let seen = object["metadata"]["generation"].clone();
        api.edit(&name, |deployment| {
            deployment["metadata"]["annotations"][REVISION] = "1".into();
            deployment["status"] = json!({"observedGeneration": seen, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": count, "availableReplicas": count,
                "conditions": [condition("Available", ready), condition("Progressing", true)]});
        });
    }
}

/// Why no node takes a pod, where its own rules forbid it: the simulated node has no labels but its system's, and nothing
/// binds a claim.
fn misplaced(pod: &Value) -> Option<&'static str> {
    let elsewhere =
        |selector: &Value| selector.as_object().is_some_and(|all| all.keys().any(|key| key != "kubernetes.io/os"));
    let required = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    if elsewhere(&pod["nodeSelector"]) || pod.pointer(required).is_some() {
        return Some("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let claims = volumes.into_iter().any(|volume| volume.get("persistentVolumeClaim").is_some());
    claims.then_some("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
}

fn overlaid(mut status: Value, fault: Option<&Value>) -> Value {
    if let Some(fault) = fault.filter(|fault| !fault.is_null()) {
        overlay(&mut status, fault);
    }
    status
}

/// Writes a faulty pod's log and event, once.
fn log_and_event(api: &ApiServer, deployed: &Deployed<'_>, fault: &PodFault) {
    let (pod, spec) = (deployed.pod(), &deployed.object["spec"]["template"]["spec"]);
    let first = if fault.init.is_null() { "containers" } else { "initContainers" };
    if let Some(container) = spec[first][0]["name"].as_str().filter(|_| !fault.log.is_empty()) {
        for previous in [true, false] {
            api.log(&pod, container, previous, &fault.log);
        }
    }
    let Some((reason, message)) = &fault.event else { return };
    let name = format!("{pod}.1");
    if api.get(&deployed.path("api/v1", "events", &name)).is_none() {
        let uid = api.get(&deployed.path("api/v1", "pods", &pod)).map(|pod| pod["metadata"]["uid"].clone());
        api.put(json!({"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message,
            "metadata": {"name": name, "namespace": deployed.namespace}, "lastTimestamp": "2021-06-01T00:00:00Z",
            "involvedObject": {"kind": "Pod", "namespace": deployed.namespace, "name": pod, "uid": uid}}));
    }
}

/// Ends a Job, as one that has nothing against it does.
fn complete(api: &ApiServer, job: &Value, name: &str) {
    let namespace = job["metadata"]["namespace"].as_str().unwrap_or_default();
    api.edit(&format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}"), |job| {
        job["status"] = json!({"succeeded": job["spec"]["completions"].as_u64().unwrap_or(1),
            "conditions": [{"type": "Complete", "status": "True"}]});
    });
}

fn account(api: &ApiServer, namespace: &str) {
    if api.get(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/default")).is_none() {
        api.put(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}));
    }
}

/// Lets every running propeller hold its leader lock.
fn hold_locks(api: &ApiServer, objects: &[Value]) {
    let Some(spec) = flyte::spec(&objects.iter().collect::<Vec<_>>()) else { return };
    let system = spec.system_namespace();
    for namespace in spec.workflow_namespaces() {
        let runs = |object: &&Value| {
            object["kind"] == "Pod"
                && object["metadata"]["labels"][labels::WORKFLOW_NAMESPACE] == namespace.name
                && object["status"]["phase"] == "Running"
        };
        let Some(pod) = objects.iter().find(runs) else { continue };
        let lock = names::propeller_lock(&namespace);
        let election = spec.flyte.facts().election;
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let at = match election.group() {
            "" => "/api/v1".to_owned(),
            _ => format!("/apis/{}", election.api_version()),
        };
        let held = api.get(&format!("{at}/namespaces/{system}/{}/{lock}", election.plural()));
        if held.and_then(|held| election.holder(&held)).as_deref() != Some(pod) {
            api.put(election.held_by(pod, &system, &lock));
        }
    }
}
