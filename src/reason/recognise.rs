//! The reasons behind the words of Docker, k3d, k3s, the kubelet, the API and Flyte's components.
//!
//! `tests/fixtures/words/` has a real log for every pattern; a test holds that each is recognised, and that words that
//! only look like them are not.

use super::catalogue::Reason;

/// Whose words they are: the same words mean different things in different mouths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Speaker {
    /// The daemon.
    Docker,
    /// A registry, through Docker or through the node's containerd.
    Registry,
    /// `k3d` itself.
    K3d,
    /// k3s, in the node's log.
    K3s,
    /// A container of Flyte's, in its last words.
    Component,
}

/// Words that tell a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Whose.
    pub speakers: &'static [Speaker],
    /// All of these stand in it, in lower case.
    pub words: &'static [&'static str],
    /// What it is then.
    pub reason: Reason,
}

const fn pattern(speakers: &'static [Speaker], words: &'static [&'static str], reason: Reason) -> Pattern {
    Pattern { speakers, words, reason }
}

use Speaker::{Component, Docker, K3d, K3s, Registry};

/// The daemon speaks through k3d as well.
const DAEMON: &[Speaker] = &[Docker, K3d];
const ANY: &[Speaker] = &[Docker, Registry, K3d, K3s, Component];

/// The first that matches tells.
pub const PATTERNS: &[Pattern] = &[
    pattern(ANY, &["no space left on device"], Reason::DiskFull),
    pattern(DAEMON, &["port is already allocated"], Reason::PortTaken),
    pattern(DAEMON, &["address already in use"], Reason::PortTaken),
    pattern(DAEMON, &["ports are not available"], Reason::PortTaken),
    pattern(DAEMON, &["forbidden by its access permissions"], Reason::PortTaken),
    pattern(DAEMON, &["non-overlapping ipv4 address pool"], Reason::SubnetsExhausted),
    pattern(DAEMON, &["all predefined address pools have been fully subnetted"], Reason::SubnetsExhausted),
    pattern(&[K3d], &["cannot connect to the docker daemon"], Reason::DockerLost),
    pattern(&[K3d], &["error during connect"], Reason::DockerLost),
    pattern(&[Docker, K3d, Registry], &["toomanyrequests"], Reason::RegistryLimited),
    pattern(&[Registry], &["http 429"], Reason::RegistryLimited),
    pattern(&[Registry], &["x509:"], Reason::RegistryCertificate),
    pattern(&[Registry], &["no matching manifest for"], Reason::ImagePlatform),
    pattern(&[Registry], &["no match for platform in manifest"], Reason::ImagePlatform),
    pattern(&[Registry], &["manifest unknown"], Reason::ImageUnknown),
    pattern(&[Registry], &["manifest for", "not found"], Reason::ImageUnknown),
    pattern(&[Registry], &["name unknown"], Reason::ImageUnknown),
    pattern(&[Registry], &["pull access denied"], Reason::RegistryDenied),
    // The whole of what the daemon says since 20.10, with the status that is told beside it.
    pattern(&[Registry], &["denied (status"], Reason::RegistryDenied),
    pattern(&[Registry], &["unauthorized"], Reason::RegistryDenied),
    pattern(&[Registry], &["no basic auth credentials"], Reason::RegistryDenied),
    pattern(&[Registry], &["no such host"], Reason::RegistryUnreachable),
    pattern(&[Registry], &["server misbehaving"], Reason::RegistryUnreachable),
    pattern(&[Registry], &["connection refused"], Reason::RegistryUnreachable),
    pattern(&[Registry], &["i/o timeout"], Reason::RegistryUnreachable),
    pattern(&[Registry], &["client.timeout exceeded"], Reason::RegistryUnreachable),
    pattern(&[K3s, Component], &["too many open files"], Reason::NodeInotify),
    pattern(&[K3s], &["failed to find memory cgroup"], Reason::NodeCgroup),
    pattern(&[K3s], &["failed to find cpu cgroup"], Reason::NodeCgroup),
    pattern(&[K3s], &["cannot enter cgroupv2"], Reason::NodeCgroup),
    pattern(&[K3s], &["configured to not run on a host using cgroup v1"], Reason::NodeCgroup),
    pattern(&[K3s], &["table does not exist (do you need to insmod?)"], Reason::NodeIptables),
    pattern(&[K3s], &["could not fetch rule set generation id"], Reason::NodeIptables),
    pattern(&[Component], &["exec format error"], Reason::ImagePlatform),
    pattern(&[Component], &["lfstack.push invalid packing"], Reason::ImagePlatform),
    pattern(&[Component], &["taggedpointerpack"], Reason::ImagePlatform),
    pattern(&[Component], &["qemu: uncaught target signal"], Reason::ImagePlatform),
    pattern(&[Component], &["password authentication failed"], Reason::DatabaseRefused),
    pattern(&[Component], &["dial tcp", ":5432:", "connection refused"], Reason::DatabaseRefused),
    pattern(&[Component], &["invalidaccesskeyid"], Reason::StorageRefused),
    pattern(&[Component], &["signaturedoesnotmatch"], Reason::StorageRefused),
    pattern(&[Component], &["nosuchbucket"], Reason::StorageRefused),
];

/// What a speaker's words tell, if they are known.
#[must_use]
pub fn recognise(speaker: Speaker, words: &str) -> Option<Reason> {
    let words = words.to_lowercase();
    let matches = |pattern: &&Pattern| {
        pattern.speakers.contains(&speaker) && pattern.words.iter().all(|word| words.contains(word))
    };
    PATTERNS.iter().find(matches).map(|pattern| pattern.reason)
}
