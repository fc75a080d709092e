//! The checks: id, title, what a pass proves, how long to keep asking.

use std::fmt;
use std::time::Duration;

/// A check's stable identifier: the component's letter and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the catalogue documents each")]
pub enum Id {
    A1,
    A2,
    C1,
    C2,
    M1,
    M2,
    M3,
    D1,
    D2,
    D3,
    K1,
    P1,
    P2,
    R1,
    R2,
    R3,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its identifier.
    pub id: Id,
    /// What it looks at, as a user reads it.
    pub title: &'static str,
    /// What a pass proves.
    pub proves: &'static str,
    /// How long to keep asking before a miss is final; the run's budget may end earlier.
    pub patience: Duration,
}

/// A process may still be starting, a lease may have to run out, a Service may not be routed yet.
const STARTING: Duration = Duration::from_secs(60);
/// Roles do not mend themselves; only the authoriser's cache may be behind.
const SETTLED: Duration = Duration::from_secs(3);

const fn check(id: Id, title: &'static str, proves: &'static str, patience: Duration) -> Check {
    Check { id, title, proves, patience }
}

/// All checks, in the order in which a failing one is likely to be the cause of those after it within its component.
pub const CATALOGUE: [Check; 16] = [
    check(
        Id::A1,
        "admin answers through the gateway",
        "the console port is published, the gateway routes /healthcheck, and flyteadmin's process serves HTTP",
        STARTING,
    ),
    check(
        Id::A2,
        "admin lists the projects and domains",
        "flyteadmin reads its database, every configured project is registered, the domains are exactly the configured",
        STARTING,
    ),
    check(Id::C1, "console answers", "the gateway routes /console and the console's server is up", STARTING),
    check(
        Id::C2,
        "console loads and reaches admin",
        "the page is the console's, its script is served, and the request it makes for the projects is answered",
        STARTING,
    ),
    check(Id::M1, "Minio is healthy", "the Minio port is published and its storage is online", STARTING),
    check(Id::M2, "Minio's browser loads", "the object browser is on", STARTING),
    check(
        Id::M3,
        "Minio keeps an object in the bucket",
        "the bucket exists, and the credentials can write, read and delete an object",
        STARTING,
    ),
    check(
        Id::D1,
        "dashboard loads without a login",
        "the dashboard port is published and log links open without a login page",
        STARTING,
    ),
    check(
        Id::D2,
        "dashboard sees the pods of every workflow namespace",
        "task logs can be opened in every project and domain",
        STARTING,
    ),
    check(
        Id::D3,
        "dashboard sees nothing else",
        "pods of kube-system and secrets of the system namespace are refused to it",
        SETTLED,
    ),
    check(
        Id::K1,
        "datacatalog answers",
        "datacatalog has migrated its database and its Service points at its HTTP port",
        STARTING,
    ),
    check(
        Id::P1,
        "every propeller has workers",
        "each propeller is leader, has read its namespace, and has started its workers",
        STARTING,
    ),
    check(
        Id::P2,
        "every propeller leads its own namespace",
        "each propeller holds its own lock, and no two share one",
        STARTING,
    ),
    check(
        Id::R1,
        "what must be allowed is allowed",
        "every ServiceAccount has the verbs that its component uses, in every namespace it works in",
        SETTLED,
    ),
    check(
        Id::R2,
        "what must be denied is denied",
        "no ServiceAccount reads secrets, crosses into another project, or sees the cluster",
        SETTLED,
    ),
    check(
        Id::R3,
        "nothing is granted cluster-wide",
        "no ClusterRole or ClusterRoleBinding is ours or names a ServiceAccount of ours",
        SETTLED,
    ),
];

#[cfg(test)]
mod tests {
    use super::CATALOGUE;

    #[test]
    fn ids_are_distinct_and_in_order() {
        assert!(CATALOGUE.windows(2).all(|pair| (pair[0].id as u8) < (pair[1].id as u8)));
    }
}
