//! Keys that somebody else issues, renewed before they end.

use std::time::Duration;

use super::change::SpecChange;
use super::outcome::Done;
use super::retention::Removal;
use crate::failure::{Failure, Reason};
use crate::issuer;
use crate::manifest::Bundle;
use crate::report::Outcome;
use crate::run::Run;
use crate::site::Host;
use crate::smoke::Executions;
use crate::spec::Spec;

/// Renews the keys of the sandbox that runs which end `within` that time: their Secrets, their users in the store, and the
/// propellers, which read them when they start. What runs keeps the keys it has, which go on to work until the renewal
/// after this one. The issuer is asked when the sandbox's lock is held.
///
/// # Errors
/// There is no such sandbox, its keys are not issued by anybody, or as [`issuer::issue`] and as `up`.
pub async fn renew_keys(
    name: &str,
    within: Duration,
    bundle: Option<Bundle>,
    host: &Host,
    run: &Run,
) -> Result<Done, Failure> {
    let (mut renewed, mut first) = (Vec::new(), String::new());
    let change = SpecChange {
        name,
        command: "credentials renew",
        bundle,
        removal: Removal::Empty,
        executions: Executions::None,
    };
    let edit = change.apply(host, run, async |spec| {
        if spec.storage.credentials.is_none() {
            return Err(Failure::new(Reason::Usage, "nobody issues this sandbox's keys, so they never end")
                .on(format!("sandbox {name}"))
                .hint("`storage.credentials` in sandbox.yaml names who does; then `sandbox up`"));
        }
        let issued = issuer::issue(spec, within, &host.variables, run).await?;
        renewed.extend(issued.keys().cloned());
        let mut spec = spec.clone();
        spec.storage.issued.extend(issued);
        first = first_end(&spec);
        Ok((!renewed.is_empty()).then_some(spec))
    });
    let outcome = edit.await?;
    if renewed.is_empty() {
        return Ok(Done::unchanged(format!("no key of sandbox {name} ends so soon; the first to end: {first}")));
    }
    let summary = format!("new keys for {}; the first to end: {first}", renewed.join(", "));
    Ok(if outcome == Outcome::Unchanged { Done::unchanged(summary) } else { Done::passed(summary) })
}

/// When the first of a spec's keys ends.
fn first_end(spec: &Spec) -> String {
    issuer::time(spec.projects.iter().filter_map(|project| spec.storage.keys_of(project)?.expires_at).min())
}
