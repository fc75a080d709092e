//! Names of Deployments, ServiceAccounts, locks and Services.

use crate::spec::WorkflowNamespace;

/// The Deployment, Service and ServiceAccount of flyteadmin.
pub const ADMIN: &str = "flyteadmin";

/// The Deployment, Service and ServiceAccount of the Kubernetes dashboard.
pub const DASHBOARD: &str = "kubernetes-dashboard";

/// The Deployment of Flyte's console.
pub const CONSOLE: &str = "flyteconsole";

/// The Deployment and ServiceAccount of datacatalog.
pub const DATACATALOG: &str = "datacatalog";

/// The Deployment and Service in front of console and admin.
pub const GATEWAY: &str = "gateway";

/// The Deployment of Minio.
pub const MINIO: &str = "minio";

/// The Deployment of the registry for pushed images.
pub const REGISTRY: &str = "image-registry";

/// What the names of all propellers begin with.
pub const PROPELLER: &str = "flytepropeller";

/// The Deployment of the propeller of one workflow namespace.
#[must_use]
pub fn propeller(workflow: &WorkflowNamespace) -> String {
    format!("{PROPELLER}-{}-{}", workflow.project, workflow.domain)
}

/// The ServiceAccount of all propellers of a project, so that none reaches another project's namespaces.
#[must_use]
pub fn propeller_account(project: &str) -> String {
    format!("{PROPELLER}-{project}")
}

/// The Role by which a project's propellers may hold their locks.
#[must_use]
pub fn propeller_lock_role(project: &str) -> String {
    format!("{PROPELLER}-leader-{project}")
}

/// The lock by which the propeller of one workflow namespace is elected leader. The propeller makes it itself,
/// without a label.
#[must_use]
pub fn propeller_lock(workflow: &WorkflowNamespace) -> String {
    format!("propeller-leader-{}-{}", workflow.project, workflow.domain)
}

/// The ConfigMap with the settings of the propeller of one workflow namespace.
#[must_use]
pub fn propeller_config(workflow: &WorkflowNamespace) -> String {
    format!("flyte-propeller-config-{}-{}", workflow.project, workflow.domain)
}

/// A Service that is reached from the user's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedService {
    /// What the user calls it, such as `console`.
    pub purpose: &'static str,
    /// The Service's name.
    pub service: &'static str,
    /// The Service's first port, which is the one that is published.
    pub port: u16,
    /// The node's port that leads to it.
    pub node_port: u16,
}

/// Console and admin.
pub const PUBLISHED_CONSOLE: PublishedService =
    PublishedService { purpose: "console", service: GATEWAY, port: 80, node_port: 30081 };

/// The Kubernetes dashboard, for task logs.
pub const PUBLISHED_DASHBOARD: PublishedService =
    PublishedService { purpose: "dashboard", service: DASHBOARD, port: 80, node_port: 30082 };

/// Minio's S3 API and browser.
pub const PUBLISHED_MINIO: PublishedService =
    PublishedService { purpose: "minio", service: "minio-direct", port: 9000, node_port: 30084 };

/// Postgres, where the spec asks for it.
pub const PUBLISHED_POSTGRES: PublishedService =
    PublishedService { purpose: "postgres", service: "postgres", port: 5432, node_port: 30083 };

/// All of them, but for the registry, which is no Service.
pub const PUBLISHED: [PublishedService; 4] =
    [PUBLISHED_CONSOLE, PUBLISHED_DASHBOARD, PUBLISHED_POSTGRES, PUBLISHED_MINIO];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_workflow_namespace() {
        let workflow =
            WorkflowNamespace { project: "x".to_owned(), domain: "d-dev".to_owned(), name: "a-x-d-dev".to_owned() };
        assert_eq!(propeller(&workflow), "flytepropeller-x-d-dev");
        assert_eq!(propeller_lock(&workflow), "propeller-leader-x-d-dev");
        assert_eq!(propeller_config(&workflow), "flyte-propeller-config-x-d-dev");
        assert_eq!(propeller_account("x"), "flytepropeller-x");
        assert_eq!(propeller_lock_role("x"), "flytepropeller-leader-x");
    }
}
