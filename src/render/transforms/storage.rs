//! `storage`: a bucket that exists before Flyte's first write, on a volume that Minio writes to, and one set of
//! credentials everywhere. Flyte's own lazy creation of the bucket loses the object that caused it.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::config::Config;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put, put_init_container};
use crate::manifest::Object;
use crate::spec::Storage;

const CREATE_BUCKET: &str = "create-bucket";
const STORAGE_FILE: &str = "storage.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let storage = &context.spec.storage;
    for workload in draft.workloads_mut(Component::Minio) {
        serve_bucket(workload, storage);
    }
    for component in [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller] {
        draft.edit_config(component, |config| {
            let before = config.get(&["storage", "container"]).and_then(Value::as_str).map(str::to_owned);
            config.set(STORAGE_FILE, &["storage", "container"], storage.bucket.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "access-key"], storage.access_key.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "secret-key"], storage.secret_key.expose());
            if component == Component::Flytepropeller {
                raw_output(config, before.as_deref(), storage);
                task_variables(config, storage);
            }
        })?;
    }
    Ok(())
}

fn serve_bucket(workload: &mut Object, storage: &Storage) {
    let Some(server) = workload.containers_mut("containers").find(|one| one["name"] == Component::Minio.id()) else {
        return;
    };
    set_variable(server, "MINIO_ACCESS_KEY", &storage.access_key);
    set_variable(server, "MINIO_SECRET_KEY", storage.secret_key.expose());
    let data = data_directory(server);
    let mount = server.get_mut("volumeMounts").and_then(Value::as_array_mut).and_then(|mounts| mounts.first_mut());
    let volume = match mount {
        Some(mount) => {
            put(mount, "mountPath", json!(data));
            mount["name"].clone()
        }
        None => {
            put(server, "volumeMounts", json!([{"name": "minio-storage", "mountPath": data}]));
            json!("minio-storage")
        }
    };
    let image = server["image"].clone();
    let Some(pod) = workload.pod_spec_mut() else { return };
    if pod.get("volumes").is_none() {
        put(pod, "volumes", json!([{"name": volume, "emptyDir": {}}]));
    }
    let create = json!({
        "name": CREATE_BUCKET,
        "image": image,
        "command": ["mkdir", "-p", format!("{data}/{}", storage.bucket)],
        "volumeMounts": [{"name": volume, "mountPath": data}],
    });
    put_init_container(pod, create);
}

/// What follows `server`; Minio's data directory.
fn data_directory(server: &Value) -> String {
    let words = ["command", "args"].into_iter().filter_map(|list| server.get(list)?.as_array()).flatten();
    let mut words = words.filter_map(Value::as_str).skip_while(|word| *word != "server").skip(1);
    words.find(|word| word.starts_with('/')).map_or("/data", |path| path.trim_end_matches('/')).to_owned()
}

fn set_variable(container: &mut Value, name: &str, value: &str) {
    if !container["env"].is_array() {
        put(container, "env", json!([]));
    }
    let Some(variables) = container["env"].as_array_mut() else { return };
    let variable = json!({"name": name, "value": value});
    match variables.iter_mut().find(|variable| variable["name"] == name) {
        Some(found) => *found = variable,
        None => variables.push(variable),
    }
}

/// Keeps what stands behind the bucket.
fn raw_output(config: &mut Config, before: Option<&str>, storage: &Storage) {
    let path = ["propeller", "rawoutput-prefix"];
    let given = config.get(&path).and_then(Value::as_str).map(str::to_owned);
    let behind = given.as_deref().zip(before).and_then(|(given, before)| {
        given.strip_prefix("s3://")?.strip_prefix(before).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let behind = behind.unwrap_or("/");
    config.set("core.yaml", &path, format!("s3://{}{behind}", storage.bucket));
}

/// What task pods reach the store with: a list of mappings of one key each.
fn task_variables(config: &mut Config, storage: &Storage) {
    let path = ["plugins", "k8s", "default-env-vars"];
    let mut variables = config.get(&path).and_then(Value::as_array).cloned().unwrap_or_default();
    let keys = [
        ("FLYTE_AWS_ACCESS_KEY_ID", storage.access_key.as_str()),
        ("FLYTE_AWS_SECRET_ACCESS_KEY", storage.secret_key.expose()),
    ];
    for (name, value) in keys {
        match variables.iter_mut().find(|variable| variable.get(name).is_some()) {
            Some(found) => *found = json!({name: value}),
            None => variables.push(json!({name: value})),
        }
    }
    config.set("k8s.yaml", &path, variables);
}
