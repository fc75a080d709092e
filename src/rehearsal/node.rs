//! The rehearsal's process: its sockets and its reconciliation loop.

use std::io;
use std::mem::ManuallyDrop;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;

use super::api::ApiServer;
use super::cluster::Cluster;
use super::config::{RehearsalConfig, RehearsalLock};
use super::flyte::Port;
use crate::flyte::names;

const POLL: Duration = Duration::from_millis(20);
/// The time after the last change in which reconciliation goes on; longer than any pod takes to start.
const SETTLED: Duration = Duration::from_secs(1);

/// Simulates the cluster that a sandbox's state folder configures, until `stop` ends.
///
/// # Errors
/// There is no configuration in the folder, another process has its lock, or a port is taken.
pub async fn serve(folder: &std::path::Path, stop: impl Future<Output = ()>) -> io::Result<()> {
    let config = RehearsalConfig::read(folder)?;
    // Released by the end of the process only: whoever stops it waits for that.
    let lock = ManuallyDrop::new(RehearsalLock::acquire(folder)?);
    let api = bind(config.api.unwrap_or(0), "the Kubernetes API").await?;
    let mut ports = Vec::new();
    for (number, port) in Port::ALL {
        let host = config.ports.get(&number).copied().unwrap_or(number);
        ports.push((bind(host, port.name()).await?, port));
    }
    // The node's port for the registry is whichever is published: no NodePort leads to it.
    let is_registry = |node: &u16| names::PUBLISHED.iter().all(|published| published.node_port != *node);
    for (_, host) in config.ports.iter().filter(|(node, _)| is_registry(node)) {
        ports.push((bind(*host, Port::Registry.name()).await?, Port::Registry));
    }
    let address = api.local_addr()?;
    let server = ApiServer::at(&address.to_string(), config.minor);
    let cluster = Cluster::new(server.clone(), config.faults.clone());
    cluster.register(&config.node, &[]);
    {
        let cluster = cluster.clone();
        serve_on(api, move |request| {
            let cluster = cluster.clone();
            async move { cluster.kubernetes(request).await }
        });
    }
    for (listener, port) in ports {
        let cluster = cluster.clone();
        serve_on(listener, move |request| {
            let cluster = cluster.clone();
            async move { cluster.port(port, request).await }
        });
    }
    lock.publish(address.port())?;

    let mut stop = std::pin::pin!(stop);
    let (mut seen, mut changed) = (None, Instant::now());
    loop {
        let version = Some(server.version());
        if version != seen {
            (seen, changed) = (version, Instant::now());
        }
        if changed.elapsed() < SETTLED {
            cluster.reconcile(None);
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn bind(port: u16, what: &str) -> io::Result<TcpListener> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("port {port} ({what}): {error}")))
}

fn serve_on<F>(listener: TcpListener, answer: impl Fn(Request) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = axum::response::Response> + Send + 'static,
{
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
}
