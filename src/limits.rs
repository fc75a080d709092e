//! How long each wait may take: one table, which `sandbox doctor -v` prints.
//!
//! Every limit stands here. A pause between two tries is none: it stands where the tries are made, under one of a few
//! names that a test knows (`POLL`, `PAUSE` and so on).

use std::time::Duration;

use crate::report::Event;

/// The limit of one kind of wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name, such as `STAGE_GRACE`.
    pub constant: &'static str,
    /// The longest time that it may take.
    pub time: Duration,
    /// What is waited for.
    pub wait: &'static str,
}

/// Makes a constant of each limit, and [`ALL`] of them.
macro_rules! limits {
    ($($(#[doc = $wait:literal])+ $name:ident = $time:expr;)*) => {
        $($(#[doc = $wait])+ pub const $name: Duration = $time;)*

        /// Every limit there is.
        pub const ALL: &[Limit] =
            &[$(Limit { constant: stringify!($name), time: $name, wait: concat!($($wait),+) }),*];
    };
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

limits! {
    /// `sandbox up` as a whole, without `--timeout`.
    UP = minutes(15);
    /// A spare that was taken, until it passes its checks; it takes four seconds. Then the sandbox is made without it.
    SPARE = seconds(20);
    /// `sandbox down` as a whole, without `--timeout`.
    DOWN = minutes(1);
    /// `sandbox stop` as a whole, without `--timeout`.
    STOP = minutes(1);
    /// `sandbox start` as a whole, without `--timeout`.
    START = minutes(5);
    /// `sandbox backup` as a whole, without `--timeout`.
    BACKUP = minutes(30);
    /// `sandbox snapshot save` as a whole, without `--timeout`.
    SNAPSHOT = minutes(10);
    /// `sandbox reset` as a whole, without `--timeout`.
    RESET = minutes(5);
    /// `sandbox smoke` as a whole, without `--timeout`.
    SMOKE = minutes(5);
    /// A look of `sandbox status` at admin's projects, the buckets, or the tables.
    STATUS_LOOK = seconds(2);
    /// Migrations of a database that lacks tables.
    MIGRATION = minutes(1);
    /// A propeller that is about to end and holds its lock; the next one waits for it anyway.
    LOCK_RELEASE = seconds(5);
    /// A change of a running sandbox as a whole, without `--timeout`: `project add`, `project remove`, `credentials renew`.
    CHANGE = minutes(5);
    /// Images on their way into Docker or a file, without `--timeout`: `images pull`, `images bundle`, `images load`.
    IMAGES = minutes(30);
    /// `sandbox run` as a whole, without `--timeout`.
    RUN = minutes(60);
    /// The last lines of an execution's logs, after its end.
    LAST_LINES = seconds(5);
    /// `sandbox gc` as a whole.
    GC = minutes(15);
    /// A connection to the Kubernetes API, TLS included.
    API_CONNECT = seconds(2);
    /// The Kubernetes API's silence in the middle of any request or watch.
    API_SILENCE = seconds(30);
    /// A request's body that the Kubernetes API does not read.
    API_WRITE = seconds(30);
    /// One watch, which then starts again; shorter than `API_SILENCE`, so that a quiet watch is no error.
    API_WATCH = seconds(20);
    /// One attempt of a request that is repeated until the run's deadline.
    API_REQUEST = seconds(30);
    /// One request that is not repeated: the inventory, a list, a log, a review.
    API_ANSWER = seconds(10);
    /// One request of a smoke check to the Kubernetes API, which may itself have to reach a pod.
    SMOKE_API = seconds(3);
    /// One request of a smoke check to a published port.
    SMOKE_HTTP = seconds(2);
    /// One more look at what is told in a failure.
    API_EXPLAIN = seconds(2);
    /// A kind that a CustomResourceDefinition has just brought, or a namespace, until it is there.
    KIND_SERVED = seconds(30);
    /// A CustomResourceDefinition until its kind is served.
    KIND_ESTABLISHED = seconds(60);
    /// Credentials of a kubeconfig, which may come from a plugin that asks the user.
    CREDENTIAL_PLUGIN = seconds(120);
    /// The answer of a credential helper of Docker's configuration, which may ask the user.
    CREDENTIAL_HELPER = seconds(60);
    /// flyteadmin's list of projects, brought to what the spec says.
    REGISTRATION = seconds(60);
    /// Workflows that a propeller aborts; it takes well below a second.
    WORKFLOWS_ABORTED = seconds(20);
    /// Namespaces that are deleted with what is in them; a pod has 30 s to end by itself.
    NAMESPACES_GONE = seconds(120);
    /// All objects of a sandbox that leaves namespaces which stay.
    OBJECTS_GONE = seconds(60);
    /// A pod that a reset deletes, or a finalizer of somebody else's; then it is forced. The kubelet gives a pod two seconds.
    FINALIZERS = seconds(4);
    /// The containers of a pod that is deleted by force; the kubelet gives them two seconds.
    CONTAINERS_KILLED = millis(2500);
    /// Tables that a reset empties, while others still read them.
    TABLES_EMPTIED = seconds(10);
    /// A stage that its own waits did not end, after the run's deadline.
    STAGE_GRACE = seconds(1);
    /// `sandbox doctor` as a whole.
    DOCTOR = seconds(30);
    /// `sandbox diagnose` as a whole.
    DIAGNOSE = seconds(30);
    /// A command that reads and prints: `plan`, `render`, `status`, `logs` and so on.
    QUERY = minutes(2);
    /// A command that does not notice a signal or its deadline, because something blocks it.
    BLOCKED_GRACE = millis(1500);
    /// A reader of the output that stalls, after a signal or the run's deadline.
    READER_GRACE = millis(1500);
    /// A kubectl that holds the lock of the file that `kubeconfig --merge` changes, which takes it milliseconds.
    KUBECTL_LOCK = seconds(5);
    /// The output of a program that has ended, where a process that it left behind holds it open.
    CHILD_OUTPUT = millis(500);
    /// A Docker daemon that is asked for the first time.
    DOCKER_CONNECT = seconds(2);
    /// The same of a product that stops its virtual machine when nobody uses it, and wakes it in three to ten seconds.
    DOCKER_WAKES = seconds(12);
    /// A look at a virtual machine's disk and kernel by a container, which takes half a second.
    MACHINE_LOOK = seconds(10);
    /// One run of a program for another processor, which an emulator starts in a second or two.
    FOREIGN_PROGRAM = seconds(30);
    /// A data volume that is copied.
    VOLUME_COPY = minutes(10);
    /// A request to Docker and its whole answer; or the next part of an answer that comes in parts. The slowest, the
    /// removal of a node, takes two seconds.
    DOCKER_REQUEST = seconds(30);
    /// The next part of a `docker save`, which writes nothing before it has gathered all images.
    DOCKER_SAVE = seconds(300);
    /// The next word of a `docker pull`: the daemon tells of every half megabyte, and of every pause it makes.
    DOCKER_PULL = seconds(60);
    /// A Docker that was there and fails to answer, where a node is watched: it may be reloading.
    DOCKER_RECOVERY = seconds(10);
    /// `k3d version`, which takes milliseconds.
    K3D_VERSION = seconds(5);
    /// The removal of a container: the kernel may have gigabytes of a killed node to free.
    NODE_REMOVAL = seconds(20);
    /// A cluster that takes pods, from the creation of its node: some 20 s on two cores, ten times that on a slow disk.
    CLUSTER_READY = seconds(240);
    /// A request to the API of a cluster that starts; it is repeated.
    CLUSTER_ANSWER = seconds(2);
    /// An API of a cluster that starts and rejects our credentials: k3s makes its certificates anew while it starts.
    CLUSTER_REJECTION = seconds(20);
    /// A listener on this machine that is to accept a connection.
    PORT_ACCEPTS = millis(200);
    /// A port of a container that is gone, at a forwarder that looks every three seconds.
    PORT_LINGERS = seconds(8);
    /// An API that does not answer here before the node is asked whether it does there.
    API_SILENT = seconds(8);
    /// A published port that leads nowhere though the API answers in the node: Lima looks for ports every three seconds.
    PORT_ARRIVES = seconds(10);
    /// A node's answer to whether its API answers there.
    NODE_ANSWER = seconds(3);
    /// A node that says that its disk is full: one that has room again says so after some 25 s.
    DISK_PRESSURE = seconds(45);
    /// CoreDNS, which is ready some ten seconds after the node where its image is there.
    CLUSTER_DNS = seconds(120);
    /// All pulls: a line of 8 Mbit/s carries the 370 MB of the default set in six minutes.
    IMAGES_PULL = seconds(600);
    /// The node's containerd.
    IMAGES_CONTAINERD = seconds(120);
    /// An import into the node: the default set takes some ten seconds, and is unpacked for a while after the last byte.
    IMAGES_IMPORT = seconds(300);
    /// The node's containerd, once whoever makes the node has given up and told why.
    IMAGES_GRACE = seconds(2);
    /// The removal of an image store, which nobody else may claim meanwhile.
    IMAGE_STORE_REMOVAL = seconds(60);
    /// Docker that tells that a node which somebody removes is gone.
    NODE_GONE = seconds(2);
    /// A new container, network or volume of a k3d that was killed: without one for this long, its requests are worked off.
    DOCKER_QUIET = millis(600);
    /// The freeze of a container whose processes start others meanwhile, so that the runtime does not catch them all.
    DOCKER_FREEZE = seconds(5);
    /// The pause before the next try that the Kubernetes API asks for.
    API_RETRY_AFTER = seconds(10);
    /// The kubelet's first look at the pods of a node that was started again, some 5 s after the API answers.
    POD_STATUS_RENEWED = seconds(30);
    /// One wave's workloads until they are ready; a node that has just started needs some 20 s for the slowest of them.
    WAVE = seconds(300);
    /// An error of a pod that the kubelet tries again by itself, until it is taken for hopeless: two attempts.
    POD_RETRIED = seconds(20);
    /// A pod that no node has room for: terminating pods give their room back within their 30 s of grace.
    POD_UNSCHEDULABLE = seconds(60);
    /// A pod of an execution on its way, such as `ContainerCreating`, until `sandbox run` tells of it.
    POD_QUIET = seconds(3);
    /// A controller that is refused a pod, until that is taken for hopeless.
    POD_REFUSED = seconds(20);
    /// The log of a workload that failed.
    FAILURE_LOG = seconds(5);
    /// One request to Minio, which is repeated: a NodePort that is not routed yet may swallow a connection.
    STORE_REQUEST = seconds(5);
    /// The next part of an object that is read from Minio.
    STORE_SILENCE = seconds(30);
    /// All requests to Minio for the projects' buckets and keys.
    PROJECT_STORAGE = seconds(60);
    /// The source of a project's keys.
    CREDENTIAL_SOURCE = seconds(10);
    /// flyteadmin's executions of a project that leaves the spec, before the plan is made; it takes milliseconds.
    PLAN_ADMIN = seconds(5);
    /// All requests to Minio for the size of buckets whose projects leave the spec.
    LEAVING_PROJECTS = seconds(5);
    /// The smoke checks after an `up`: a propeller that has just been restarted waits out its predecessor's lease of 15 s.
    CHECKS_AFTER_UP = seconds(45);
    /// The smoke checks of a sandbox that should be ready already.
    CHECKS_WHEN_READY = seconds(20);
    /// What `sandbox ui` knows already, for the first page, which then says what is still asked for.
    UI_FIRST = millis(100);
    /// A list of the machine's sandboxes for `sandbox ui`.
    UI_LIST = seconds(5);
    /// A sandbox's answer to `sandbox ui`.
    UI_LOOK = seconds(5);
    /// A sandbox's executions for `sandbox ui`; what is not asked for by then comes first the next time.
    UI_EXECUTIONS = seconds(3);
    /// A browser that does not ask `sandbox ui` again; then nothing is asked for any more.
    UI_UNWATCHED = seconds(10);
    /// A program that opens a browser, until it is taken to have done so.
    BROWSER_START = seconds(3);
    /// All endpoints of a sandbox, asked at once for `sandbox status`.
    STATUS_ANSWERS = seconds(1);
    /// A wrong answer to a smoke check, until it counts: the API's authoriser reads new Roles late.
    CHECK_SETTLED = seconds(3);
    /// An attempt at a smoke check that is under way at the deadline.
    CHECK_GRACE = seconds(3);
    /// One execution of a workflow, from its creation to its end.
    EXECUTION = seconds(120);
    /// A new execution in the lists of its workflow namespace.
    EXECUTION_LISTED = seconds(5);
    /// An execution's log at the dashboard: the kubelet may be a moment behind the container.
    EXECUTION_LOG = seconds(10);
    /// A request to flyteadmin for an execution, repeated: a gateway that was just told of admin may answer 503 for a while.
    EXECUTION_REQUEST = seconds(20);
    /// A propeller's first sign of a new execution, which takes seconds.
    PROPELLER_SILENCE = seconds(25);
    /// All evidence of a failure; what has not answered by then is noted as missing.
    EVIDENCE = seconds(20);
    /// One source of evidence.
    EVIDENCE_SOURCE = seconds(5);
    /// A first answer for evidence: whether there is an API, an engine, an inventory at all.
    EVIDENCE_ANSWER = seconds(3);
    /// A failed `up` that takes back what it made.
    ROLLBACK = seconds(60);
    /// A rehearsal's process that binds its ports.
    REHEARSAL_START = seconds(10);
    /// A rehearsal's process that was sent SIGTERM, and then SIGKILL.
    REHEARSAL_END = seconds(3);
    /// The lock of a rehearsal's process that is ending.
    REHEARSAL_LOCK = seconds(1);
    /// A process that only looks at a lock, and holds it for that moment.
    LOCK_LOOKER = millis(200);
    /// Processes that make the machine key at the same time.
    MACHINE_KEY = seconds(10);
    /// The last line of a command that is stopped at once, on a standard error that may not take it.
    LAST_LINE = millis(100);
    /// The end of a text that is being printed when the command is interrupted.
    PRINT_GRACE = millis(100);
    /// Tasks that a command leaves behind when it ends.
    RUNTIME_END = millis(100);
}

impl Limit {
    /// The limit as a line of the event stream.
    #[must_use]
    pub fn event(&self) -> Event {
        Event::Limit {
            name: self.constant.to_lowercase().replace('_', "-"),
            millis: u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            wait: self.wait.trim().trim_end_matches('.').to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_says_what_is_waited_for() {
        for limit in ALL {
            assert!(!limit.time.is_zero() && limit.wait.ends_with('.'), "{limit:?}");
        }
    }
}
