//! `ports`: the ports of the node that are published on the host, and Services that lead to ports on which
//! something listens.

use serde_json::{Value, json};

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::put;
use super::listeners::{Listener, port};
use crate::flyte::names::{self, PublishedService};
use crate::manifest::Object;

/// What the host always reaches.
const PUBLISHED: [(Component, PublishedService); 3] = [
    (Component::Gateway, names::PUBLISHED_CONSOLE),
    (Component::Dashboard, names::PUBLISHED_DASHBOARD),
    (Component::Minio, names::PUBLISHED_MINIO),
];

/// What the host reaches.
fn published_of(context: &Context<'_>) -> Vec<PublishedService> {
    let postgres = context.spec.ports.postgres.map(|_| names::PUBLISHED_POSTGRES);
    PUBLISHED.iter().map(|(_, published)| *published).chain(postgres).collect()
}

/// A port of a Service that something in a sandbox goes by.
struct Wanted {
    component: Component,
    service: &'static str,
    /// Of the port; absent where nothing goes by it.
    name: Option<&'static str>,
    port: u16,
    listener: Listener,
}

impl Wanted {
    const fn new(component: Component, name: Option<&'static str>, port: u16, listener: Listener) -> Self {
        Self { component, service: component.id(), name, port, listener }
    }
}

/// What the gateway, propellers, settings that a transform writes, and checks go by.
const WANTED: [Wanted; 10] = [
    Wanted::new(Component::Postgres, None, 5432, Listener::Main),
    Wanted::new(Component::Minio, None, 9000, Listener::Main),
    Wanted::new(Component::Datacatalog, Some("http"), 88, Listener::Main),
    Wanted::new(Component::Datacatalog, Some("grpc"), 89, Listener::Grpc),
    Wanted::new(Component::Flyteadmin, Some("http"), 80, Listener::Main),
    Wanted::new(Component::Flyteadmin, Some("grpc"), 81, Listener::Grpc),
    Wanted::new(Component::Flyteconsole, None, 80, Listener::Main),
    published(0),
    published(1),
    published(2),
];

const fn published(index: usize) -> Wanted {
    let (component, PublishedService { service, port, .. }) = PUBLISHED[index];
    Wanted { component, service, name: None, port, listener: Listener::Main }
}

/// Fields of a Service that the API refuses, or gives a meaning, for another type or cluster than it gets here.
const OF_OTHER_TYPES: [&str; 10] = [
    "allocateLoadBalancerNodePorts",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for wanted in &WANTED {
        let listens = port(draft, wanted.component, wanted.listener)?;
        provide(context, draft, wanted, listens)?;
    }
    let datacatalog = port(draft, Component::Datacatalog, Listener::Main)?;
    let published = published_of(context);
    for object in &mut draft.objects {
        if object.kind() == "Service" {
            settle(object, &published);
        }
        if component_of(object) == Some(Component::Datacatalog) {
            datacatalog_container(object, datacatalog);
        }
        if component_of(object).is_some() {
            for list in ["initContainers", "containers"] {
                for container in object.containers_mut(list) {
                    complete_ports(container.get_mut("ports"));
                }
            }
        }
    }
    warn_of_node_ports(draft, &published);
    Ok(())
}

/// Sees to it that a Service is there, leads to its component's pods, and has a port that leads to a listener.
fn provide(context: &Context<'_>, draft: &mut Draft, wanted: &Wanted, listens: u16) -> Result<(), RenderError> {
    let pods = draft.workloads(wanted.component).next();
    let Some(labels) = pods.and_then(|pods| pods.get("/spec/selector/matchLabels")).cloned() else { return Ok(()) };
    let named = pods.map(|pods| names_of(pods, wanted.component, listens)).unwrap_or_default();
    let carried = pods.and_then(|pods| pods.get("/spec/template/metadata/labels")).cloned().unwrap_or_default();
    if draft.find("Service", wanted.service).is_none() {
        let mut own = context.built_in(wanted.component)?;
        own.retain(|object| object.is("Service", wanted.service));
        draft.add_missing(own);
    }
    let Some(service) = draft.find_mut("Service", wanted.service) else { return Ok(()) };
    let leads = service.get("/spec/selector").and_then(Value::as_object).is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| carried.get(key) == Some(value))
    });
    if !leads {
        service.set(&["spec", "selector"], labels);
    }
    if !service.get("/spec/ports").is_some_and(Value::is_array) {
        service.set(&["spec", "ports"], json!([]));
    }
    let Some(ports) = service.get_mut("/spec/ports").and_then(Value::as_array_mut) else { return Ok(()) };
    let by_number = ports.iter().position(|port| port["port"] == wanted.port);
    let by_name = || ports.iter().position(|port| wanted.name.is_some_and(|name| port["name"] == name));
    let index = by_number.or_else(by_name).unwrap_or_else(|| {
        ports.push(json!({}));
        ports.len() - 1
    });
    let many = ports.len() > 1;
    let port = &mut ports[index];
    put(port, "port", json!(wanted.port));
    let target = port.get("targetPort").unwrap_or(&Value::Null);
    if *target != listens && !target.as_str().is_some_and(|target| named.iter().any(|name| name == target)) {
        put(port, "targetPort", json!(listens));
    }
    if let Some(name) = wanted.name.filter(|name| port["name"] != *name) {
        put(port, "name", json!(name));
    }
    if many {
        // Several must each have one.
        for port in ports.iter_mut().filter(|port| port.get("name").is_none()) {
            let name = format!("port-{}", port["port"]);
            put(port, "name", json!(name));
        }
    }
    Ok(())
}

/// What a component's own container calls a port.
fn names_of(pods: &Object, component: Component, port: u16) -> Vec<String> {
    let own = pods.containers().filter(|container| container["name"] == component.id());
    let ports = own.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let named = ports.filter(|one| one["containerPort"] == port).filter_map(|one| one["name"].as_str());
    named.map(str::to_owned).collect()
}

/// Makes a Service one of the cluster's, or of those that the host reaches.
fn settle(service: &mut Object, published: &[PublishedService]) {
    let published = published.iter().find(|one| one.service == service.name()).copied();
    if component_of(service).is_some() {
        let headless = service.get("/spec/clusterIP").is_some_and(|address| address == "None");
        // An address that somebody chose is one of another cluster's.
        if published.is_some() || !headless {
            service.remove(&["spec", "clusterIP"]);
            service.remove(&["spec", "clusterIPs"]);
        }
        if published.is_some() || !headless {
            service.set(&["spec", "type"], if published.is_some() { "NodePort" } else { "ClusterIP" });
        }
        for field in OF_OTHER_TYPES {
            service.remove(&["spec", field]);
        }
        let ports = service.get_mut("/spec/ports").and_then(Value::as_array_mut);
        if let (Some(ports), Some(published)) = (ports, published)
            && let Some(index) = ports.iter().position(|port| port["port"] == published.port)
        {
            let port = ports.remove(index);
            ports.insert(0, port);
        }
        complete_ports(service.get_mut("/spec/ports"));
    }
    let ports = service.get_mut("/spec/ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        match published.filter(|_| index == 0) {
            Some(published) => put(port, "nodePort", json!(published.node_port)),
            None => drop(port.as_object_mut().and_then(|port| port.shift_remove("nodePort"))),
        }
    }
}

/// What else asks for ports of the node gets some that nobody chose, and that are not published on the host.
fn warn_of_node_ports(draft: &mut Draft, published: &[PublishedService]) {
    let is_published = |object: &Object| published.iter().any(|one| one.service == object.name());
    let outward = |object: &Object| {
        object.kind() == "Service"
            && !is_published(object)
            && object.get("/spec/type").is_some_and(|kind| kind == "NodePort" || kind == "LoadBalancer")
    };
    for service in draft.objects.iter().filter(|object| outward(object)).cloned().collect::<Vec<_>>() {
        let known: Vec<_> = published.iter().map(|one| one.node_port.to_string()).collect();
        let message = format!(
            "is not reached from the host: only the node's ports {} are published; `kubectl port-forward` leads to it",
            known.join(", ")
        );
        draft.warn(Effect::Differs, &service, message);
    }
}

/// Declares the port that datacatalog serves HTTP on in the place of upstream's, where nothing listens.
fn datacatalog_container(object: &mut Object, listens: u16) {
    const UPSTREAM: u16 = 8088;
    for container in object.containers_mut("containers").filter(|one| one["name"] == Component::Datacatalog.id()) {
        let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) else { continue };
        if ports.iter().any(|port| port["containerPort"] == listens) {
            continue;
        }
        for port in ports.iter_mut().filter(|port| port["containerPort"] == UPSTREAM) {
            put(port, "containerPort", json!(listens));
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
