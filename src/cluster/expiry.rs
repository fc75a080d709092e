//! The expiry time of a sandbox. It is kept with Docker: there everybody who may remove the sandbox can read it, from
//! whatever machine account or container, whether the node runs or not.
//!
//! The labels of a container or a volume cannot be changed, so the mark is an empty volume of its own, labelled as part of
//! the cluster, and a renewal is another one.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use humantime::{format_rfc3339_seconds, parse_rfc3339};

use super::labels::{OWNER_LABEL, cluster_labels};
use super::taken::taken;
use crate::docker::{self, Docker, Volume};
use crate::plan::network_name;

/// The label of a mark; its value is the time, RFC 3339 in UTC.
const EXPIRY_LABEL: &str = "sandbox.flyte/expires";

/// Sets the expiry time of a sandbox. Its previous one is removed last, so that there is always one.
///
/// # Errors
/// As Docker's.
pub async fn expire(docker: &Docker, cluster: &str, at: SystemTime) -> Result<(), docker::Error> {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mark, at) = (format!("{}{seconds}", prefix(cluster)), format_rfc3339_seconds(at).to_string());
    let labels: Vec<_> = cluster_labels(cluster).into_iter().chain([(EXPIRY_LABEL, at.as_str())]).collect();
    docker.create_volume(&mark, &labels).await?;
    forget(docker, cluster, |other| other != mark).await
}

/// Removes the expiry time of a sandbox.
///
/// # Errors
/// As Docker's.
pub async fn forget_expiry(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    forget(docker, cluster, |_| true).await
}

/// The expiry time of each sandbox that has one, by name. Of several marks the latest counts: a renewal was interrupted.
///
/// # Errors
/// As Docker's.
pub async fn expiries(docker: &Docker) -> Result<BTreeMap<String, SystemTime>, docker::Error> {
    let mut found = BTreeMap::new();
    let (marks, taken) = tokio::try_join!(docker.volumes(EXPIRY_LABEL), taken(docker))?;
    for (owner, at) in marks.iter().filter_map(read) {
        let sandbox = taken.taker(&owner).map_or(owner.clone(), str::to_owned);
        let latest = found.entry(sandbox).or_insert(at);
        *latest = at.max(*latest);
    }
    Ok(found)
}

/// Whether a volume of this cluster is a mark.
pub(super) fn is_mark(cluster: &str, volume: &str) -> bool {
    volume.strip_prefix(&prefix(cluster)).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn prefix(cluster: &str) -> String {
    format!("{}-expires-", network_name(cluster))
}

fn read(mark: &Volume) -> Option<(String, SystemTime)> {
    let owner = mark.labels.get(OWNER_LABEL)?;
    Some((owner.clone(), parse_rfc3339(mark.labels.get(EXPIRY_LABEL)?).ok()?))
}

async fn forget(docker: &Docker, cluster: &str, which: impl Fn(&str) -> bool) -> Result<(), docker::Error> {
    let marks = docker.volumes(EXPIRY_LABEL).await?;
    let of_cluster = |mark: &&Volume| mark.labels.get(OWNER_LABEL).is_some_and(|owner| owner == cluster);
    let gone = marks.iter().filter(of_cluster).filter(|mark| is_mark(cluster, &mark.name) && which(&mark.name));
    try_join_all(gone.map(|mark| docker.remove_volume(&mark.name))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(labels: &[(&str, &str)]) -> Volume {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Volume { name: "v".into(), labels, created: String::new(), mountpoint: String::new() }
    }

    #[test]
    fn a_mark_without_an_owner_or_a_time_is_none() {
        let (owner, time) = ((OWNER_LABEL, "ci-1"), (EXPIRY_LABEL, "1970-01-01T00:01:00Z"));
        let minute = UNIX_EPOCH + std::time::Duration::from_secs(60);
        assert_eq!(read(&mark(&[owner, time])), Some(("ci-1".to_owned(), minute)));
        for labels in [&[owner][..], &[time], &[owner, (EXPIRY_LABEL, "soon")]] {
            assert_eq!(read(&mark(labels)), None, "{labels:?}");
        }
    }

    #[test]
    fn no_other_volume_of_a_cluster_is_taken_for_a_mark() {
        for (volume, marks) in [
            ("k3d-a-expires-1795000000", true),
            ("k3d-a-images", false),
            ("k3d-a-expires-1-images", false),
            ("k3d-b-expires-1795000000", false),
        ] {
            assert_eq!(is_mark("a", volume), marks, "{volume}");
        }
    }
}
