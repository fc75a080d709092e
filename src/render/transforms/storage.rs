//! `storage`: a bucket that exists before Flyte's first write, on a volume that Minio writes to, and keys for admin and
//! datacatalog: the store's own, or theirs where admin signs URLs. Flyte's own lazy creation of the bucket loses the object that caused it. Propellers and
//! tasks are `project-storage`'s.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::config::Config;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{flag_value, put, put_init_container, put_variable, words};
use crate::manifest::Object;
use crate::spec::{CATALOG_FOLDER, Storage};

const CREATE_BUCKET: &str = "create-bucket";
const STORAGE_FILE: &str = "storage.yaml";
const SERVER_FILE: &str = "server.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let storage = &context.spec.storage;
    let chosen = context.spec.images.contains_key(Component::Minio.id());
    let pinned = context.lock.pin(Component::Minio).map(|pin| pin.image.as_str());
    for workload in draft.workloads_mut(Component::Minio) {
        serve_bucket(workload, storage, pinned.filter(|_| !chosen));
    }
    for component in [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller] {
        draft.edit_config(component, connection_for_stow)?;
    }
    let uploads = context.spec.flyte.facts().uploads.as_deref();
    for component in [Component::Flyteadmin, Component::Datacatalog] {
        let keys = context.spec.program_keys(component.id()).unwrap_or_else(|| storage.root());
        draft.edit_config(component, |config| {
            config.set(STORAGE_FILE, &["storage", "container"], storage.bucket.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "access-key"], keys.access_key.as_str());
            config.set(STORAGE_FILE, &["storage", "connection", "secret-key"], keys.secret_key.expose());
            match (component, uploads) {
                (Component::Flyteadmin, Some(folder)) => take_uploads(config, folder, context.spec.ports.minio),
                // Its keys open this folder alone.
                (Component::Datacatalog, Some(_)) => {
                    config.set(SERVER_FILE, &["datacatalog", "storage-prefix"], CATALOG_FOLDER);
                }
                _ => {}
            }
            if component == Component::Flyteadmin {
                // It shows what propellers wrote, each to its project's bucket.
                config.set(STORAGE_FILE, &["storage", "enable-multicontainer"], true);
            }
        })?;
    }
    Ok(())
}

/// Uploads go into a folder for each project, whose tasks may read that one. The host of a signed URL is part of what is
/// signed, and it is clients outside who open them.
fn take_uploads(config: &mut Config, folder: &str, port: u16) {
    config.set(SERVER_FILE, &["server", "dataProxy", "upload", "storagePrefix"], folder);
    let endpoint = ["storage", "signedUrl", "stowConfigOverride", "endpoint"];
    config.set(STORAGE_FILE, &endpoint, format!("http://127.0.0.1:{port}"));
}

/// `pinned` is the image that is to run, where the spec names no other.
fn serve_bucket(workload: &mut Object, storage: &Storage, pinned: Option<&str>) {
    let Some(pod) = workload.pod_spec() else { return };
    let files = file_volumes(pod);
    let Some(server) = workload.containers_mut("containers").find(|one| one["name"] == Component::Minio.id()) else {
        return;
    };
    let data = data_directory(server);
    let another = pinned.is_some_and(|pinned| server["image"] != pinned);
    set_keys(server, storage, pinned.is_some());
    // Of another version the pinned one knows neither every flag nor, where it serves of itself, that it is to serve.
    if another || pinned.is_some() && words(server).next().is_none() {
        let mut arguments = vec![json!("server"), json!(data)];
        if let Some(address) = flag_value(server, "--address") {
            arguments.extend([json!("--address"), json!(address)]);
        }
        server.as_object_mut().and_then(|server| server.shift_remove("command"));
        put(server, "args", arguments);
    }
    if !server["volumeMounts"].is_array() {
        put(server, "volumeMounts", json!([]));
    }
    let mounts = server.get_mut("volumeMounts").and_then(Value::as_array_mut);
    let mounts = mounts.into_iter().flatten().filter(|mount| !files.iter().any(|file| mount["name"] == *file));
    let holds = |mount: &Value| mount["mountPath"].as_str().is_some_and(|path| path.trim_end_matches('/') == data);
    let mut mounts: Vec<&mut Value> = mounts.collect();
    let at = mounts.iter().position(|mount| holds(mount)).unwrap_or(0);
    let volume = match mounts.get_mut(at) {
        Some(mount) => {
            put(mount, "mountPath", json!(data));
            mount["name"].clone()
        }
        None => {
            if let Some(mounts) = server["volumeMounts"].as_array_mut() {
                mounts.push(json!({"name": "minio-storage", "mountPath": data}));
            }
            json!("minio-storage")
        }
    };
    let image = server["image"].clone();
    let templates = workload.get("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
    let workload_claims: Vec<Value> = templates.map(|template| template["metadata"]["name"].clone()).collect();
    let Some(pod) = workload.pod_spec_mut() else { return };
    let claimed = workload_claims.contains(&volume);
    if !pod["volumes"].is_array() {
        put(pod, "volumes", json!([]));
    }
    if let Some(volumes) = pod["volumes"].as_array_mut()
        && !claimed
        && !volumes.iter().any(|one| one["name"] == volume)
    {
        volumes.push(json!({"name": volume, "emptyDir": {}}));
    }
    let create = json!({
        "name": CREATE_BUCKET,
        "image": image,
        "command": ["mkdir", "-p", format!("{data}/{}", storage.bucket)],
        "volumeMounts": [{"name": volume, "mountPath": data}],
    });
    put_init_container(pod, create);
}

/// The store's keys, by the variables that its version reads.
fn set_keys(server: &mut Value, storage: &Storage, pinned: bool) {
    let keys =
        [("USER", "ACCESS_KEY", storage.access_key.as_str()), ("PASSWORD", "SECRET_KEY", storage.secret_key.expose())];
    for (root, old, value) in keys {
        put_variable(server, json!({"name": format!("MINIO_{old}"), "value": value}));
        // Later versions read these, also from a file, and before the others.
        let other = |name: &str| {
            name == format!("MINIO_{old}_FILE")
                || name.strip_prefix("MINIO_ROOT_").is_some_and(|rest| rest.starts_with(root))
        };
        if let Some(variables) = server["env"].as_array_mut() {
            variables.retain(|variable| !variable["name"].as_str().is_some_and(other));
        }
        if !pinned {
            put_variable(server, json!({"name": format!("MINIO_ROOT_{root}"), "value": value}));
        }
    }
}

/// The volumes of a pod that have files of the cluster, and no room for data.
fn file_volumes(pod: &Value) -> Vec<String> {
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let of_files = |volume: &&Value| {
        ["configMap", "secret", "projected", "downwardAPI"].iter().any(|key| volume.get(key).is_some())
    };
    volumes.filter(of_files).filter_map(|volume| volume["name"].as_str().map(str::to_owned)).collect()
}

/// What follows `server`; Minio's data directory.
pub(super) fn data_directory(server: &Value) -> String {
    let mut words = words(server).skip_while(|word| *word != "server").skip(1);
    words.find(|word| word.starts_with('/')).map_or("/data", |path| path.trim_end_matches('/')).to_owned()
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
