//! A working Flyte on a throw-away k3d cluster, in one command.
//!
//! One direction, one type between any two stages:
//!
//! ```text
//! flags+env+file ─► Spec ─┐
//! manifests ─► Bundle ────┴► Rendered ─► Plan ─► preflight ─► cluster ∥ images ─► apply ─► rollout ─► smoke ─► report
//! ```
//!
//! | module | stage | kind |
//! |---|---|---|
//! | [`spec`] | what the user wants, with the origin of every value | pure |
//! | [`release`] | the Flyte releases in this binary, and what differs between them | pure |
//! | [`flyte`] | Flyte as the rest sees it: names, labels, ports, its custom resource, admin's HTTP API | pure |
//! | [`flytekit`] | what flytekit's programs are called with, and what they write | pure, but for copies of code |
//! | [`manifest`] | Kubernetes objects as data, and the bundle they come in | pure |
//! | [`render`] | named transforms that turn a bundle into what this sandbox runs | pure |
//! | [`plan`] | everything that would happen, as data | pure |
//! | [`preflight`] | the checks before anything is changed | reads |
//! | [`docker`] | the Docker Engine API | effect |
//! | [`cluster`] | the k3d cluster and its readiness | effect |
//! | [`context`] | an attached cluster: its kubeconfig context, missing prerequisites, the admin's manifests | reads |
//! | [`images`] | images into the node, and the store that keeps them there | effect |
//! | [`kubernetes`] | server-side apply, inventory, pruning | effect |
//! | [`rollout`] | when a workload is ready, and what it waits for until then | pure reducer, thin wait |
//! | [`smoke`] | checks of a working Flyte, and of its permissions | effect |
//! | [`report`] | one event stream and its views | fold |
//! | [`timeline`] | what took how long in a run, from its events | pure |
//! | [`page`] | a run as a file to look at | pure, but for the file |
//! | [`runs`] | recorded runs | writes and reads its own folder |
//! | [`evidence`] | what a failure leaves to read, saved before it is undone | reads, writes its own folder |
//! | [`site`] | the cluster that a sandbox is on: a node in Docker, namespaces of an existing cluster, or a rehearsal | effect |
//! | [`backup`] | the format of a backup | reads, writes what it is given |
//! | [`lifecycle`] | the stages in order: `up`, `down`, `status` | effect |
//! | [`reason`] | why a run fails: one catalogue, and the words it is recognised by | pure |
//! | [`rehearsal`] | a simulated sandbox, for trying and for tests | effect |
//! | [`ui`] | the page that `sandbox ui` serves | reads |
//! | [`cli`] | the only user of argv, environment, streams and exit codes | edge |
//!
//! `docs/architecture.md` has the invariants and the tests that hold them.

pub mod backup;
pub mod cli;
pub mod cluster;
pub mod context;
pub mod deadline;
pub mod digest;
pub mod docker;
pub mod evidence;
pub mod failure;
pub mod files;
pub mod flyte;
pub mod flytekit;
pub mod images;
pub mod issuer;
pub mod kubernetes;
pub mod lifecycle;
pub mod limits;
pub mod lock;
pub mod manifest;
pub mod page;
pub mod plan;
pub mod preflight;
pub mod process;
pub mod reason;
pub mod rehearsal;
pub mod release;
pub mod render;
pub mod report;
pub mod rollout;
pub mod run;
pub mod runs;
pub mod site;
pub mod smoke;
pub mod spec;
pub mod stage;
pub mod state;
pub mod store;
pub mod text;
pub mod timeline;
pub mod ui;
pub mod yaml;
