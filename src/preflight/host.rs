//! Findings about Docker, k3d, memory, disk and inotify.

use std::time::Duration;

use super::finding::Finding;
use crate::cluster::Version;
use crate::docker::{About, Endpoint, Origin, Provider};
use crate::failure::Reason;
use crate::manifest::ImageRef;

const GIB: u64 = 1 << 30;
/// The oldest Docker API that this program speaks: Docker 20.10.
const API_FLOOR: (u32, u32) = (1, 41);
/// The least memory of Docker: an idle sandbox takes about 1.5 GiB.
const MEMORY_NEEDED: u64 = 2 * GIB;
const MEMORY_WANTED: u64 = 4 * GIB;
/// What a virtual machine is to be given, in GiB.
const MEMORY_ADVISED: u64 = 6;
/// Clocks that are no further apart are alike; a signature of Minio's holds for a quarter of an hour, a certificate is valid
/// from the node's start on.
const SECONDS_ALIKE: u64 = 5;
const SECONDS_USABLE: u64 = 60;
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
        _ if about.provider == Provider::Podman => unsupported(
            "Podman answers as Docker would, and no sandbox has run in it yet",
            "use Docker Engine or, on macOS, Docker Desktop, Colima or OrbStack",
        ),
        _ if about.rootless => unsupported(
            "Docker runs rootless, and k3s needs more than a user may have there",
            match endpoint.origin {
                Origin::Context(_) => "use a Docker that runs as root: `docker context use default`",
                Origin::Variable => "use a Docker that runs as root: unset DOCKER_HOST",
                Origin::Socket => "use a Docker that runs as root: `sudo systemctl start docker`",
            },
        ),
        _ => Finding::fine("docker", {
            let product = match &about.provider {
                Provider::Engine => String::new(),
                product => format!(" of {product}"),
            };
            format!("Docker {}{product}, API {}, at {endpoint}", about.version, about.api)
        }),
    });
    found.push(memory(about));
    found.extend(about.clock_ahead.map(|ahead| clock(ahead, &about.provider)));
    found
}

fn unsupported(why: &str, way_out: &str) -> Finding {
    Finding::blocker(Reason::DockerUnsupported, "docker", why)
        .hint(way_out)
        .hint("docs/portability.md has what runs where")
}

fn memory(about: &About) -> Finding {
    let Some(bytes) = about.memory else { return Finding::fine("memory", "Docker does not report its memory") };
    let memory = format!("{:.1} GiB of memory", gib(bytes));
    let finding = if bytes < MEMORY_NEEDED {
        Finding::blocker(Reason::MemoryLow, "memory", format!("Docker has {memory}, needs 2 GiB"))
    } else if bytes < MEMORY_WANTED {
        Finding::warning("memory", format!("Docker has {memory}; below 4 GiB workflows may be killed"))
    } else {
        return Finding::fine("memory", memory);
    };
    match about.provider.more_memory(MEMORY_ADVISED) {
        Some(way_out) => finding.hint(way_out),
        None => finding.hint("stop other containers, or use a machine with more"),
    }
}

/// The daemon's clock, this much ahead of this machine's: keys, certificates and events have times of both.
fn clock(ahead: i64, provider: &Provider) -> Finding {
    let seconds = ahead.unsigned_abs() / 1000;
    if seconds <= SECONDS_ALIKE {
        return Finding::fine("clock", "Docker's clock is this machine's");
    }
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let message =
        format!("Docker's clock is {} {side} this machine's", humantime::format_duration(Duration::from_secs(seconds)));
    let finding = if seconds > SECONDS_USABLE {
        Finding::blocker(Reason::ClockSkew, "clock", message)
    } else {
        Finding::warning("clock", message)
    };
    finding.hint(match provider.is_vm() {
        true => format!("set the one that is wrong; {} sets a virtual machine's", provider.restart()),
        false => "set the one that is wrong".to_owned(),
    })
}

/// Free space where Docker keeps images and volumes: what a sandbox takes, above the percent at which the kubelet evicts.
pub(super) fn disk(about: &About, disk: Disk) -> Finding {
    let room = format!("{:.1} GiB free in {}", gib(disk.free), about.root);
    let ways_out = [
        Some("`docker system prune` frees space".to_owned()),
        Some("`sandbox images prune` removes image stores that no sandbox uses".to_owned()),
        about.provider.more_disk(),
    ];
    let kept_free = disk.size / 100;
    let needed = DISK_NEEDED + kept_free;
    let finding = if disk.free < needed {
        let tenths = (gib(needed) * 10.0).ceil() / 10.0;
        Finding::blocker(Reason::DiskLow, "disk", format!("{room}, needs {tenths} GiB"))
    } else if disk.free < DISK_WANTED + kept_free {
        Finding::warning("disk", room)
    } else {
        return Finding::fine("disk", room);
    };
    ways_out.into_iter().flatten().fold(finding, Finding::hint)
}

/// The limit of inotify instances against the needs of a node with this many propellers. On most machines a user has 128.
/// Without enough, k3s or a propeller fails with `too many open files`.
pub(super) fn inotify(limit: u64, propellers: u64, other_nodes: u64, about: &About, node_image: &ImageRef) -> Finding {
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
    .hint(format!("`{}` raises the limit", more_inotify(needed.next_power_of_two() * 2, about, node_image)))
}

/// The command that raises the limit: of this machine, or of a virtual machine until its next start.
fn more_inotify(limit: u64, about: &About, node_image: &ImageRef) -> String {
    if about.shares_kernel() {
        return format!("sudo sysctl -w fs.inotify.max_user_instances={limit}");
    }
    let set = format!("echo {limit} >/proc/sys/fs/inotify/max_user_instances");
    format!("docker run --rm --privileged --entrypoint sh {node_image} -c '{set}'")
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
    let kubernetes = node_image.version();
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
            let found = inotify_here(limit, propellers, others);
            assert_eq!(found.severity, severity, "{limit} for {propellers} beside {others}");
        }
        assert_eq!(
            inotify_here(128, 6, 4).hints,
            ["`sudo sysctl -w fs.inotify.max_user_instances=512` raises the limit"]
        );
        assert_eq!(
            inotify_here(128, 105, 0).message,
            "128 inotify instances per user may be too few for 105 propellers"
        );
    }

    fn inotify_here(limit: u64, propellers: u64, others: u64) -> Finding {
        inotify(limit, propellers, others, &about(), &"rancher/k3s:v1.21.2-k3s1".parse().expect("image"))
    }

    /// A machine of Colima's as its daemon tells of it.
    fn colima() -> About {
        About { provider: Provider::Colima("default".into()), kernel: "6.8.0-50-generic".into(), ..about() }
    }

    #[test]
    fn a_virtual_machine_is_told_of_in_its_products_words() {
        let image = "rancher/k3s:v1.21.2-k3s1".parse().expect("image");
        let low = Disk { free: GIB, size: 20 * GIB };
        for (finding, severity, hint) in [
            (
                memory(&About { memory: Some(2 * GIB - 1), ..colima() }),
                Severity::Blocker,
                "`colima stop`, then `colima start --memory 6`",
            ),
            (
                memory(&About { memory: Some(3 * GIB), ..colima() }),
                Severity::Warning,
                "`colima stop`, then `colima start --memory 6`",
            ),
            (disk(&colima(), low), Severity::Blocker, "`colima start --disk 100` gives it more"),
            (
                inotify(128, 105, 0, &colima(), &image),
                Severity::Warning,
                "`docker run --rm --privileged --entrypoint sh rancher/k3s:v1.21.2-k3s1 -c 'echo 512 >/proc/sys/fs/inotify/max_user_instances'` raises the limit",
            ),
            (
                clock(3_600_000, &colima().provider),
                Severity::Blocker,
                "set the one that is wrong; `colima restart` sets a virtual machine's",
            ),
        ] {
            assert_eq!(finding.severity, severity, "{finding:?}");
            assert_eq!(finding.hints.last().map(String::as_str), Some(hint));
        }
    }

    #[test]
    fn clocks_may_differ_by_seconds_and_not_by_more() {
        for (ahead, severity, message) in [
            (0, Severity::Fine, "Docker's clock is this machine's"),
            (-5_900, Severity::Fine, "Docker's clock is this machine's"),
            (20_000, Severity::Warning, "Docker's clock is 20s ahead of this machine's"),
            (-61_000, Severity::Blocker, "Docker's clock is 1m 1s behind this machine's"),
            (i64::MIN, Severity::Blocker, "behind this machine's"),
        ] {
            let found = clock(ahead, &Provider::Engine);
            assert_eq!(found.severity, severity, "{ahead}: {found:?}");
            assert!(found.message.ends_with(message), "{ahead}: {found:?}");
        }
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
            (About { rootless: true, ..about() }, true, Severity::Blocker),
            (About { provider: Provider::Podman, ..about() }, true, Severity::Blocker),
            (About { clock_ahead: Some(3_600_000), ..about() }, true, Severity::Blocker),
            (colima(), true, Severity::Fine),
        ] {
            let host = if local { "unix:///var/run/docker.sock" } else { "tcp://build.example:2375" };
            let found = docker(&seen, &Endpoint { host: host.to_owned(), origin: Origin::Variable });
            assert_eq!(found.iter().map(|finding| finding.severity).max(), Some(worst), "{found:?}");
        }
    }

    #[test]
    fn who_chose_a_rootless_daemon_decides_how_another_one_is_had() {
        let rootless = About { rootless: true, ..about() };
        for (origin, way_out) in [
            (Origin::Context("rootless".into()), "`docker context use default`"),
            (Origin::Variable, "unset DOCKER_HOST"),
            (Origin::Socket, "`sudo systemctl start docker`"),
        ] {
            let endpoint = Endpoint { host: "unix:///run/user/1000/docker.sock".to_owned(), origin };
            let found = docker(&rootless, &endpoint);
            assert!(found[0].hints[0].ends_with(&format!("runs as root: {way_out}")), "{found:?}");
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
            (6 * GIB, 250 * GIB, Severity::Warning),
            (GIB, 250 * GIB, Severity::Blocker),
            (9 * GIB, 1000 * GIB, Severity::Blocker),
            // Not enough for both: the pods would come, and be evicted.
            (3 * GIB, 252 * GIB, Severity::Blocker),
        ] {
            assert_eq!(disk(&about(), Disk { free, size }).severity, severity, "{free} of {size}");
        }
    }

    #[test]
    fn the_room_that_a_disk_needs_is_more_than_what_it_has() {
        for (tenths, size, needed) in
            [(25, 252, "needs 4.6 GiB"), (45, 252, "needs 4.6 GiB"), (19, 20, "needs 2.2 GiB")]
        {
            let message = disk(&about(), Disk { free: tenths * GIB / 10, size: size * GIB }).message;
            assert!(message.ends_with(needed), "{message}");
        }
    }
}
