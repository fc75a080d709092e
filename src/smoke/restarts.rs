//! Components that restart while they are checked.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::check_failure::CheckFailure;
use super::target::CheckContext;
use crate::failure::{Failure, Reason};
use crate::report::{Event, Outcome};
use crate::rollout::{ContainerLife, container_lives, died_since};
use crate::run::Run;

/// Lines of the log of a container that died.
const LOG_LINES: i64 = 8;

/// The components' containers; none where the API does not list them.
pub(super) async fn look(context: &CheckContext<'_>) -> Option<Vec<ContainerLife>> {
    listed(context).await.ok()
}

async fn listed(context: &CheckContext<'_>) -> Result<Vec<ContainerLife>, CheckFailure> {
    Ok(container_lives(&context.api.pods(&context.spec.system_namespace(), "").await?))
}

/// The failure of components that died since `before`; with what else failed as its evidence, for that may be why.
pub(super) async fn failure(
    context: &CheckContext<'_>,
    before: &[ContainerLife],
    failed: Option<&Failure>,
    run: &Run,
) -> Option<Failure> {
    let died = died_since(before, listed(context).await.ok()?);
    let first = died.first()?;
    let system = context.spec.system_namespace();
    let what = format!("{} restarted during the checks", counted(died.iter().map(|life| life.container.as_str())));
    let mut failure =
        Failure::new(Reason::ComponentRestarted, what).on(format!("pod {system}/{}", first.pod)).because(ended(first));
    let logs = join_all(died.iter().map(async |life| {
        let log = context.api.last_words(&system, &life.pod, &life.container, life.runs, LOG_LINES).await;
        let head = format!("{}: {}, {} restarts", life.container, ended(life), life.restarts);
        std::iter::once(head).chain(log).collect::<Vec<_>>()
    }));
    for lines in logs.await {
        failure = failure.evidence(lines);
    }
    if let Some(failed) = failed {
        failure = failure.evidence([failed.to_string()]).evidence(failed.evidence.clone());
    }
    run.report.emit(Event::Probe {
        id: "restarts".to_owned(),
        title: "no component restarts during the checks".to_owned(),
        outcome: Outcome::Failed,
        detail: format!("{}: {}", first.container, ended(first)),
        millis: 0,
    });
    Some(failure)
}

/// Names, each once, with how often where that is more: `flyteadmin, flytepropeller (9 pods)`.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    let told = counts.into_iter().map(|(name, count)| match count {
        1 => name.to_owned(),
        count => format!("{name} ({count} pods)"),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn ended(life: &ContainerLife) -> String {
    life.last_end.as_ref().map_or_else(|| "how its container ended is not known".to_owned(), |end| end.how.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_of_several_pods_is_named_once() {
        for (names, told) in [
            (&["flyteadmin"][..], "flyteadmin"),
            (&["flytepropeller", "flyteadmin", "flytepropeller"], "flyteadmin, flytepropeller (2 pods)"),
        ] {
            assert_eq!(counted(names.iter().copied()), told);
        }
    }
}
