//! `data-volume`: Postgres' and Minio's data where it outlives pods: on the node's data volume, or on an attached cluster
//! on claims of the storage class that the spec names.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::{put, put_init_container, put_variable};
use super::storage::data_directory;
use crate::manifest::Object;

/// The init container that gives a new folder to the user that the server runs as.
const OWN_DATA: &str = "own-data";
/// The size of a claim; what was put in by hand in a day of work is some 100 MB.
const CLAIM_SIZE: &str = "5Gi";
const PGDATA: &str = "/var/lib/postgresql/data";

/// What a Postgres pod does before the official image's entrypoint.
///
/// A pod that replaces another starts while that one still shuts down, and two servers on one data directory destroy it:
/// the first line that counts waits for the other's end. And an `initdb` that was killed half way leaves a directory
/// that the entrypoint takes for whole, so it is begun anew.
const START: &str = include_str!("postgres_start.sh");

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let (spec, system) = (context.spec, context.spec.system_namespace());
    for component in [Component::Postgres, Component::Minio] {
        let place = match (spec.scope().data_folder, &spec.storage_class) {
            (Some(folder), _) => {
                json!({"hostPath": {"path": format!("{folder}/{component}"), "type": "DirectoryOrCreate"}})
            }
            (None, Some(_)) => json!({"persistentVolumeClaim": {"claimName": claim_name(component)}}),
            (None, None) => {
                warn_of_loss(draft, component);
                continue;
            }
        };
        for workload in draft.workloads_mut(component) {
            keep(workload, component, &place);
        }
    }
    if let (None, Some(class)) = (spec.scope().data_folder, &spec.storage_class) {
        let made = [Component::Postgres, Component::Minio].map(|component| claim(component, &system, class));
        draft.objects.retain(|object| made.iter().all(|claim| claim.reference() != object.reference()));
        draft.objects.extend(made);
    }
    Ok(())
}

fn claim_name(component: Component) -> String {
    format!("{component}-data")
}

fn claim(component: Component, namespace: &str, class: &str) -> Object {
    let mut claim = Object::named("v1", "PersistentVolumeClaim", &claim_name(component));
    claim.set(&["metadata", "namespace"], namespace);
    claim.set(
        &["metadata", "labels"],
        json!({"app.kubernetes.io/name": component.id(), "app.kubernetes.io/instance": "flyte"}),
    );
    claim.set(
        &["spec"],
        json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": CLAIM_SIZE}},
            "storageClassName": class,
        }),
    );
    claim
}

/// Warns where a server's data goes with its pod.
fn warn_of_loss(draft: &mut Draft, component: Component) {
    let server = |workload: &Object| {
        let mut containers = workload.containers().filter(|one| one["name"] == component.id());
        let data = containers.next().map(|server| match component {
            Component::Postgres => (database_directory(server), server),
            _ => (data_directory(server), server),
        })?;
        let volume = mounted_at(data.1, &data.0);
        let volumes = workload.pod_spec()?["volumes"].as_array();
        volumes.into_iter().flatten().find(|one| volume.as_deref().is_some_and(|name| one["name"] == name)).cloned()
    };
    let claimed = |volume: &Value| volume.get("persistentVolumeClaim").is_some();
    let lossy: Vec<_> = draft
        .workloads(component)
        .filter(|workload| !server(workload).as_ref().is_some_and(claimed))
        .cloned()
        .collect();
    for workload in lossy {
        draft.warn(
            Effect::Differs,
            &workload,
            "its data goes with its pod: `storageClass` in the spec keeps it on a volume",
        );
    }
}

/// Puts a server's data into this place.
fn keep(workload: &mut Object, component: Component, place: &Value) {
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
    let mut placed = json!({"name": volume});
    place.as_object().into_iter().flatten().for_each(|(kind, at)| put(&mut placed, kind, at.clone()));
    put_volume(workload, &volume, placed);
    let Some(pod) = workload.pod_spec_mut() else { return };
    let group = pod.pointer("/securityContext/fsGroup").cloned();
    let user = user.or_else(|| pod.pointer("/securityContext/runAsUser").cloned());
    if let Some(user) = user.and_then(|user| user.as_u64()).filter(|user| *user != 0) {
        let group = group.and_then(|group| group.as_u64()).unwrap_or(user);
        if place.get("hostPath").is_none() {
            // The kubelet gives a claim to the pod's group, and no pod of an attached cluster may need to be root.
            workload.set(&["spec", "template", "spec", "securityContext", "fsGroup"], group);
            one_at_a_time(workload);
            return;
        }
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
