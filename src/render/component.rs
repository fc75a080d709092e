//! Which object belongs to which part of Flyte.

use std::fmt;

use serde::Serialize;

use crate::manifest::Object;

/// A part of Flyte, or of what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "&'static str")]
pub enum Component {
    /// The database of admin and datacatalog.
    Postgres,
    /// The object store.
    Minio,
    /// Remembers outputs of cached tasks.
    Datacatalog,
    /// The API.
    Flyteadmin,
    /// Runs workflows; one instance for each workflow namespace.
    Flytepropeller,
    /// Starts launch plans that have a schedule, where the spec asks for it.
    Flytescheduler,
    /// The browser's view.
    Flyteconsole,
    /// The Kubernetes dashboard, for task logs.
    Dashboard,
    /// The one port in front of console and admin.
    Gateway,
    /// Takes images that people push, where the spec asks for it.
    Registry,
}

impl Component {
    /// All, in the order in which they can start.
    pub const ALL: [Self; 10] = [
        Self::Postgres,
        Self::Minio,
        Self::Datacatalog,
        Self::Flyteadmin,
        Self::Flytepropeller,
        Self::Flytescheduler,
        Self::Flyteconsole,
        Self::Dashboard,
        Self::Gateway,
        Self::Registry,
    ];

    /// The `app.kubernetes.io/name` of its objects, and its key in the image lock and in a spec's `images`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Minio => "minio",
            Self::Datacatalog => "datacatalog",
            Self::Flyteadmin => "flyteadmin",
            Self::Flytepropeller => "flytepropeller",
            Self::Flytescheduler => "flytescheduler",
            Self::Flyteconsole => "flyteconsole",
            Self::Dashboard => "kubernetes-dashboard",
            Self::Gateway => "gateway",
            Self::Registry => "image-registry",
        }
    }

    /// The component of this id.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.id() == id)
    }

    /// Whether what it writes stays on the data volume: files of its own, or rows in the database.
    #[must_use]
    pub const fn keeps_data(self) -> bool {
        matches!(self, Self::Postgres | Self::Minio | Self::Flyteadmin | Self::Datacatalog)
    }

    /// Whether it stores what others write.
    #[must_use]
    pub const fn is_store(self) -> bool {
        matches!(self, Self::Postgres | Self::Minio)
    }

    /// Whether people alone talk to it: nothing in a sandbox waits for it.
    #[must_use]
    pub const fn serves_people(self) -> bool {
        matches!(self, Self::Flyteconsole | Self::Dashboard | Self::Gateway | Self::Registry)
    }

    /// Whether a release may lack it.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::Flytescheduler)
    }

    /// Whether its pods talk to the Kubernetes API.
    #[must_use]
    pub const fn uses_kubernetes(self) -> bool {
        matches!(self, Self::Flyteadmin | Self::Flytepropeller | Self::Dashboard)
    }
}

impl From<Component> for &'static str {
    fn from(component: Component) -> Self {
        component.id()
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The component an object belongs to. Names go before labels: upstream labels the propeller's ConfigMap `flyteadmin`.
#[must_use]
pub fn component_of(object: &Object) -> Option<Component> {
    const STEMS: [(&str, Component); 4] = [
        ("flyte-admin-", Component::Flyteadmin),
        ("flyte-propeller-", Component::Flytepropeller),
        ("flyte-scheduler-", Component::Flytescheduler),
        ("flyte-console-", Component::Flyteconsole),
    ];
    if matches!(object.kind(), "Namespace" | "CustomResourceDefinition") {
        return None;
    }
    let stem = STEMS.into_iter().find(|(stem, _)| object.name().starts_with(stem));
    let label = || ["app.kubernetes.io/name", "k8s-app"].iter().find_map(|key| Component::of_id(object.label(key)?));
    stem.map(|(_, component)| component).or_else(label).or_else(|| Component::of_id(object.name()))
}

/// Whether it makes pods.
pub(super) fn is_workload(object: &Object) -> bool {
    matches!(object.kind(), "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_goes_before_a_wrong_label() {
        let object = |kind: &str, name: &str, label: &str| {
            let labels = json!({"app.kubernetes.io/name": label});
            Object::new(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}}))
                .expect("an object")
        };
        for (kind, name, label, component) in [
            ("ConfigMap", "flyte-propeller-config", "flyteadmin", Some(Component::Flytepropeller)),
            ("ConfigMap", "flyte-propeller-config-x-d-dev", "", Some(Component::Flytepropeller)),
            ("Deployment", "flytepropeller-x-d-dev", "flytepropeller", Some(Component::Flytepropeller)),
            ("Service", "minio-direct", "minio", Some(Component::Minio)),
            ("Deployment", "postgres", "", Some(Component::Postgres)),
            ("Deployment", "flyte-contour-contour", "contour", None),
            ("Namespace", "minio", "minio", None),
        ] {
            assert_eq!(component_of(&object(kind, name, label)), component, "{kind} {name} {label}");
        }
    }
}
