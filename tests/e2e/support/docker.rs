//! The Docker CLI, and what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

/// Where the Docker CLI is.
pub(crate) fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|file| file.is_file());
    found.expect("docker on the PATH")
}

/// What `docker ARGS` writes, or what it complains of.
pub(crate) fn try_docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(args).output().map_err(|error| format!("docker: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The same, where it must succeed.
pub(crate) fn docker(args: &[&str]) -> String {
    try_docker(args).unwrap_or_else(|why| panic!("docker {}: {why}", args.join(" ")))
}

/// A container, network or volume.
struct Thing {
    kind: &'static str,
    name: String,
    /// What makes it the same thing.
    identity: String,
    /// `key=value`, separated by commas.
    labels: String,
}

impl Thing {
    fn has(&self, label: &str) -> bool {
        self.labels.split(',').any(|own| own == label)
    }

    /// Whether it is a cluster's, by its labels or its name.
    fn is_of(&self, cluster: &str) -> bool {
        let labelled = || {
            self.has(&format!("k3d.cluster={cluster}"))
                || self.has(&format!("sandbox.flyte/owner={cluster}"))
                || self.has(&format!("sandbox.flyte/snapshot-of={cluster}"))
        };
        if self.kind == "network" { self.name == format!("k3d-{cluster}") } else { labelled() }
    }

    fn is_store(&self) -> bool {
        self.labels.split(',').any(|own| own.starts_with("sandbox.flyte/store"))
    }

    /// Whether it lasts no longer than another run's look at a store.
    fn is_claim(&self) -> bool {
        self.labels.split(',').any(|own| own.starts_with("sandbox.flyte/claim="))
    }

    fn key(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// Everything on the daemon.
fn things() -> Vec<Thing> {
    let listed: [(&str, &[&str]); 3] = [
        ("container", &["ps", "-a", "--no-trunc", "--format", "{{.Names}}\t{{.ID}} {{.State}}\t{{.Labels}}"]),
        ("network", &["network", "ls", "--no-trunc", "--format", "{{.Name}}\t{{.ID}}\t{{.Labels}}"]),
        ("volume", &["volume", "ls", "--format", "{{.Name}}\t-\t{{.Labels}}"]),
    ];
    let mut things = Vec::new();
    for (kind, args) in listed {
        for line in docker(args).lines() {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            things.push(Thing { kind, name: part(), identity: part(), labels: part() });
        }
    }
    things
}

/// Names of containers, networks and volumes that belong to a cluster, by its labels and names.
pub(crate) fn belongings(cluster: &str) -> Vec<String> {
    let mut found: Vec<_> = things().iter().filter(|thing| thing.is_of(cluster)).map(Thing::key).collect();
    found.sort();
    found
}

/// Removes all that [`belongings`] finds of these clusters.
pub(crate) fn remove_belongings(clusters: &[&str]) {
    for thing in things().iter().filter(|thing| clusters.iter().any(|cluster| thing.is_of(cluster))) {
        let removed = match thing.kind {
            "container" => try_docker(&["rm", "-f", "-v", &thing.name]),
            kind => try_docker(&[kind, "rm", &thing.name]),
        };
        if let Err(why) = removed {
            eprintln!("{} cannot be removed: {why}", thing.key());
        }
    }
}

/// The stores of images.
pub(crate) fn stores() -> Vec<String> {
    things().into_iter().filter(Thing::is_store).map(|thing| thing.name).collect()
}

/// Everything on the daemon that is not of this cluster, with what makes it the same thing. Stores of images and claims
/// of them, which come and go by rules of their own, do not count, nor do the nameless volumes of another test's containers, which go with
/// them.
pub(crate) fn others(cluster: &str) -> BTreeMap<String, String> {
    // Before and after: a container that comes or goes meanwhile is in one of the two.
    let mut of_tests = volumes_of_tests();
    let things = things();
    of_tests.extend(volumes_of_tests());
    let others = things.into_iter().filter(|thing| !thing.is_of(cluster) && !thing.is_store() && !thing.is_claim());
    let others = others.filter(|thing| thing.kind != "volume" || !of_tests.contains(&thing.name));
    others.map(|thing| (thing.key(), thing.identity)).collect()
}

/// The volumes that containers of tests mount.
fn volumes_of_tests() -> BTreeSet<String> {
    let listed = docker(&["ps", "-a", "--no-trunc", "--format", "{{.Names}}\t{{.Mounts}}"]);
    let mounts = listed.lines().filter_map(|line| line.split_once('\t')).filter(|(name, _)| name.contains("e2e-"));
    mounts.flat_map(|(_, mounts)| mounts.split(',')).map(str::to_owned).collect()
}
