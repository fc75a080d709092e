//! Somebody else who issues the projects' keys: a file, a program or an HTTP endpoint; docs/storage.md has the contract.
//!
//! | file | what |
//! |---|---|
//! | `contract.rs` | what such a source says, and what is wrong with it |
//! | `source.rs` | the three ways to ask one |

mod contract;
mod source;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::failure::{Failure, Reason};
use crate::run::Run;
use crate::spec::{Keys, Spec};

/// A source that issues keys which end sooner than this would be asked for ever.
const LEAST: Duration = Duration::from_secs(60);

/// New keys for the projects that have none, or whose keys end `within` that time; none where the spec names no source.
/// `variables` are what a program sees.
///
/// # Errors
/// [`Reason::CredentialSource`] where the source does not answer, or with something else than keys;
/// [`Reason::CredentialsEnded`] where they end at once.
pub async fn issue(
    spec: &Spec,
    within: Duration,
    variables: &BTreeMap<String, String>,
    run: &Run,
) -> Result<BTreeMap<String, Keys>, Failure> {
    let mut issued = BTreeMap::new();
    let Some(asked) = &spec.storage.credentials else { return Ok(issued) };
    let is_due = |project: &&String| spec.storage.keys_of(project).is_none_or(|keys| ends_within(&keys, within, now()));
    for project in spec.projects.iter().filter(is_due) {
        let bucket = spec.storage.bucket_of(project);
        let on = |failure: Failure| failure.on(format!("project {project}"));
        let text = source::ask(asked, project, &bucket, variables, run).await.map_err(on)?;
        let keys = contract::read(&text).map_err(|why| {
            on(Failure::new(Reason::CredentialSource, "the source of a project's keys says something else")
                .because(why))
        })?;
        let is_of_program = spec.program_keys(&keys.access_key).is_some();
        if keys.access_key == spec.storage.access_key || is_of_program {
            let what = "the source of a project's keys gives the store's own";
            return Err(on(Failure::new(Reason::CredentialSource, what)));
        }
        if ends_within(&keys, LEAST, now()) {
            let what = "the source of a project's keys gives some that have ended, or are about to";
            return Err(on(Failure::new(Reason::CredentialsEnded, what)).because(format!("they end {}", ends(&keys))));
        }
        issued.insert(project.clone(), keys);
    }
    Ok(issued)
}

/// When keys end, such as `2026-11-26T10:00:00Z`; `never` where they do not.
#[must_use]
pub fn ends(keys: &Keys) -> String {
    time(keys.expires_at)
}

/// A time in seconds since 1970 such as `2026-11-26T10:00:00Z`; `never` where it is absent.
#[must_use]
pub fn time(at: Option<u64>) -> String {
    let at = at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    at.map_or_else(|| "never".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

/// The failure of what needs a project's keys before there are any.
#[must_use]
pub fn unissued(project: &str) -> Failure {
    Failure::new(Reason::CredentialSource, "nobody has issued keys for a project").on(format!("project {project}"))
}

fn ends_within(keys: &Keys, within: Duration, now: u64) -> bool {
    keys.expires_at.is_some_and(|at| at <= now.saturating_add(within.as_secs()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Secret;

    #[test]
    fn keys_are_due_before_they_end() {
        let keys = |expires_at| Keys { access_key: "a".to_owned(), secret_key: Secret::default(), expires_at };
        let within = Duration::from_secs(600);
        let table = [(keys(None), false), (keys(Some(1_600)), true), (keys(Some(1_601)), false), (keys(Some(1)), true)];
        for (keys, due) in table {
            assert_eq!(ends_within(&keys, within, 1_000), due, "{keys:?}");
        }
        assert_eq!(
            (ends(&keys(Some(1_369_353_600))), ends(&keys(None))),
            ("2013-05-24T00:00:00Z".to_owned(), "never".to_owned())
        );
    }
}
