//! Keys that somebody else issues: fetched before a plan is made, and renewed before they end.

use std::time::Duration;

use super::projects::Change;
use super::{Done, Host, Running};
use crate::failure::{Failure, Reason};
use crate::issuer::{self, ends};
use crate::manifest::Bundle;
use crate::report::Outcome;
use crate::run::Run;
use crate::smoke::Executions;
use crate::spec::{Keys, Spec};

/// Keys that end sooner than this are not brought into a sandbox, and replaced in one.
const SOON: Duration = Duration::from_secs(600);

/// Gives the spec the keys that its sandbox has, where that runs, and asks nobody for others.
pub async fn known_keys(spec: &mut Spec, host: &Host) {
    if spec.storage.credentials.is_some()
        && let Ok(running) = Running::find(&spec.name, host).await
    {
        spec.storage.issued = running.inventory.spec.storage.issued;
    }
}

/// Gives the spec a key for each project: those that its sandbox has, and new ones where there are none or they end soon.
///
/// # Errors
/// As [`issuer::issue`].
pub async fn fetch_keys(spec: &mut Spec, host: &Host, run: &Run) -> Result<(), Failure> {
    known_keys(spec, host).await;
    let issued = issuer::issue(spec, SOON, &host.variables, run).await?;
    spec.storage.issued.extend(issued);
    let Spec { projects, storage, .. } = spec;
    storage.issued.retain(|project, _| projects.contains(project));
    Ok(())
}

/// Renews the keys of the sandbox that runs which end `within` that time: their Secrets, their users in the store, and the
/// propellers, which read them when they start. What runs keeps the keys it has, which go on to work until the renewal
/// after this one.
///
/// # Errors
/// There is no such sandbox, its keys are not issued by anybody, or as [`issuer::issue`] and as `up`.
pub async fn renew_keys(name: &str, within: Duration, bundle: Bundle, host: &Host, run: &Run) -> Result<Done, Failure> {
    let spec = Running::find(name, host).await?.inventory.spec;
    if spec.storage.credentials.is_none() {
        return Err(Failure::new(Reason::Usage, "nobody issues this sandbox's keys, so they never end")
            .on(format!("sandbox {name}"))
            .hint("`storage.credentials` in sandbox.yaml names who does; then `sandbox up`"));
    }
    let issued = issuer::issue(&spec, within, &host.variables, run).await?;
    let first = |spec: &Spec| {
        let all = spec.projects.iter().map(|project| spec.storage.keys_of(project));
        let next = all.filter(|keys| keys.expires_at.is_some()).min_by_key(|keys| keys.expires_at);
        ends(&next.unwrap_or_else(Keys::default))
    };
    if issued.is_empty() {
        let summary = format!("no key of sandbox {name} ends so soon; the first to end: {}", first(&spec));
        return Ok(Done { outcome: Outcome::Unchanged, summary });
    }
    let renewed = issued.keys().cloned().collect::<Vec<_>>().join(", ");
    let mut after = spec.clone();
    after.storage.issued.extend(issued);
    let next = first(&after);
    let change = Change { project: &renewed, bundle, command: "credentials renew", executions: Executions::None };
    let outcome = change
        .make(name, host, run, |now| {
            let mut spec = now.clone();
            spec.storage.issued = after.storage.issued;
            Ok(spec)
        })
        .await?;
    Ok(Done { outcome, summary: format!("new keys for {renewed}; the first to end: {next}") })
}
