//! Leader elections as client-go keeps them: which object is the lock, and who holds it.

use serde_json::{Value, json};

use crate::release::Election;

/// The annotation of a ConfigMap with the record of an election.
const RECORD: &str = "control-plane.alpha.kubernetes.io/leader";

impl Election {
    /// Such as `coordination.k8s.io/v1`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::ConfigMap => "v1",
            Self::Lease => "coordination.k8s.io/v1",
        }
    }

    /// Empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::ConfigMap => "",
            Self::Lease => "coordination.k8s.io",
        }
    }

    /// Such as `Lease`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Lease => "Lease",
        }
    }

    /// Such as `leases`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Lease => "leases",
        }
    }

    /// The pod that holds a lock. Its identity there may carry a suffix of the process's own.
    #[must_use]
    pub fn holder(self, lock: &Value) -> Option<String> {
        let identity = match self {
            Self::ConfigMap => {
                let record = lock["metadata"]["annotations"][RECORD].as_str()?;
                serde_json::from_str::<Value>(record).ok()?["holderIdentity"].as_str()?.to_owned()
            }
            Self::Lease => lock["spec"]["holderIdentity"].as_str()?.to_owned(),
        };
        let pod = identity.split('_').next().unwrap_or_default();
        (!pod.is_empty()).then(|| pod.to_owned())
    }

    /// A lock that a pod holds.
    #[must_use]
    pub fn held_by(self, pod: &str, namespace: &str, name: &str) -> Value {
        let record = json!({"holderIdentity": pod});
        let mut lock = json!({"apiVersion": self.api_version(), "kind": self.kind(),
            "metadata": {"name": name, "namespace": namespace}});
        match self {
            Self::ConfigMap => lock["metadata"]["annotations"] = json!({RECORD: record.to_string()}),
            Self::Lease => lock["spec"] = record,
        }
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_read_from_the_lock() {
        for (record, holder) in [
            (
                r#"{"holderIdentity":"flytepropeller-x-d-dev-1","leaseDurationSeconds":15}"#,
                Some("flytepropeller-x-d-dev-1"),
            ),
            (r#"{"holderIdentity":"flytepropeller-x-d-dev-1_3f"}"#, Some("flytepropeller-x-d-dev-1")),
            (r#"{"holderIdentity":""}"#, None),
            ("{}", None),
            ("x", None),
        ] {
            let map = json!({"metadata": {"annotations": {RECORD: record}}});
            assert_eq!(Election::ConfigMap.holder(&map).as_deref(), holder, "{record}");
            let lease = json!({"spec": serde_json::from_str::<Value>(record).unwrap_or_default()});
            assert_eq!(Election::Lease.holder(&lease).as_deref(), holder, "{record}");
        }
        for election in [Election::ConfigMap, Election::Lease] {
            assert_eq!(election.holder(&json!({})), None);
            assert_eq!(election.holder(&election.held_by("p", "n", "l")).as_deref(), Some("p"));
        }
    }
}
