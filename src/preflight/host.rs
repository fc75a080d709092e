//! Findings about Docker, k3d, memory, disk and inotify.

use super::finding::Finding;
use crate::cluster::Version;
use crate::docker::{About, Endpoint, Origin};
use crate::failure::Reason;
use crate::manifest::ImageRef;

const GIB: u64 = 1 << 30;
/// The oldest Docker API that this program speaks: Docker 20.10.
const API_FLOOR: (u32, u32) = (1, 41);
/// The least memory of Docker: an idle sandbox takes about 1.5 GiB.
const MEMORY_NEEDED: u64 = 2 * GIB;
const MEMORY_WANTED: u64 = 4 * GIB;
/// The least free disk space: images unpack to about 1 GiB, in Docker and again in the node.
const DISK_NEEDED: u64 = 2 * GIB;
const DISK_WANTED: u64 = 5 * GIB;

/// Inotify instances of a node without its propellers, which take one each. Measured: k3s 6, containerd 1, admin 7, datacatalog 4; the
/// rest is for other programs of the user.
const INOTIFY_PER_NODE: u64 = 24;
/// Propellers of another node, as of the default spec.
const PROPELLERS_OF_ANOTHER: u64 = 6;

/// Free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    /// Free bytes.
    pub(super) free: u64,
    /// Total bytes.
    pub(super) size: u64,
}

/// Findings about the Docker daemon: version, endpoint, memory.
pub(super) fn docker(about: &About, endpoint: &Endpoint) -> Vec<Finding> {
    let mut found = Vec::new();
    found.push(match api(&about.api) {
        Some(version) if version < API_FLOOR => Finding::blocker(
            Reason::DockerTooOld,
            "docker",
            format!("Docker {} is too old: it speaks API {}", about.version, about.api),
        )
        .hint("Docker 20.10 or later is needed"),
        _ if !endpoint.is_local() => Finding::blocker(
            Reason::DockerRemote,
            "docker",
            format!("Docker runs on another machine ({endpoint}), so its ports would not be published here"),
        )
        .hint(match endpoint.origin {
            Origin::Context(_) => "run this program there, or `docker context use default`",
            _ => "run this program there, or unset DOCKER_HOST",
        }),
        _ => Finding::fine("docker", format!("Docker {}, API {}, at {endpoint}", about.version, about.api)),
    });
    if about.rootless {
        found.push(
            Finding::warning("rootless", "Docker runs rootless, and k3s may lack permissions")
                .hint("if the node exits at once, use a Docker that runs as root; see docs/portability.md"),
        );
    }
    found.push(memory(about.memory));
    found
}

fn memory(bytes: Option<u64>) -> Finding {
    let Some(bytes) = bytes else { return Finding::fine("memory", "Docker does not report its memory") };
    let memory = format!("{:.1} GiB of memory", gib(bytes));
    if bytes < MEMORY_NEEDED {
        Finding::blocker(Reason::MemoryLow, "memory", format!("Docker has {memory}, needs 2 GiB"))
            .hint("Docker Desktop: Settings, Resources, Memory")
    } else if bytes < MEMORY_WANTED {
        Finding::warning("memory", format!("Docker has {memory}; below 4 GiB workflows may be killed"))
    } else {
        Finding::fine("memory", memory)
    }
}

/// Free space where Docker keeps images and volumes. The kubelet starts to evict pods at one percent.
pub(super) fn disk(root: &str, disk: Disk) -> Finding {
    let room = format!("{:.1} GiB free in {root}", gib(disk.free));
    let way_out = "`docker system prune` frees space";
    if disk.free < DISK_NEEDED || disk.free < disk.size / 100 {
        Finding::blocker(
            Reason::DiskLow,
            "disk",
            format!("{room}, needs {} GiB", (DISK_NEEDED.max(disk.size / 100)) / GIB),
        )
        .hint(way_out)
    } else if disk.free < DISK_WANTED {
        Finding::warning("disk", room).hint(way_out)
    } else {
        Finding::fine("disk", room)
    }
}

/// The limit of inotify instances against the needs of a node with this many propellers. On most machines a user has 128.
/// Without enough, k3s or a propeller fails with `too many open files`.
pub(super) fn inotify(limit: u64, propellers: u64, other_nodes: u64) -> Finding {
    let needed = INOTIFY_PER_NODE + propellers + (INOTIFY_PER_NODE + PROPELLERS_OF_ANOTHER) * other_nodes;
    if limit >= needed {
        return Finding::fine("inotify", format!("{limit} inotify instances per user"));
    }
    let beside = match other_nodes {
        0 => String::new(),
        1 => " beside 1 k3d node".to_owned(),
        many => format!(" beside {many} k3d nodes"),
    };
    Finding::warning(
        "inotify",
        format!("{limit} inotify instances per user may be too few for {propellers} propellers{beside}"),
    )
    .hint(format!("`sudo sysctl -w fs.inotify.max_user_instances={}` raises the limit", needed.next_power_of_two() * 2))
}

/// The compatibility of k3d, Docker and the node image, from k3d's and k3s' change logs.
pub(super) fn k3d(version: Version, about: &About, node_image: &ImageRef) -> Finding {
    let at_least = |major, minor, patch| version >= Version { major, minor, patch };
    let upgrade = |why: String| {
        Finding::blocker(Reason::K3dUnusable, "k3d", why)
            .hint("k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases")
            .hint("`--engine docker` makes the node without k3d")
    };
    if api(&about.min_api).is_some_and(|floor| floor > client_api(version)) {
        return upgrade(format!(
            "k3d {version} is too old for Docker {}, which needs API {}",
            about.version, about.min_api
        ));
    }
    let kubernetes = kubernetes_version(node_image);
    if about.cgroup == Some(2) && !at_least(4, 4, 4) {
        return upgrade(format!("k3d {version} cannot start a node on this machine, which has cgroup v2"));
    }
    if about.cgroup == Some(2) && !at_least(5, 7, 3) && kubernetes.is_some_and(|version| version >= (1, 30, 3)) {
        return upgrade(format!("k3d {version} cannot start {node_image} on cgroup v2"));
    }
    Finding::fine("k3d", format!("k3d {version}, cgroup v{}", about.cgroup.unwrap_or(1)))
}

/// The newest Docker API that a k3d speaks, by the Docker client built into it.
fn client_api(version: Version) -> (u32, u32) {
    match (version.major, version.minor, version.patch) {
        (5, 4, 9) | (5, 5, 0 | 1) => (1, 42),
        (5, 5, _) | (5, 6, 0) => (1, 43),
        (5, 6, _) => (1, 45),
        (5, 7 | 8, _) => (1, 46),
        (5, 9.., _) => (1, 51),
        _ => (1, 41),
    }
}

fn api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The Kubernetes version in the tag of a k3s image: `v1.21.2-k3s1`.
fn kubernetes_version(image: &ImageRef) -> Option<(u32, u32, u32)> {
    let mut parts = image.tag()?.strip_prefix('v')?.split('-').next()?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn inotify_instances_are_few_for_many_propellers_or_beside_other_nodes() {
        for (limit, propellers, others, severity) in [
            (128, 6, 0, Severity::Fine),
            (128, 6, 1, Severity::Fine),
            (128, 6, 4, Severity::Warning),
            (512, 6, 4, Severity::Fine),
            (128, 105, 0, Severity::Warning),
            (512, 105, 0, Severity::Fine),
        ] {
            let found = inotify(limit, propellers, others);
            assert_eq!(found.severity, severity, "{limit} for {propellers} beside {others}");
        }
        assert_eq!(inotify(128, 6, 4).hints, ["`sudo sysctl -w fs.inotify.max_user_instances=512` raises the limit"]);
        assert_eq!(inotify(128, 105, 0).message, "128 inotify instances per user may be too few for 105 propellers");
    }

    fn about() -> About {
        About {
            version: "20.10.24".into(),
            api: "1.41".into(),
            min_api: "1.12".into(),
            cgroup: Some(1),
            memory: Some(16 * GIB),
            root: "/var/lib/docker".into(),
            ..About::default()
        }
    }

    fn version(text: &str) -> Version {
        Version::parse(&format!("k3d version v{text}")).expect(text)
    }

    #[test]
    fn docker_is_judged_by_api_place_and_memory() {
        for (seen, local, worst) in [
            (about(), true, Severity::Fine),
            (about(), false, Severity::Blocker),
            (About { api: "1.40".into(), ..about() }, true, Severity::Blocker),
            (About { memory: Some(3 * GIB), ..about() }, true, Severity::Warning),
            (About { memory: Some(GIB), ..about() }, true, Severity::Blocker),
            (About { memory: None, ..about() }, true, Severity::Fine),
            (About { rootless: true, ..about() }, true, Severity::Warning),
        ] {
            let host = if local { "unix:///var/run/docker.sock" } else { "tcp://build.example:2375" };
            let found = docker(&seen, &Endpoint { host: host.to_owned(), origin: Origin::Variable });
            assert_eq!(found.iter().map(|finding| finding.severity).max(), Some(worst), "{found:?}");
        }
    }

    #[test]
    fn k3d_must_go_with_the_daemon_and_the_node_image() {
        let (old, new) = ("rancher/k3s:v1.21.2-k3s1", "rancher/k3s:v1.33.1-k3s1");
        for (k3d_version, seen, image, severity) in [
            ("4.4.8", about(), old, Severity::Fine),
            ("4.4.8", About { min_api: "1.44".into(), ..about() }, old, Severity::Blocker),
            ("5.9.0", About { min_api: "1.44".into(), ..about() }, old, Severity::Fine),
            ("4.4.3", About { cgroup: Some(2), ..about() }, old, Severity::Blocker),
            ("5.7.2", About { cgroup: Some(2), ..about() }, new, Severity::Blocker),
            ("5.7.2", About { cgroup: Some(2), ..about() }, old, Severity::Fine),
            ("5.7.3", About { cgroup: Some(2), ..about() }, new, Severity::Fine),
        ] {
            let finding = k3d(version(k3d_version), &seen, &image.parse().expect(image));
            assert_eq!(finding.severity, severity, "{k3d_version}: {finding:?}");
        }
    }

    #[test]
    fn a_disk_is_full_by_bytes_or_by_the_kubelets_percent() {
        for (free, size, severity) in [
            (100 * GIB, 250 * GIB, Severity::Fine),
            (4 * GIB, 250 * GIB, Severity::Warning),
            (GIB, 250 * GIB, Severity::Blocker),
            (9 * GIB, 1000 * GIB, Severity::Blocker),
        ] {
            assert_eq!(disk("/d", Disk { free, size }).severity, severity, "{free} of {size}");
        }
    }
}
