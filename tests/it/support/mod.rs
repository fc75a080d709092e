//! Stand-ins for the world outside, besides those that a rehearsal is made of.
//!
//! | file | what |
//! |---|---|
//! | `conformance.rs` | what a Kubernetes API and its double must answer alike |
//! | `docker.rs` | a Docker daemon in memory |
//! | `docker_containers.rs` | what it does to containers that are there, and refuses to do |
//! | `docker_exec.rs` | commands inside its containers |
//! | `docker_images.rs` | what it does with images |
//! | `flyte.rs` | a Flyte that is up, and can be broken |
//! | `minio.rs` | a Minio as its administrator sees it |
//! | `attached.rs` | an attached cluster, whose user has permissions in some namespaces only |
//! | `database.rs` | a Postgres in memory, and the programs that migrate it |
//! | `on_node.rs` | a sandbox on a node of its own |
//! | `machine.rs` | a machine on which a sandbox is rehearsed by the real binary |
//! | `ports.rs` | ports that no other test takes |
//! | `objects.rs` | objects as Helm charts write them |
//! | `releases.rs` | what upstream's Helm chart writes for several releases |
//! | `stage.rs` | one smoke stage, played to its end |
//! | `wait.rs` | waits of the tests, each with an end |

pub(crate) mod attached;
pub(crate) mod conformance;
pub(crate) mod database;
pub(crate) mod docker;
mod docker_containers;
mod docker_exec;
mod docker_images;
pub(crate) mod flyte;
pub(crate) mod machine;
pub(crate) mod minio;
pub(crate) mod objects;
pub(crate) mod on_node;
pub(crate) mod ports;
pub(crate) mod releases;
pub(crate) mod stage;
pub(crate) mod wait;
