//! The wait for CoreDNS.

use std::slice;
use std::time::Duration;

use kube::Client;

use super::node_hosts::complete_node_hosts;
use crate::failure::{Failure, Reason};
use crate::limits::CLUSTER_DNS;
use crate::manifest::ObjectRef;
use crate::report::Stage;
use crate::rollout;
use crate::run::Run;

const POLL: Duration = Duration::from_millis(250);

/// Waits until CoreDNS is ready.
///
/// # Errors
/// What holds its pod back at the deadline; [`Reason::ClusterNotReady`] where nothing is known to.
pub async fn wait_for_dns(client: &Client, run: &Run) -> Result<(), Failure> {
    let deadline = run.deadline.min(CLUSTER_DNS);
    let coredns = ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("kube-system".to_owned()),
        name: "coredns".to_owned(),
    };
    let mut missing = "the API does not answer".to_owned();
    let ready = async {
        loop {
            let seen = match look(client, &coredns).await {
                Ok(None) => return,
                Ok(Some(seen)) => seen,
                Err(failure) => failure.causes.into_iter().next_back().unwrap_or(failure.what),
            };
            if seen != missing {
                run.report.progress(Stage::Rollout, format!("DNS: {seen}"));
                missing = seen;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if deadline.limit(ready).await.is_some() {
        return Ok(());
    }
    let late = Failure::new(Reason::ClusterNotReady, "cluster DNS is not ready").because(deadline.expired_message());
    Err(match rollout::first_cause(client, late.clone(), &coredns).await {
        Some(failure) => failure,
        None => late.on(&coredns).because(missing),
    })
}

/// What CoreDNS waits for, if it is not ready.
async fn look(client: &Client, coredns: &ObjectRef) -> Result<Option<String>, Failure> {
    let waiting = rollout::ready_now(client, slice::from_ref(coredns)).await?;
    let Some(waiting) = waiting.into_iter().next() else { return Ok(None) };
    complete_node_hosts(client)
        .await
        .map_err(|error| error.unread(Reason::ClusterNotReady, "cannot look at the nodes"))?;
    Ok(Some(waiting.reason))
}
