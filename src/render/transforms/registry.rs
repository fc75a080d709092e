//! `registry`: a registry for images that people push, where the spec asks for it, with its images on the node's data
//! volume.
//!
//! It listens in the node's own network on the port that is published, so that an image has one name, such as
//! `localhost:5050/train:1`, for `docker push` and for a task: containerd, as Docker, speaks plain HTTP to localhost.

use serde_json::{Value, json};

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;
use crate::manifest::Object;

/// The volume of the images.
const IMAGES: &str = "images";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    draft.objects.retain(|object| component_of(object) != Some(Component::Registry));
    let Some(port) = context.spec.ports.registry else { return Ok(()) };
    let mut own = context.built_in(Component::Registry)?;
    for object in &mut own {
        match object.kind() {
            "ConfigMap" => listen(object, port),
            _ => serve(object, port, context.spec.scope().data_folder),
        }
    }
    draft.objects.extend(own);
    Ok(())
}

fn listen(settings: &mut Object, port: u16) {
    if let Some(Value::String(text)) = settings.get_mut("/data/config.yml") {
        *text = text.replace(":5050", &format!(":{port}"));
    }
}

fn serve(workload: &mut Object, port: u16, folder: Option<&str>) {
    workload.set(&["spec", "template", "spec", "hostNetwork"], true);
    for container in workload.containers_mut("containers") {
        put(container, "ports", json!([{"name": "http", "containerPort": port, "hostPort": port, "protocol": "TCP"}]));
    }
    let volumes = workload.pod_spec_mut().and_then(|pod| pod.get_mut("volumes")).and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter(|volume| volume["name"] == IMAGES) {
        if let Some(folder) = folder {
            let path = format!("{folder}/{}", Component::Registry);
            *volume = json!({"name": IMAGES, "hostPath": {"path": path, "type": "DirectoryOrCreate"}});
        }
    }
}
