//! What releases do otherwise with the object store.

use serde_json::json;

use super::*;
use crate::release::Release;
use crate::spec::{Ports, Secret};

fn spec(flyte: &str) -> Spec {
    let mut spec = Spec { flyte: Release::of(flyte).expect("a release"), ..Spec::default() };
    spec.ports = Ports { minio: 31084, ..spec.ports };
    spec.storage.secret_key = Secret::new("the-stores-own");
    spec
}

fn output(flyte: &str) -> Rendered {
    let spec = spec(flyte);
    rendered(&spec, Bundle::embedded(spec.flyte).expect("manifests"))
}

const PROPELLER: &str = "flyte-propeller-config-x-d-dev";

#[test]
fn where_clients_upload_through_admin_its_urls_open_outside_and_its_keys_are_not_the_stores_own() {
    let output = output("1.16");
    let admin = |path: &[&str]| setting(&output, "flyte-admin-config", path);
    assert_eq!(admin(&["server", "dataProxy", "upload", "storagePrefix"]), Some(json!("uploads")));
    let endpoint = ["storage", "signedUrl", "stowConfigOverride", "endpoint"];
    assert_eq!(admin(&endpoint), Some(json!("http://127.0.0.1:31084")));
    for (config, user) in [("flyte-admin-config", "flyteadmin"), ("datacatalog-config", "datacatalog")] {
        let keys = ["access-key", "secret-key"].map(|key| setting(&output, config, &["storage", "connection", key]));
        let own = spec("1.16").program_keys(user).expect("keys");
        assert_eq!(keys, [Some(json!(own.access_key)), Some(json!(own.secret_key.expose()))]);
    }
    for object in output.objects.iter().filter(|object| !matches!(object.name(), "minio")) {
        assert!(!object.value().to_string().contains("the-stores-own"), "{}", object.reference());
    }
    assert_eq!(
        setting(&output, "datacatalog-config", &["datacatalog", "storage-prefix"]),
        Some(json!("metadata/datacatalog"))
    );
}

#[test]
fn tasks_get_their_keys_by_the_secret_of_their_namespace_where_the_propeller_can_refer_to_one() {
    let (old, new) = (output("0.15"), output("1.16"));
    let plugin = |output: &Rendered, key: &str| setting(output, PROPELLER, &["plugins", "k8s", key]);
    assert_eq!(plugin(&new, "default-env-from-secrets"), Some(json!(["flyte-storage"])));
    assert_eq!(plugin(&new, "default-env-vars-from-env"), Some(json!([])));
    assert_eq!(plugin(&old, "default-env-from-secrets"), None);
    assert_eq!(plugin(&old, "default-env-vars-from-env").map(|all| all.as_array().map(Vec::len)), Some(Some(2)));

    let of_tasks = |output: &Rendered| {
        let secrets = all(output, "Secret").filter(|secret| secret.name() == "flyte-storage");
        secrets.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_tasks(&old), []);
    let spec = spec("1.16");
    for workflow in spec.workflow_namespaces() {
        let secrets = of_tasks(&new);
        let secret = secrets.iter().find(|secret| secret.namespace() == Some(&*workflow.name)).expect("a Secret");
        let keys = spec.storage.keys_of(&workflow.project).expect("keys");
        let entries = json!({
            "FLYTE_AWS_ACCESS_KEY_ID": keys.access_key,
            "FLYTE_AWS_SECRET_ACCESS_KEY": keys.secret_key.expose(),
        });
        assert_eq!(secret.get("/stringData"), Some(&entries), "{}", workflow.name);
    }
}

#[test]
fn a_task_knows_where_admin_is_for_an_eager_workflow_asks_it() {
    let variables = setting(&output("1.16"), PROPELLER, &["plugins", "k8s", "default-env-vars"]).expect("a list");
    let has = |variable: Value| variables.as_array().is_some_and(|all| all.contains(&variable));
    assert!(has(json!({"FLYTE_PLATFORM_URL": "flyteadmin.103020-flytepoc-dev:81"})), "{variables}");
    assert!(has(json!({"FLYTE_PLATFORM_INSECURE": "true"})), "{variables}");
}

#[test]
fn what_a_raw_container_task_needs_beside_it_comes_into_the_node_with_the_rest() {
    let output = output("1.16");
    let image = "cr.flyte.org/flyteorg/flytecopilot:v1.16.8";
    assert_eq!(setting(&output, PROPELLER, &["plugins", "k8s", "co-pilot", "image"]), Some(json!(image)));
    assert!(output.images().iter().any(|one| one.as_str() == image));
}
