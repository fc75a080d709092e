//! The arrival of published ports on this machine: between it and a Docker in a virtual machine is a forwarder, which may
//! not pass a port on.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _, select_all};

use crate::failure::{Failure, Reason};
use crate::flyte::admin::HEALTH;
use crate::flyte::names::{PUBLISHED_CONSOLE, PUBLISHED_DASHBOARD, PUBLISHED_MINIO, PublishedService};
use crate::limits::PORT_ARRIVES;

use super::s3;
use super::target::{CheckContext, loopback};

const POLL: Duration = Duration::from_millis(250);

/// A published port, and what answers behind it.
struct Published {
    service: PublishedService,
    port: u16,
    /// What a Service that is well answers with 200, without a leading slash.
    path: &'static str,
}

/// What a port on this machine and the Service behind it have in common.
enum Seen {
    Arrived,
    /// The Service answers in the cluster, and nobody here, for this reason.
    Lost(String),
    /// Neither answers.
    Silent,
}

impl Published {
    fn all(context: &CheckContext<'_>) -> [Self; 3] {
        let of = |service, port, path: &'static str| Self { service, port, path: path.trim_start_matches('/') };
        [
            of(PUBLISHED_CONSOLE, context.ports.console, HEALTH),
            of(PUBLISHED_DASHBOARD, context.ports.dashboard, ""),
            of(PUBLISHED_MINIO, context.ports.minio, s3::HEALTH),
        ]
    }

    async fn look(&self, context: &CheckContext<'_>) -> Seen {
        // Whatever the status, somebody answered.
        let Err(here) = context.http.get(&loopback(self.port, "/")).await else { return Seen::Arrived };
        let (namespace, port) = (context.spec.system_namespace(), self.service.port.to_string());
        match context.api.service(&namespace, self.service.service, &port, self.path).await {
            Ok(_) => Seen::Lost(here.seen),
            Err(_) => Seen::Silent,
        }
    }

    /// The failure of a port that is lost for as long as one takes to arrive; never ends where it arrives.
    async fn lost(self, context: &CheckContext<'_>) -> Failure {
        let mut since = None;
        loop {
            // First of all: where all is well, the checks are done before anything more is asked.
            tokio::time::sleep(POLL).await;
            match self.look(context).await {
                Seen::Arrived => return std::future::pending().await,
                Seen::Silent => since = None,
                Seen::Lost(seen) if since.get_or_insert_with(Instant::now).elapsed() >= PORT_ARRIVES => {
                    return self.failure(&seen);
                }
                Seen::Lost(_) => {}
            }
        }
    }

    fn failure(&self, seen: &str) -> Failure {
        let Self { service: PublishedService { purpose, service, .. }, port, .. } = self;
        Failure::new(Reason::PortUnreachable, "a published port does not arrive on this machine")
            .on(format!("port {port} ({purpose})"))
            .because(format!("service {service} answers in the cluster, and 127.0.0.1:{port} does not: {seen}"))
    }
}

/// The failure of the first published port that does not arrive here though its Service answers in the cluster; never ends
/// where all arrive. An attached cluster publishes none.
pub(super) async fn lost(context: &CheckContext<'_>) -> Failure {
    if !context.spec.scope().publishes_ports {
        return std::future::pending().await;
    }
    let all = Published::all(context).map(|published| -> BoxFuture<'_, Failure> { published.lost(context).boxed() });
    select_all(all).await.0
}

/// What is seen of an endpoint whose port is lost just now; absent where it is not, or has none of these ports.
pub(super) async fn lost_now(context: &CheckContext<'_>, endpoint: &str) -> Option<String> {
    let port = match endpoint {
        "console" | "admin" => context.ports.console,
        "dashboard" => context.ports.dashboard,
        "minio" => context.ports.minio,
        _ => return None,
    };
    let published = Published::all(context).into_iter().find(|published| published.port == port)?;
    match published.look(context).await {
        Seen::Lost(seen) => {
            Some(format!("{seen}: its Service answers, and port {port} does not arrive on this machine"))
        }
        _ => None,
    }
}
