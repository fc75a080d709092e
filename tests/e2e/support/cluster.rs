//! The Kubernetes API of a sandbox, for those who meddle with it behind its back.

use flyte_sandbox::kubernetes::{client, resolve};
use flyte_sandbox::manifest::ObjectRef;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::Value;

use super::sandbox::Sandbox;

/// Makes the object be as given.
pub(crate) fn apply(sandbox: &Sandbox, object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let at = ObjectRef {
        api_version: text("/apiVersion").expect("a version"),
        kind: text("/kind").expect("a kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").expect("a name"),
    };
    let parameters = PatchParams::apply("somebody");
    on(sandbox, &at, async |api| api.patch(&at.name, &parameters, &Patch::Apply(object)).await.map(|_| ()));
}

/// Deletes the object.
pub(crate) fn delete(sandbox: &Sandbox, [api_version, kind, namespace, name]: [&str; 4]) {
    let namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
    let at = ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() };
    on(sandbox, &at, async |api| api.delete(name, &DeleteParams::background()).await.map(|_| ()));
}

fn on(
    sandbox: &Sandbox,
    at: &ObjectRef,
    work: impl AsyncFnOnce(kube::Api<kube::api::DynamicObject>) -> kube::Result<()>,
) {
    let kubeconfig = sandbox.run(&["kubeconfig"]).exits(0).out;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let done = runtime.block_on(async {
        let client = client(&kubeconfig).expect("a way in");
        let api = resolve(&client, at).await?.endpoint(&client, at.namespace.as_deref());
        work(api).await
    });
    done.unwrap_or_else(|error| panic!("{at}: {error}"));
}
