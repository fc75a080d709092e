//! `data-volume`: Postgres' and Minio's data on the node's data volume, where it outlives pods and the node's restarts.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put, put_init_container, put_variable};
use super::storage::data_directory;
use crate::manifest::Object;

/// The init container that gives a new folder to the user that the server runs as.
const OWN_DATA: &str = "own-data";
const PGDATA: &str = "/var/lib/postgresql/data";

/// What a Postgres pod does before the official image's entrypoint.
///
/// A pod that replaces another starts while that one still shuts down, and two servers on one data directory destroy it:
/// the first line that counts waits for the other's end. And an `initdb` that was killed half way leaves a directory
/// that the entrypoint takes for whole, so it is begun anew.
const START: &str = include_str!("postgres_start.sh");

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let Some(folder) = context.spec.scope().data_folder else { return Ok(()) };
    for component in [Component::Postgres, Component::Minio] {
        for workload in draft.workloads_mut(component) {
            let path = format!("{folder}/{component}");
            keep(workload, component, &path);
        }
    }
    Ok(())
}

/// Puts a server's data into a folder of the node.
fn keep(workload: &mut Object, component: Component, path: &str) {
    let Some(server) = workload.containers_mut("containers").find(|one| one["name"] == component.id()) else { return };
    let data = match component {
        Component::Postgres => database_directory(server),
        _ => data_directory(server),
    };
    let volume = mounted_at(server, &data).unwrap_or_else(|| {
        let volume = format!("{component}-data");
        if !server["volumeMounts"].is_array() {
            put(server, "volumeMounts", json!([]));
        }
        if let Some(mounts) = server["volumeMounts"].as_array_mut() {
            mounts.push(json!({"name": volume, "mountPath": data}));
        }
        volume
    });
    let mount = mount_path(server, &volume).unwrap_or(data);
    if component == Component::Postgres {
        start_alone(server, &mount);
    }
    let (image, user) = (server["image"].clone(), server.pointer("/securityContext/runAsUser").cloned());
    // A volume mounted in part only would be another folder.
    put_volume(workload, &volume, json!({"name": volume, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}));
    let Some(pod) = workload.pod_spec_mut() else { return };
    let group = pod.pointer("/securityContext/fsGroup").cloned();
    let user = user.or_else(|| pod.pointer("/securityContext/runAsUser").cloned());
    if let Some(user) = user.and_then(|user| user.as_u64()).filter(|user| *user != 0) {
        let group = group.and_then(|group| group.as_u64()).unwrap_or(user);
        put_init_container(
            pod,
            json!({
                "name": OWN_DATA,
                "image": image,
                "command": ["chown", format!("{user}:{group}"), mount],
                "securityContext": {"runAsUser": 0, "runAsNonRoot": false},
                "volumeMounts": [{"name": volume, "mountPath": mount}],
            }),
        );
    }
    one_at_a_time(workload);
}

/// The folder that Postgres keeps its data in: `PGDATA`, or the image's.
fn database_directory(server: &Value) -> String {
    let variables = server["env"].as_array().into_iter().flatten();
    let given = variables.filter(|one| one["name"] == "PGDATA").find_map(|one| one["value"].as_str());
    given.unwrap_or(PGDATA).trim_end_matches('/').to_owned()
}

/// The volume that a folder is on.
fn mounted_at(server: &Value, folder: &str) -> Option<String> {
    let mounts = server["volumeMounts"].as_array()?.iter();
    let within = |path: &str| folder == path || folder.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let holds = mounts.filter_map(|mount| Some((mount["mountPath"].as_str()?.trim_end_matches('/'), mount)));
    let (_, mount) = holds.filter(|(path, _)| within(path)).max_by_key(|(path, _)| path.len())?;
    Some(mount["name"].as_str()?.to_owned())
}

fn mount_path(server: &Value, volume: &str) -> Option<String> {
    let mounts = server["volumeMounts"].as_array()?.iter();
    let mut paths = mounts.filter(|mount| mount["name"] == volume).filter_map(|mount| mount["mountPath"].as_str());
    paths.next().map(|path| path.trim_end_matches('/').to_owned())
}

/// Gives the official image's server the start that waits for another's end; one with a command of its own keeps it.
fn start_alone(server: &mut Value, mount: &str) {
    if database_directory(server) == mount {
        // Nothing but its own files may be in a data directory that is yet to be made.
        put_variable(server, json!({"name": "PGDATA", "value": format!("{mount}/pgdata")}));
    }
    if server.get("command").is_some() || !is_official(server) {
        return;
    }
    put(server, "command", json!(["sh", "-c", START.replace("MOUNT", mount), "postgres"]));
    if server["args"].as_array().is_none_or(Vec::is_empty) {
        put(server, "args", json!(["postgres"]));
    }
}

/// Whether an image is `postgres` itself, from whatever registry: others have entrypoints of their own.
fn is_official(server: &Value) -> bool {
    let image = server["image"].as_str().unwrap_or_default();
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next() == Some("postgres")
}

/// Replaces a volume of a workload's pods, or its claim template.
fn put_volume(workload: &mut Object, name: &str, volume: Value) {
    if let Some(templates) = workload.get_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut) {
        templates.retain(|template| template.pointer("/metadata/name").is_none_or(|given| given != name));
    }
    let Some(pod) = workload.pod_spec_mut() else { return };
    if !pod["volumes"].is_array() {
        put(pod, "volumes", json!([]));
    }
    let Some(volumes) = pod["volumes"].as_array_mut() else { return };
    match volumes.iter_mut().find(|given| given["name"] == name) {
        Some(given) => *given = volume,
        None => volumes.push(volume),
    }
}

/// The old pod ends before the new one starts: both would write to one folder.
fn one_at_a_time(workload: &mut Object) {
    if workload.kind() == "Deployment" {
        workload.set(&["spec", "strategy"], json!({"type": "Recreate"}));
    }
}
