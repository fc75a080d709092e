//! How long each wait may take: one table, which `sandbox doctor -v` prints.

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
    /// `sandbox down` as a whole, without `--timeout`.
    DOWN = minutes(1);
    /// `sandbox smoke` as a whole, without `--timeout`.
    SMOKE = minutes(5);
    /// A change of a running sandbox as a whole, without `--timeout`: `project add`, `project remove`, `credentials renew`.
    CHANGE = minutes(5);
    /// Images on their way into Docker or a file, without `--timeout`: `images pull`, `images bundle`, `images load`.
    IMAGES = minutes(30);
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
    /// flyteadmin's list of projects, brought to what the spec says.
    REGISTRATION = seconds(60);
    /// Workflows that a propeller aborts; it takes well below a second.
    WORKFLOWS_ABORTED = seconds(20);
    /// Namespaces that are deleted with what is in them; a pod has 30 s to end by itself.
    NAMESPACES_GONE = seconds(120);
    /// All objects of a sandbox that leaves namespaces which stay.
    OBJECTS_GONE = seconds(60);
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
    /// CoreDNS, which is ready some ten seconds after the node where its image is there.
    CLUSTER_DNS = seconds(120);
    /// All pulls: a line of 8 Mbit/s carries the 370 MB of the default set in six minutes.
    IMAGES_PULL = seconds(600);
    /// The node's containerd.
    IMAGES_CONTAINERD = seconds(120);
    /// An import into the node: the default set takes some ten seconds, and is unpacked for a while after the last byte.
    IMAGES_IMPORT = seconds(300);
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
