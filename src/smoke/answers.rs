//! The endpoints of a sandbox, asked once: what a status claims.

use std::time::Duration;

use futures::future::join_all;
use kube::Client;
use serde::Serialize;

use super::check_failure::CheckFailure;
use super::http::Http;
use super::target::CheckContext;
use super::{admin, arrival, console, dashboard, registry, s3};
use crate::kubernetes::forward;
use crate::run::Deadline;
use crate::spec::Spec;

/// The endpoints of every sandbox.
const ENDPOINTS: [&str; 4] = ["console", "admin", "dashboard", "minio"];

/// Whether an endpoint answers as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// `console`, `admin`, `dashboard`, `minio` or `registry`.
    pub endpoint: &'static str,
    /// Whether it answered as it should.
    pub is_well: bool,
    /// The answer in one line, such as `HTTP 200`.
    pub seen: String,
}

/// Asks every endpoint once, all at the same moment. On an attached cluster each is reached by port-forward. Takes no
/// longer than `limit`.
pub async fn answers(spec: &Spec, client: &Client, limit: Duration) -> Vec<Answer> {
    let endpoints = ENDPOINTS.into_iter().chain(spec.ports.registry.map(|_| "registry"));
    let all = |seen: &str| {
        endpoints.clone().map(|endpoint| Answer { endpoint, is_well: false, seen: seen.to_owned() }).collect()
    };
    let late = format!("no answer within {} s", limit.as_secs_f32());
    let deadline = Deadline::fixed(limit);
    let Ok(http) = Http::new() else { return all("no HTTP client") };
    let forwarded = match spec.scope().publishes_ports {
        true => None,
        false => match deadline.limit(forward(client, spec)).await {
            Some(Ok(forwarded)) => Some(forwarded),
            Some(Err(failure)) => return all(&failure.to_string()),
            None => return all(&late),
        },
    };
    let ports = forwarded.as_ref().map_or(spec.ports, |forwarded| forwarded.ports);
    let context = &CheckContext::new(spec, ports, http, client.clone());
    let asked = endpoints.clone().map(async |endpoint| {
        let asking = async {
            match endpoint {
                "console" => console::healthy(context).await,
                "admin" => admin::healthy(context).await,
                "dashboard" => dashboard::loads(context).await,
                "registry" => registry::answers(context).await,
                _ => s3::healthy(context).await,
            }
        };
        let seen = deadline.limit(asking).await;
        let seen = seen.unwrap_or_else(|| Err(CheckFailure::new(endpoint, late.clone())));
        let failure = match seen {
            Ok(seen) => return Answer { endpoint, is_well: true, seen },
            Err(failure) => failure,
        };
        let lost = deadline.limit(arrival::lost_now(context, endpoint)).await.flatten();
        Answer { endpoint, is_well: false, seen: lost.unwrap_or(failure.seen) }
    });
    join_all(asked).await
}
