//! The catalogue of smoke checks: id, title, what a pass proves.

use std::fmt;

use crate::failure::Reason;

/// A check's stable identifier: the component's letter and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the catalogue documents each")]
pub enum Id {
    A1,
    A2,
    A3,
    A5,
    C1,
    C2,
    M1,
    M2,
    M3,
    M4,
    D1,
    D2,
    D3,
    D4,
    K1,
    P1,
    P2,
    R1,
    R2,
    R3,
    I1,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A smoke check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its identifier.
    pub id: Id,
    /// The title that a user reads.
    pub title: &'static str,
    /// What a pass proves.
    pub proves: &'static str,
    /// The reason of a run that fails because of it.
    pub reason: Reason,
}

const fn check(id: Id, reason: Reason, title: &'static str, proves: &'static str) -> Check {
    Check { id, title, proves, reason }
}

/// Checks of the whole sandbox, in the order in which a failing check is likely to be the cause of those after it within
/// its component.
pub const CATALOGUE: [Check; 17] = [
    check(
        Id::A1,
        Reason::AdminFailing,
        "admin answers through the gateway",
        "the console port is published, the gateway routes /healthcheck, and flyteadmin's process serves HTTP",
    ),
    check(
        Id::A2,
        Reason::AdminFailing,
        "admin lists the projects and domains",
        "flyteadmin reads its database, every configured project is registered, the domains are exactly the configured",
    ),
    check(
        Id::C1,
        Reason::ConsoleFailing,
        "console answers",
        "the gateway routes /console and the console's server is up",
    ),
    check(
        Id::C2,
        Reason::ConsoleFailing,
        "console loads and reaches admin",
        "the page is the console's, its scripts are served, and the request it makes for the projects is answered",
    ),
    check(Id::M1, Reason::StorageFailing, "Minio is healthy", "the Minio port is published and its storage is online"),
    check(Id::M2, Reason::StorageFailing, "Minio's browser loads", "the object browser is on"),
    check(
        Id::M3,
        Reason::StorageFailing,
        "Minio keeps an object in the bucket",
        "the bucket exists, and the credentials can write, read and delete an object",
    ),
    check(
        Id::M4,
        Reason::StorageFailing,
        "each project's keys open its own bucket alone",
        "every project has a bucket, its propellers' keys work there, and are refused in another project's and in admin's",
    ),
    check(
        Id::D1,
        Reason::DashboardFailing,
        "dashboard loads without a login",
        "the dashboard port is published and log links open without a login page",
    ),
    check(
        Id::D2,
        Reason::DashboardFailing,
        "dashboard reads the pods of every workflow namespace",
        "task logs can be opened in every project and domain",
    ),
    check(
        Id::D3,
        Reason::PermissionExcess,
        "dashboard reads nothing else",
        "pods of kube-system and secrets of the system namespace are forbidden to it",
    ),
    check(
        Id::K1,
        Reason::DatacatalogFailing,
        "datacatalog answers",
        "datacatalog has migrated its database and its Service points at its HTTP port",
    ),
    check(
        Id::P1,
        Reason::PropellerFailing,
        "every propeller has workers",
        "each propeller is leader, has read its namespace, and has started its workers",
    ),
    check(
        Id::P2,
        Reason::PropellerFailing,
        "every propeller leads its own namespace",
        "each propeller holds its own lock, and no two share one",
    ),
    check(
        Id::R1,
        Reason::PermissionMissing,
        "every required permission is granted",
        "every ServiceAccount has the verbs that its component uses, in every namespace it works in",
    ),
    check(
        Id::R2,
        Reason::PermissionExcess,
        "no other permission is granted",
        "no ServiceAccount reads secrets, crosses into another project, or sees the cluster",
    ),
    check(
        Id::R3,
        Reason::PermissionExcess,
        "nothing is granted cluster-wide",
        "no ClusterRole or ClusterRoleBinding is ours or names a ServiceAccount of ours",
    ),
];

/// The check of the registry, where the spec asks for one.
pub(super) const REGISTRY: Check = check(
    Id::I1,
    Reason::RegistryFailing,
    "registry answers",
    "the registry port is published, and the registry speaks the protocol that `docker push` speaks",
);

/// Checks of one project and domain by a workflow that runs in it, one after the other.
pub const EXECUTION: [Check; 3] = [
    check(
        Id::A3,
        Reason::WorkflowFailed,
        "a workflow is registered and read back",
        "flyteadmin compiles a workflow, writes it to the object store and reads it from there",
    ),
    check(
        Id::A5,
        Reason::WorkflowFailed,
        "an execution of it succeeds",
        "flyteadmin makes a FlyteWorkflow in the workflow namespace, its propeller runs a pod there and reports to flyteadmin",
    ),
    check(
        Id::D4,
        Reason::WorkflowFailed,
        "its log opens by admin's link",
        "the link leads to the dashboard, which shows what the task wrote",
    ),
];

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, EXECUTION};

    #[test]
    fn ids_are_distinct_and_in_order_and_every_reason_is_of_this_stage() {
        assert!(CATALOGUE.windows(2).all(|pair| (pair[0].id as u8) < (pair[1].id as u8)));
        let smoke = |check: &super::Check| check.reason.entry().stage == Some(crate::stage::Stage::Smoke);
        assert!(CATALOGUE.iter().chain(&EXECUTION).all(smoke));
        assert!(EXECUTION.iter().all(|check| CATALOGUE.iter().all(|other| other.id != check.id)));
    }
}
