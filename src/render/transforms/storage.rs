//! `storage`: a bucket that exists before Flyte's first write, on a volume that Minio writes to, and the store's own keys
//! for admin and datacatalog. Flyte's own lazy creation of the bucket loses the object that caused it. Propellers and
//! tasks are `project-storage`'s.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::config::Config;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put, put_init_container, put_variable};
use crate::manifest::Object;
use crate::spec::Storage;

const CREATE_BUCKET: &str = "create-bucket";
const STORAGE_FILE: &str = "storage.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let storage = &context.spec.storage;
    for workload in draft.workloads_mut(Component::Minio) {
        serve_bucket(workload, storage, context.spec.images.contains_key(Component::Minio.id()));
    }
    for component in [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller] {
        draft.edit_config(component, connection_for_stow)?;
    }
    for component in [Component::Flyteadmin, Component::Datacatalog] {
        draft.edit_config(component, |config| {
            config.set(STORAGE_FILE, &["storage", "container"], storage.bucket.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "access-key"], storage.access_key.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "secret-key"], storage.secret_key.expose());
            if component == Component::Flyteadmin {
                // It shows what propellers wrote, each to its project's bucket.
                config.set(STORAGE_FILE, &["storage", "enable-multicontainer"], true);
            }
        })?;
    }
    Ok(())
}

fn serve_bucket(workload: &mut Object, storage: &Storage, other_image: bool) {
    let Some(server) = workload.containers_mut("containers").find(|one| one["name"] == Component::Minio.id()) else {
        return;
    };
    put_variable(server, json!({"name": "MINIO_ACCESS_KEY", "value": storage.access_key}));
    put_variable(server, json!({"name": "MINIO_SECRET_KEY", "value": storage.secret_key.expose()}));
    let data = data_directory(server);
    // Later Flytes ship an image that serves of itself; the pinned one prints its help instead.
    if !other_image && words(server).next().is_none() {
        put(server, "args", json!(["server", data]));
    }
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
pub(super) fn data_directory(server: &Value) -> String {
    let mut words = words(server).skip_while(|word| *word != "server").skip(1);
    words.find(|word| word.starts_with('/')).map_or("/data", |path| path.trim_end_matches('/')).to_owned()
}

fn words(container: &Value) -> impl Iterator<Item = &str> {
    let words = ["command", "args"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten();
    words.filter_map(Value::as_str)
}

/// Later Flytes name the store under `stow.config`, which goes before `connection`, where keys are set for a sandbox.
fn connection_for_stow(config: &mut Config) {
    const KEYS: [(&str, &str); 4] =
        [("endpoint", "endpoint"), ("region", "region"), ("disable_ssl", "disable-ssl"), ("auth_type", "auth-type")];
    for (stow, connection) in KEYS {
        if let Some(value) = config.get(&["storage", "stow", "config", stow]).cloned() {
            config.set(STORAGE_FILE, &["storage", "connection", connection], value);
        }
    }
    config.remove(&["storage", "stow"]);
}
