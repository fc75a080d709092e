//! The transforms, in the order in which they run.
//!
//! | file | what |
//! |---|---|
//! | `gateway.rs` | a static Envoy in the place of Contour |
//! | `left_out.rs` | no parts that need the whole cluster |
//! | `left_behind.rs` | what nobody needs once they are gone |
//! | `dashboard.rs` | the Kubernetes dashboard, for task logs |
//! | `api_versions.rs` | only API versions that old and new Kubernetes serve |
//! | `secret_settings.rs` | settings that a component reads from a Secret, in a ConfigMap |
//! | `namespace.rs` | the system namespace and the workflow namespaces, and every reference to them |
//! | `containers.rs` | a component's container by its name, and the ports that programs listen on |
//! | `listeners.rs` | the ports that settings say, for other transforms |
//! | `kinds.rs` | nothing that Kubernetes does not serve, or that keeps pods from one node |
//! | `outside.rs` | no database, store or issuer of somebody else's |
//! | `one_node.rs` | pods that one node can take |
//! | `projects_and_domains.rs` | Flyte's domains and namespace template; projects are admin's API's |
//! | `unused_settings.rs` | no settings that nothing reads |
//! | `storage.rs` | a bucket that is there, on a volume that is used |
//! | `database.rs` | a database that is there, and those who wait for it |
//! | `name_lookups.rs` | DNS queries that are repeated after a second |
//! | `log_links.rs` | links from tasks to their logs |
//! | `offline_console.rs` | a console whose page needs nothing from the internet |
//! | `offline_console.js` | what its server loads for that |
//! | `task_resources.rs` | what task pods ask for, and may have |
//! | `pace.rs` | propellers that look at their workflows often |
//! | `one_config_file.rs` | propellers that use up few of the machine's watches |
//! | `images.rs` | pinned images |
//! | `data_volume.rs` | Postgres' and Minio's data on the node's data volume |
//! | `postgres_start.sh` | what Postgres does there before its own entrypoint |
//! | `claims.rs` | claims for storage as folders of the data volume |
//! | `deployments.rs` | each component as a Deployment |
//! | `registry.rs` | a registry for images that people push |
//! | `scheduler.rs` | flytescheduler, where the spec asks for it |
//! | `ports.rs` | the three ports for the host, and none else |
//! | `resources.rs` | limits that do not slow the start, and hold |
//! | `probes.rs` | a readiness probe for every component |
//! | `limit_namespace.rs` | one propeller for each workflow namespace |
//! | `project_storage.rs` | a bucket for each project, and keys that open it alone |
//! | `minimal_permissions.rs` | exactly the permissions that the code uses |
//! | `network_policies.rs` | pods that are reached only by those who have business with them |
//! | `attached_cluster.rs` | on an attached cluster, without cluster-scoped objects and NodePorts |
//! | `labels.rs` | whose objects these are |
//! | `config_checksum.rs` | pods that restart when their configuration changes |
//! | `edit.rs` | edits that several of them make |

mod api_versions;
mod attached_cluster;
mod claims;
mod config_checksum;
mod containers;
mod dashboard;
mod data_volume;
mod database;
mod deployments;
mod edit;
mod gateway;
mod images;
mod kinds;
mod labels;
mod left_behind;
mod left_out;
mod limit_namespace;
mod listeners;
mod log_links;
mod minimal_permissions;
mod name_lookups;
mod namespace;
mod network_policies;
mod offline_console;
mod one_config_file;
mod one_node;
mod outside;
mod pace;
mod ports;
mod probes;
mod project_storage;
mod projects_and_domains;
mod registry;
mod resources;
mod scheduler;
mod secret_settings;
mod storage;
mod task_resources;
mod unused_settings;

use super::context::{Context, Draft};
use super::error::RenderError;

/// A pure, idempotent step from any Flyte to what this sandbox runs.
pub struct Transform {
    /// How `render --explain` calls it.
    pub name: &'static str,
    /// Why there is such a transform, as a clause after `because`.
    pub why: &'static str,
    /// The step.
    pub run: fn(&Context<'_>, &mut Draft) -> Result<(), RenderError>,
}

/// All transforms, in the order in which they run.
pub static TRANSFORMS: &[Transform] = &[
    Transform {
        name: "gateway",
        why: "Contour needs cluster-wide permissions and an API that Kubernetes 1.22 removed; a static Envoy needs neither",
        run: gateway::run,
    },
    Transform {
        name: "scheduler",
        why: "schedules are for whoever asks for them: a poll of the database each 30 s, and one program more",
        run: scheduler::run,
    },
    Transform {
        name: "left-out",
        why: "a part without the permissions that it needs would fail, and the rollout with it",
        run: left_out::run,
    },
    Transform { name: "dashboard", why: "the console links task logs to a Kubernetes dashboard", run: dashboard::run },
    Transform { name: "api-versions", why: "Kubernetes 1.22 removed the beta versions", run: api_versions::run },
    Transform {
        name: "secret-settings",
        why: "settings in a Secret are hidden from those who must read and set some of them",
        run: secret_settings::run,
    },
    Transform {
        name: "namespace",
        why: "namespaces are named <appid>-<project>-<env>, and every reference must follow",
        run: namespace::run,
    },
    Transform {
        name: "containers",
        why: "what leads to a component, asks it or shows its log must know its container and its ports",
        run: containers::run,
    },
    Transform {
        name: "kinds",
        why: "an object that Kubernetes does not serve ends the apply, and a quota or a budget keeps pods from one node",
        run: kinds::run,
    },
    Transform {
        name: "outside",
        why: "nothing in a sandbox may speak to somebody's database, store or issuer by accident",
        run: outside::run,
    },
    Transform {
        name: "one-node",
        why: "one node has no pools, no classes and no room for two of each",
        run: one_node::run,
    },
    Transform {
        name: "projects-and-domains",
        why: "admin must know the domains and which namespace is whose, and must not restart when a project comes or goes",
        run: projects_and_domains::run,
    },
    Transform {
        name: "unused-settings",
        why: "settings that nothing reads mislead their reader",
        run: unused_settings::run,
    },
    Transform {
        name: "storage",
        why: "nothing creates the bucket, and Minio's volume is mounted where Minio does not write",
        run: storage::run,
    },
    Transform {
        name: "database",
        why: "admin does not create its database, and datacatalog panics while there is none",
        run: database::run,
    },
    Transform {
        name: "name-lookups",
        why: "all pods of a node that starts again look each other up before CoreDNS is there, and wait five seconds for \
              each lost query",
        run: name_lookups::run,
    },
    Transform {
        name: "log-links",
        why: "task logs, those of map tasks too, must open in the dashboard's port on this host",
        run: log_links::run,
    },
    Transform {
        name: "offline-console",
        why: "a page that loads its scripts from the internet is blank without it",
        run: offline_console::run,
    },
    Transform {
        name: "task-resources",
        why: "flytekit with pandas is killed for lack of memory with upstream's defaults",
        run: task_resources::run,
    },
    Transform {
        name: "pace",
        why: "a propeller paced for thousands of workflows takes half a minute for one task",
        run: pace::run,
    },
    Transform {
        name: "one-config-file",
        why: "a propeller watches each of its files with an inotify instance of its own, and a user has 128",
        run: one_config_file::run,
    },
    Transform {
        name: "registry",
        why: "whoever asks for it pushes images to a registry on this machine, and the node pulls them by the same names",
        run: registry::run,
    },
    Transform { name: "images", why: "versions are pinned in one lock file", run: images::run },
    Transform {
        name: "data-volume",
        why: "data in a pod's own volume is lost with the pod, and with every stop of a k3d node",
        run: data_volume::run,
    },
    Transform { name: "claims", why: "no provisioner runs in a sandbox, so no claim is ever bound", run: claims::run },
    Transform {
        name: "deployments",
        why: "each component is one pod, whose data is on the node's volume",
        run: deployments::run,
    },
    Transform { name: "ports", why: "the host reaches exactly three ports of the node", run: ports::run },
    Transform {
        name: "resources",
        why: "a processor limit slows the start, and a small disk limit evicts pods for their own logs",
        run: resources::run,
    },
    Transform {
        name: "probes",
        why: "without a readiness probe a rollout ends before anything works",
        run: probes::run,
    },
    Transform {
        name: "limit-namespace",
        why: "a propeller watches exactly one namespace, or the whole cluster",
        run: limit_namespace::run,
    },
    Transform {
        name: "project-storage",
        why: "a project's workflows must not read or write another's data",
        run: project_storage::run,
    },
    Transform {
        name: "minimal-permissions",
        why: "every ServiceAccount has exactly the permissions that its component's code uses",
        run: minimal_permissions::run,
    },
    Transform {
        name: "network-policies",
        why: "who asks for it wants pods that are reached only by those who have business with them",
        run: network_policies::run,
    },
    Transform {
        name: "attached-cluster",
        why: "on an attached cluster an administrator makes namespaces and kinds, and NodePorts belong to everybody",
        run: attached_cluster::run,
    },
    Transform {
        name: "labels",
        why: "only what carries this sandbox's label is ever changed or removed",
        run: labels::run,
    },
    Transform {
        name: "config-checksum",
        why: "components read their configuration only when they start",
        run: config_checksum::run,
    },
];
