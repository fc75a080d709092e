//! Checks of the propellers: workers and leadership.
//!
//! A propeller's readiness says only that its process runs. It has workers once it is leader and has read its
//! namespace; it may then still be unable to tell admin, which its log shows.

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;

use crate::failure::Reason;
use crate::flyte::labels::WORKFLOW_NAMESPACE as LABEL;
use crate::flyte::names;
use crate::kubernetes::Locks;
use crate::spec::WorkflowNamespace;

use super::check_failure::{CheckFailure, CheckResult, all};
use super::propeller_log::{LogFinding, PropellerFault, diagnose};
use super::target::CheckContext;

/// The port of a propeller's metrics.
const METRICS_PORT: u16 = 10254;
/// Lines of a propeller's log to read; enough to see what it repeats.
const LOG_LINES: i64 = 80;

/// P1: every propeller has free workers.
///
/// One is enough: a propeller at work has fewer than it started, and the metric is 0 until they start. A propeller
/// whose workers are all busy at every look of a minute is worth a failure too.
pub(super) async fn have_workers(context: &CheckContext<'_>) -> CheckResult {
    let system = context.spec.system_namespace();
    each(context, async |namespace: &WorkflowNamespace, pod: &str| {
        let metrics = context.api.pod(&system, pod, METRICS_PORT, "metrics").await?;
        let asked = format!("workers of propeller {system}/{pod}");
        match free_workers(&metrics, &namespace.name) {
            Some(free) if free > 0 => Ok(String::new()),
            Some(_) => Err(CheckFailure::new(asked, "none are free: not leader yet, or its namespace cannot be read")),
            None => Err(CheckFailure::new(asked, format!("it does not watch namespace {}", namespace.name))
                .hint(format!("its limit-namespace must be {}", namespace.name))),
        }
    })
    .await
}

/// P2: every propeller holds its own lock, and so no two share one.
pub(super) async fn lead(context: &CheckContext<'_>) -> CheckResult {
    let system = context.spec.system_namespace();
    let locks = Locks::new(&context.api.client(), &system, context.spec.flyte.facts().election);
    each(context, async |namespace: &WorkflowNamespace, pod: &str| {
        let lock = names::propeller_lock(namespace);
        let asked = locks.words(&lock);
        let Some(lock) = context.api.ask(&asked, locks.api().get_opt(&lock)).await? else {
            return Err(CheckFailure::new(asked, "it does not exist: no propeller has tried to lead"));
        };
        match locks.holder(&lock).as_deref() {
            Some(holder) if holder == pod => Ok(String::new()),
            Some(holder) => Err(CheckFailure::new(asked, format!("held by {holder:?}, not by pod {pod}"))),
            None => Err(CheckFailure::new(asked, "it names no leader")),
        }
    })
    .await
}

/// A check of the running pod of every workflow namespace's propeller. A failure is explained by its log.
async fn each(context: &CheckContext<'_>, look: impl AsyncFn(&WorkflowNamespace, &str) -> CheckResult) -> CheckResult {
    let system = context.spec.system_namespace();
    let pods = running(context.api.pods(&system, LABEL).await?);
    let look = &look;
    let looks = context.spec.workflow_namespaces().into_iter().map(|namespace| {
        let (system, pod) = (&system, pods.get(&namespace.name));
        async move {
            let Some(pod) = pod else {
                let asked = format!("propeller of {}", namespace.name);
                return Err(CheckFailure::new(
                    asked,
                    format!("no running pod in {system} with label {LABEL}={}", namespace.name),
                ));
            };
            let Err(failure) = look(&namespace, pod).await else { return Ok(String::new()) };
            Err(match log_finding(context, system, pod).await {
                Some(found) => with_log_finding(failure, found),
                None => failure,
            })
        }
    });
    all(join_all(looks).await, "propellers")
}

/// The known fault that the log of a workflow namespace's propeller shows.
pub(super) async fn namespace_log_finding(context: &CheckContext<'_>, namespace: &str) -> Option<LogFinding> {
    let system = context.spec.system_namespace();
    let pods = running(context.api.pods(&system, &format!("{LABEL}={namespace}")).await.ok()?);
    log_finding(context, &system, pods.get(namespace)?).await
}

/// The failure of a check, explained by the log.
pub(super) fn with_log_finding(failure: CheckFailure, found: LogFinding) -> CheckFailure {
    let failure = CheckFailure { seen: format!("{}; {}", failure.seen, found.what), ..failure };
    let failure = match found.fault {
        PropellerFault::StuckConnection => failure.reason(Reason::ConnectionStuck),
        _ => failure,
    };
    failure.evidence([found.line]).hint(found.hint)
}

async fn log_finding(context: &CheckContext<'_>, system: &str, pod: &str) -> Option<LogFinding> {
    let found = diagnose(&context.api.log_tail(system, pod, LOG_LINES).await)?;
    let hint = found.hint.replace("POD", pod).replace("NAMESPACE", system);
    Some(LogFinding { hint, ..found })
}

/// Names of the running pods that are not being deleted, by workflow namespace.
fn running(pods: Vec<Pod>) -> BTreeMap<String, String> {
    let stays = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
    };
    let named = |pod: Pod| Some((pod.metadata.labels?.get(LABEL)?.clone(), pod.metadata.name?));
    pods.into_iter().filter(stays).filter_map(named).collect()
}

/// The gauge of free workers that a propeller limited to `namespace` exports.
fn free_workers(metrics: &str, namespace: &str) -> Option<u32> {
    let gauge = format!("flyte:propeller:{}:free_workers_count", namespace.replace('-', "_"));
    let line = metrics.lines().find_map(|line| line.strip_prefix(&gauge))?;
    let value = line.rsplit(['}', ' ']).next()?.trim().parse::<f64>().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count, exported as a float")]
    (0.0..1e6).contains(&value).then_some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::free_workers;

    #[test]
    fn free_workers_are_read_from_metrics() {
        let gauge = "flyte:propeller:103020_flytepoc_x_t_dev:free_workers_count";
        let table = [
            (format!("# TYPE {gauge} gauge\n{gauge} 20\nother 1"), Some(20)),
            (format!("{gauge}{{shard=\"0\"}} 3"), Some(3)),
            (format!("{gauge} 2e+01"), Some(20)),
            (format!("{gauge} 0"), Some(0)),
            (format!("{gauge} NaN"), None),
            (gauge.to_owned(), None),
            ("flyte:propeller:103020_flytepoc_x_d_dev:free_workers_count 20".to_owned(), None),
            (String::new(), None),
        ];
        for (metrics, expected) in table {
            assert_eq!(free_workers(&metrics, "103020-flytepoc-x-t-dev"), expected, "{metrics}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_metrics_can_be_read(value in ".*") {
            let gauge = "flyte:propeller:n:free_workers_count";
            let free = free_workers(&format!("{gauge}{value}"), "n");
            proptest::prop_assert!(free.is_none_or(|free| free < 1_000_000));
        }
    }
}
