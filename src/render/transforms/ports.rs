//! `ports`: the three ports of the node that are published on the host, and Services that lead to ports on which
//! something listens.

use serde_json::{Value, json};

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;
use crate::flyte::names::{self, PublishedService};
use crate::manifest::Object;

/// What the host reaches.
const PUBLISHED: [(Component, PublishedService); 3] = [
    (Component::Gateway, names::PUBLISHED_CONSOLE),
    (Component::Dashboard, names::PUBLISHED_DASHBOARD),
    (Component::Minio, names::PUBLISHED_MINIO),
];

/// Where datacatalog's health is served, and where upstream's Service leads instead.
const DATACATALOG_HTTP: (u16, u16) = (8080, 8088);

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for (component, PublishedService { service, .. }) in PUBLISHED {
        if draft.find("Service", service).is_none() {
            let mut own = context.built_in(component)?;
            own.retain(|object| object.is("Service", service));
            // The pods are given, and Helm labels them with the name of the release.
            let pods =
                draft.workloads(component).next().and_then(|workload| workload.get("/spec/selector/matchLabels"));
            if let Some(labels) = pods.cloned() {
                own.iter_mut().for_each(|object| object.set(&["spec", "selector"], labels.clone()));
            }
            draft.add_missing(own);
        }
    }
    for object in &mut draft.objects {
        let Some(component) = component_of(object) else { continue };
        if component == Component::Datacatalog {
            datacatalog_http(object);
        }
        if object.kind() == "Service" {
            publish(object);
            complete_ports(object.get_mut("/spec/ports"));
        }
        for list in ["initContainers", "containers"] {
            for container in object.containers_mut(list) {
                complete_ports(container.get_mut("ports"));
            }
        }
    }
    Ok(())
}

fn publish(service: &mut Object) {
    let published = PUBLISHED.iter().find(|(_, one)| one.service == service.name()).map(|(_, one)| one.node_port);
    let headless = service.get("/spec/clusterIP").is_some_and(|address| address == "None");
    if published.is_some() || !headless {
        service.set(&["spec", "type"], if published.is_some() { "NodePort" } else { "ClusterIP" });
    }
    service.remove(&["spec", "externalTrafficPolicy"]);
    let ports = service.get_mut("/spec/ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        match published.filter(|_| index == 0) {
            Some(node_port) => put(port, "nodePort", json!(node_port)),
            None => drop(port.as_object_mut().and_then(|port| port.shift_remove("nodePort"))),
        }
    }
}

fn datacatalog_http(object: &mut Object) {
    let (right, wrong) = DATACATALOG_HTTP;
    let container_ports = object.pod_spec_mut().and_then(|pod| pod.pointer_mut("/containers/0/ports"));
    for port in container_ports.and_then(Value::as_array_mut).into_iter().flatten() {
        if port["containerPort"] == wrong {
            put(port, "containerPort", json!(right));
        }
    }
    if object.kind() == "Service" {
        for port in object.get_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if port["targetPort"] == wrong {
                put(port, "targetPort", json!(right));
            }
        }
    }
}

/// Spells out what Kubernetes would default: in 1.21 server-side apply merges port lists by port and protocol.
fn complete_ports(ports: Option<&mut Value>) {
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        if port.get("protocol").is_none() {
            put(port, "protocol", json!("TCP"));
        }
        if let (Some(number), None) = (port.get("port").cloned(), port.get("targetPort")) {
            put(port, "targetPort", number);
        }
    }
}
