//! Port-forwards to the Services of a cluster where nothing is published, for as long as they are needed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Client;
use kube::api::{Api, ListParams};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::spec::{Ports, Spec};

/// Local ports, for as long as this lives.
#[derive(Debug)]
pub struct Forwarded {
    /// Where console, dashboard and Minio are reached on 127.0.0.1; each a free port.
    pub ports: Ports,
    _listeners: JoinSet<()>,
}

/// Where connections to a local port end.
#[derive(Clone)]
struct End {
    client: Client,
    namespace: String,
    service: &'static str,
}

/// Listens on three free ports of 127.0.0.1. Which pod a connection leads to is looked up when it is made, so the
/// pods may come and go.
///
/// # Errors
/// There is no free port.
pub async fn forward(client: &Client, spec: &Spec) -> Result<Forwarded, Failure> {
    let mut listeners = JoinSet::new();
    let mut ports = spec.ports;
    for (port, service) in [
        (&mut ports.console, names::PUBLISHED_CONSOLE.service),
        (&mut ports.dashboard, names::PUBLISHED_DASHBOARD.service),
        (&mut ports.minio, names::PUBLISHED_MINIO.service),
    ] {
        let bound = async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            *port = listener.local_addr()?.port();
            Ok::<_, std::io::Error>(listener)
        };
        let listener = bound.await.map_err(|error| {
            Failure::new(Reason::PortTaken, "no free port to reach the cluster's pods by").caused_by(error)
        })?;
        let end = End { client: client.clone(), namespace: spec.system_namespace(), service };
        listeners.spawn(accept(listener, end));
    }
    Ok(Forwarded { ports, _listeners: listeners })
}

async fn accept(listener: TcpListener, end: End) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else { return };
        let end = end.clone();
        connections.spawn(async move {
            // Who connected sees the connection end; why is for who looks closer.
            if let Err(error) = carry(&end, socket).await {
                tracing::debug!(%error, service = end.service, "not forwarded");
            }
        });
    }
}

async fn carry(end: &End, mut socket: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (pod, port) = target(end).await?.ok_or("no pod of the service is ready")?;
    let pods: Api<Pod> = Api::namespaced(end.client.clone(), &end.namespace);
    let mut forwarder = pods.portforward(&pod, &[port]).await?;
    let mut stream = forwarder.take_stream(port).ok_or("the API gave no stream")?;
    copy_bidirectional(&mut socket, &mut stream).await?;
    Ok(())
}

/// A ready pod behind the Service's first port, and its port.
async fn target(end: &End) -> kube::Result<Option<(String, u16)>> {
    let services: Api<Service> = Api::namespaced(end.client.clone(), &end.namespace);
    let spec = services.get(end.service).await?.spec.unwrap_or_default();
    let selector = spec.selector.unwrap_or_default();
    let Some(port) = spec.ports.unwrap_or_default().into_iter().next() else { return Ok(None) };
    let wanted = port.target_port.unwrap_or(IntOrString::Int(port.port));
    let pods: Api<Pod> = Api::namespaced(end.client.clone(), &end.namespace);
    let pods = pods.list(&ListParams::default().labels(&labels(&selector))).await?;
    Ok(pods
        .items
        .iter()
        .filter(|pod| is_ready(pod))
        .find_map(|pod| Some((pod.metadata.name.clone()?, number(pod, &wanted)?))))
}

fn labels(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// A pod's port, which a Service may know by its name.
fn number(pod: &Pod, wanted: &IntOrString) -> Option<u16> {
    match wanted {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(name) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let found = ports.find(|port| port.name.as_ref() == Some(name))?;
            u16::try_from(found.container_port).ok()
        }
    }
}
