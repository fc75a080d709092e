//! The Kubernetes API of a sandbox, for those who meddle with it behind its back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flyte_sandbox::kubernetes::{client, resolve};
use flyte_sandbox::manifest::Collection;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::Value;

use super::conformance;
use super::sandbox::Sandbox;

const SETTLING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// Makes the object be as given.
pub(crate) fn apply(sandbox: &Sandbox, object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let at = Collection {
        api_version: text("/apiVersion").expect("a version"),
        kind: text("/kind").expect("a kind"),
        namespace: text("/metadata/namespace"),
    };
    let name = text("/metadata/name").expect("a name");
    let parameters = PatchParams::apply("somebody");
    on(sandbox, &at, async |api| api.patch(&name, &parameters, &Patch::Apply(object)).await.map(|_| ()));
}

/// Deletes the object.
pub(crate) fn delete(sandbox: &Sandbox, [api_version, kind, namespace, name]: [&str; 4]) {
    let namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
    let at = Collection { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace };
    on(sandbox, &at, async |api| api.delete(name, &DeleteParams::background()).await.map(|_| ()));
}

/// The uids of a namespace's pods, by name.
pub(crate) fn pods(sandbox: &Sandbox, namespace: &str) -> BTreeMap<String, String> {
    let pods = list_pods(sandbox, namespace).into_iter().map(|pod| pod.metadata);
    pods.map(|pod| (pod.name.unwrap_or_default(), pod.uid.unwrap_or_default())).collect()
}

/// Whether a ServiceAccount's token is mounted into a namespace's pods, by name.
pub(crate) fn tokens(sandbox: &Sandbox, namespace: &str) -> BTreeMap<String, bool> {
    const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let array = |value: &Value, key| value[key].as_array().cloned().unwrap_or_default();
    let has_token = |pod: &DynamicObject| {
        let containers = array(&pod.data["spec"], "containers");
        containers.iter().flat_map(|one| array(one, "volumeMounts")).any(|mount| mount["mountPath"] == TOKEN)
    };
    let pods = list_pods(sandbox, namespace).into_iter();
    pods.map(|pod| (pod.metadata.name.clone().unwrap_or_default(), has_token(&pod))).collect()
}

fn list_pods(sandbox: &Sandbox, namespace: &str) -> Vec<DynamicObject> {
    let at = Collection { api_version: "v1".to_owned(), kind: "Pod".to_owned(), namespace: Some(namespace.to_owned()) };
    on(sandbox, &at, async |api| Ok(api.list(&ListParams::default()).await?.items))
}

/// What a Kubernetes answers otherwise than its double.
pub(crate) fn differences_to_the_double(sandbox: &Sandbox) -> Vec<String> {
    let kubeconfig = sandbox.run(&["kubeconfig"]).exits(0).out;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = client(&kubeconfig).expect("a way in");
        let mut differences = Vec::new();
        for ask in conformance::all() {
            let asked = Instant::now();
            let mut found = ask.differences(&ask.send(&client).await);
            // Its authoriser reads Roles a moment after they are there.
            while !found.is_empty() && ask.only_looks() && asked.elapsed() < SETTLING {
                tokio::time::sleep(LOOK).await;
                found = ask.differences(&ask.send(&client).await);
            }
            differences.extend(found);
        }
        differences
    })
}

fn on<T>(sandbox: &Sandbox, at: &Collection, work: impl AsyncFnOnce(kube::Api<DynamicObject>) -> kube::Result<T>) -> T {
    let kubeconfig = sandbox.run(&["kubeconfig"]).exits(0).out;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let done = runtime.block_on(async {
        let client = client(&kubeconfig).expect("a way in");
        let api = resolve(&client, at).await?.endpoint(&client, at.namespace.as_deref());
        work(api).await
    });
    done.unwrap_or_else(|error| panic!("{at}: {error}"))
}
