//! The Docker CLI, and what is there.

use std::collections::BTreeMap;
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

fn lines(args: &[&str]) -> Vec<String> {
    docker(args).lines().map(str::to_owned).collect()
}

/// Names of containers, networks and volumes that belong to a cluster, by its labels and names.
pub(crate) fn belongings(cluster: &str) -> Vec<String> {
    let label = format!("label=k3d.cluster={cluster}");
    let owner = format!("label=sandbox.flyte/owner={cluster}");
    let network = format!("k3d-{cluster}");
    let mut found = Vec::new();
    for filter in [&label, &owner] {
        found.extend(lines(&["ps", "-a", "--filter", filter, "--format", "container {{.Names}}"]));
        found.extend(lines(&["volume", "ls", "--filter", filter, "--format", "volume {{.Name}}"]));
    }
    let networks = lines(&["network", "ls", "--format", "{{.Name}}"]);
    found.extend(networks.into_iter().filter(|name| *name == network).map(|name| format!("network {name}")));
    found.sort();
    found.dedup();
    found
}

/// Removes all that [`belongings`] finds.
pub(crate) fn remove_belongings(cluster: &str) {
    for found in belongings(cluster) {
        let removed = match found.split_once(' ') {
            Some(("container", name)) => try_docker(&["rm", "-f", "-v", name]),
            Some((kind, name)) => try_docker(&[kind, "rm", name]),
            None => continue,
        };
        if let Err(why) = removed {
            eprintln!("{found} cannot be removed: {why}");
        }
    }
}

/// The stores of images.
pub(crate) fn stores() -> Vec<String> {
    lines(&["volume", "ls", "--filter", "label=sandbox.flyte/store", "--format", "{{.Name}}"])
}

/// Everything on the daemon that is not of this cluster, with what makes it the same thing. What is being removed, and
/// stores of images, which come and go by rules of their own, do not count.
pub(crate) fn others(cluster: &str) -> BTreeMap<String, String> {
    let mine = belongings(cluster);
    let stores = stores();
    let format = ["{{.Names}} {{.ID}} {{.State}}", "{{.Name}} {{.ID}}", "{{.Name}} -"];
    let listed = [
        ("container", lines(&["ps", "-a", "--no-trunc", "--format", format[0]])),
        ("network", lines(&["network", "ls", "--no-trunc", "--format", format[1]])),
        ("volume", lines(&["volume", "ls", "--format", format[2]])),
    ];
    let mut found = BTreeMap::new();
    for (kind, lines) in listed {
        for line in lines {
            let Some((name, what)) = line.split_once(' ') else { continue };
            let key = format!("{kind} {name}");
            if !mine.contains(&key) && !stores.iter().any(|store| store == name) {
                found.insert(key, what.to_owned());
            }
        }
    }
    found
}
