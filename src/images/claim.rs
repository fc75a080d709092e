//! Claims of image stores on the daemon, where runs with other state folders see them too.
//!
//! A claim is an empty volume of its own name, as a label cannot be changed and a lock file is one machine account's. Who
//! claims makes the volume first and looks at the claims of the store then: of two at once at least one sees the other,
//! and whoever sees another's claim has none.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

use humantime::{format_rfc3339_seconds, parse_rfc3339};

use crate::cluster::{self, CLUSTER_LABEL};
use crate::docker::{self, Docker, Volume};

/// The label of a claim; its value is the store's volume.
const CLAIM_LABEL: &str = "sandbox.flyte/claim";
/// When a claim ends that its run did not take back: RFC 3339 in UTC.
const ENDS_LABEL: &str = "sandbox.flyte/claim-ends";
/// How far two machines' clocks may be apart.
pub(crate) const CLOCKS: Duration = Duration::from_secs(10 * 60);
/// Looks at the claims of others that may be about to give way, and the time between two.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// A claim on the daemon.
#[derive(Debug)]
pub(super) struct DaemonClaim {
    volume: String,
}

impl DaemonClaim {
    /// Claims a store for a run that lasts no longer than this, unless another run has. As part of `cluster` it is removed
    /// with it, and an earlier claim of the same cluster is one that was left behind: there is one cluster of a name.
    pub(super) async fn take(
        docker: &Docker,
        store: &str,
        cluster: Option<&str>,
        lasts: Duration,
    ) -> Result<Option<Self>, docker::Error> {
        let now = SystemTime::now();
        let ends = now.checked_add(lasts.saturating_add(CLOCKS)).unwrap_or(now + CLOCKS);
        let ends = format_rfc3339_seconds(ends).to_string();
        let token = RandomState::new().build_hasher().finish();
        let prefix = cluster.map_or_else(|| "sandbox-claim-".to_owned(), cluster::claim_prefix);
        let claim = Self { volume: format!("{prefix}{token:016x}") };
        let mut labels = vec![(CLAIM_LABEL, store), (ENDS_LABEL, ends.as_str())];
        labels.extend(cluster.into_iter().flat_map(cluster::cluster_labels));
        docker.create_volume(&claim.volume, &labels).await?;
        let alone = claim.is_alone(docker, store, cluster, now).await;
        if !matches!(alone, Ok(true)) {
            claim.release(docker).await;
        }
        alone.map(|alone| Some(claim).filter(|_| alone))
    }

    /// Whether nobody else claims the store. Of several that came at once all but the one whose name comes first give way
    /// at the first look, and that one looks again; a claim that was there before does not give way.
    async fn is_alone(
        &self,
        docker: &Docker,
        store: &str,
        cluster: Option<&str>,
        now: SystemTime,
    ) -> Result<bool, docker::Error> {
        for _ in 0..LOOKS {
            let claims = docker.volumes(&format!("{CLAIM_LABEL}={store}")).await?;
            let others = claims.iter().filter(|other| other.name != self.volume);
            let (left_behind, rivals): (Vec<_>, Vec<_>) = others.partition(|other| is_left_behind(other, cluster, now));
            for claim in left_behind {
                let _ = docker.remove_volume(&claim.name).await;
            }
            if rivals.is_empty() {
                return Ok(true);
            }
            if rivals.iter().any(|rival| rival.name < self.volume) {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(false)
    }

    /// Takes the claim back. Where that fails, it goes with its cluster, or ends by itself.
    pub(super) async fn release(&self, docker: &Docker) {
        let _ = docker.remove_volume(&self.volume).await;
    }
}

fn is_left_behind(claim: &Volume, cluster: Option<&str>, now: SystemTime) -> bool {
    let label = |key: &str| claim.labels.get(key).map(String::as_str);
    let of_same_cluster = cluster.is_some() && label(CLUSTER_LABEL) == cluster;
    of_same_cluster || label(ENDS_LABEL).and_then(|ends| parse_rfc3339(ends).ok()).is_none_or(|ends| ends < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_counts_until_it_ends_or_its_cluster_claims_anew() {
        let claim = |labels: &[(&str, &str)]| Volume {
            name: "c".to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created: String::new(),
            mountpoint: String::new(),
        };
        let now = parse_rfc3339("2026-11-27T12:00:00Z").expect("a time");
        let ends = |time| claim(&[(ENDS_LABEL, time), (CLUSTER_LABEL, "a")]);
        for (claim, cluster, left_behind) in [
            (ends("2026-11-27T12:00:01Z"), Some("b"), false),
            (ends("2026-11-27T12:00:01Z"), None, false),
            (ends("2026-11-27T12:00:01Z"), Some("a"), true),
            (ends("2026-11-27T11:59:59Z"), Some("b"), true),
            (ends("soon"), Some("b"), true),
            (claim(&[]), None, true),
        ] {
            assert_eq!(is_left_behind(&claim, cluster, now), left_behind, "{claim:?} {cluster:?}");
        }
    }
}
