//! The address of the Docker daemon, found as the `docker` command line finds it, so that `k3d` and the user mean the same
//! one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::digest::{hex, sha256};
use crate::failure::{Failure, Reason};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Who chose the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The variable `DOCKER_HOST`.
    Variable,
    /// The context of this name, chosen by `DOCKER_CONTEXT` or by `currentContext` in Docker's configuration.
    Context(String),
    /// The first socket found among the usual places.
    Socket,
}

/// A daemon's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As `DOCKER_HOST` takes it: `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`.
    pub host: String,
    /// Who chose it.
    pub origin: Origin,
}

impl Endpoint {
    /// Finds the daemon: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then `currentContext`, then the usual sockets.
    ///
    /// # Errors
    /// [`Reason::Docker`] when a context is named that is not there or has no address.
    pub fn find(env: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Self, Failure> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        if let Some(host) = set("DOCKER_HOST") {
            return Ok(Self { host: host.clone(), origin: Origin::Variable });
        }
        let config = config_folder(env, home);
        let context = set("DOCKER_CONTEXT").cloned().or_else(|| current_context(config.as_deref()?));
        match (context, config) {
            (Some(name), Some(config)) if name != "default" => {
                let host = context_host(&config, &name)?;
                Ok(Self { host, origin: Origin::Context(name) })
            }
            _ => {
                let socket = sockets(env, home).into_iter().find(|socket| socket.exists());
                Ok(Self::socket(&socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))))
            }
        }
    }

    fn socket(path: &Path) -> Self {
        Self { host: format!("unix://{}", path.display()), origin: Origin::Socket }
    }

    /// The sockets of other engines, where nobody chose one and this one does not answer: its file may be a link that an
    /// engine left which is gone. Podman's is none of them, which is another program under the same name.
    pub(super) fn others(&self, env: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<Self> {
        if self.origin != Origin::Socket {
            return Vec::new();
        }
        let is_podmans = |socket: &Path| socket.ends_with("podman.sock");
        let there = sockets(env, home).into_iter().filter(|socket| socket.exists() && !is_podmans(socket));
        there.map(|socket| Self::socket(&socket)).filter(|other| other != self).collect()
    }

    /// Whether it is the socket of a product in the user's home, which may have stopped its virtual machine meanwhile.
    pub(super) fn may_sleep(&self, home: Option<&Path>) -> bool {
        let path = self.host.strip_prefix("unix://").map(Path::new);
        let leads_to = path.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        home.zip(leads_to).is_some_and(|(home, path)| path.starts_with(home))
    }

    /// Whether ports published on the daemon's loopback address are reachable on ours.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.host.split_once("://") {
            Some(("tcp" | "http" | "https", address)) => {
                let address = address.trim_end_matches('/');
                let host = match address.rsplit_once(':') {
                    Some((host, _)) if !address.ends_with(']') => host,
                    _ => address,
                };
                matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
            }
            Some(("ssh", _)) => false,
            _ => true,
        }
    }
}

impl fmt::Display for Endpoint {
    /// `unix:///home/me/.colima/default/docker.sock, by the context colima`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match &self.origin {
            Origin::Variable => f.write_str(", by DOCKER_HOST"),
            Origin::Context(name) => write!(f, ", by the context {name}"),
            Origin::Socket => Ok(()),
        }
    }
}

/// The folder of Docker's configuration.
pub(super) fn config_folder(env: &BTreeMap<String, String>, home: Option<&Path>) -> Option<PathBuf> {
    let named = env.get("DOCKER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| home.map(|home| home.join(".docker")))
}

/// The places where engines put their sockets, Docker's own first.
pub(super) fn sockets(env: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    let runtime = env.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut found = vec![PathBuf::from(DEFAULT_SOCKET)];
    found.extend(runtime.as_ref().map(|dir| dir.join("docker.sock")));
    let at_home = |place: &str| home.map(|home| home.join(place));
    found.extend(at_home(".docker/run/docker.sock"));
    let colima = env.get("COLIMA_HOME").map(PathBuf::from).or_else(|| at_home(".colima"));
    found.extend(colima.iter().flat_map(|colima| colima_sockets(colima)));
    found.extend([".orbstack/run/docker.sock", ".rd/docker.sock"].into_iter().filter_map(at_home));
    found.extend(runtime.as_ref().map(|dir| dir.join("podman/podman.sock")));
    found.extend(at_home(".local/share/containers/podman/machine/podman.sock"));
    found.push(PathBuf::from("/run/podman/podman.sock"));
    found
}

/// The sockets of Colima's profiles, the default one first, and that of Colima before 0.4.
fn colima_sockets(colima: &Path) -> Vec<PathBuf> {
    let default = colima.join("default");
    let profiles = std::fs::read_dir(colima).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut others: Vec<_> =
        profiles.filter(|profile| *profile != default).map(|profile| profile.join("docker.sock")).collect();
    others.retain(|socket| socket.exists());
    others.sort();
    [default.join("docker.sock"), colima.join("docker.sock")].into_iter().chain(others).collect()
}

fn current_context(config: &Path) -> Option<String> {
    let text = std::fs::read_to_string(config.join("config.json")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value["currentContext"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// A context's metadata is kept under the SHA-256 of its name (docker/cli `cli/context/store`).
fn context_host(config: &Path, name: &str) -> Result<String, Failure> {
    let path = config.join("contexts/meta").join(hex(&sha256(name))).join("meta.json");
    let failure = |cause: String| {
        Failure::new(Reason::Docker, "cannot use the chosen Docker context")
            .on(format!("context {name}"))
            .because(cause)
            .hint("`docker context ls` lists the contexts; `docker context use default` goes back to the local daemon")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| failure(format!("{}: {error}", path.display())))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| failure(format!("{}: {error}", path.display())))?;
    match value.pointer("/Endpoints/docker/Host").and_then(Value::as_str).filter(|host| !host.is_empty()) {
        Some(host) => Ok(host.to_owned()),
        None => Err(failure(format!("{} names no address", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn home_with_context(host: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("tempdir");
        let docker = home.path().join(".docker");
        // printf colima | sha256sum
        let meta =
            docker.join("contexts/meta").join("f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16");
        std::fs::create_dir_all(&meta).expect("mkdir");
        std::fs::write(docker.join("config.json"), r#"{"currentContext":"colima"}"#).expect("write");
        let text = format!(r#"{{"Name":"colima","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
        std::fs::write(meta.join("meta.json"), text).expect("write");
        home
    }

    #[test]
    fn the_variable_wins_over_the_current_context() {
        let home = home_with_context("unix:///c.sock");
        let found = Endpoint::find(&env(&[("DOCKER_HOST", "tcp://127.0.0.1:1")]), Some(home.path())).expect("endpoint");
        assert_eq!(found, Endpoint { host: "tcp://127.0.0.1:1".into(), origin: Origin::Variable });
    }

    #[test]
    fn the_current_context_is_followed_to_its_address() {
        let home = home_with_context("unix:///c.sock");
        let found = Endpoint::find(&env(&[]), Some(home.path())).expect("endpoint");
        assert_eq!(found, Endpoint { host: "unix:///c.sock".into(), origin: Origin::Context("colima".into()) });
    }

    #[test]
    fn the_context_variable_may_go_back_to_the_default() {
        let home = home_with_context("unix:///c.sock");
        let found = Endpoint::find(&env(&[("DOCKER_CONTEXT", "default")]), Some(home.path())).expect("endpoint");
        assert_eq!(found.origin, Origin::Socket);
    }

    #[test]
    fn a_context_that_is_not_there_is_named() {
        let home = home_with_context("unix:///c.sock");
        let failure =
            Endpoint::find(&env(&[("DOCKER_CONTEXT", "gone")]), Some(home.path())).expect_err("no such context");
        assert_eq!((failure.reason, failure.object.as_deref()), (Reason::Docker, Some("context gone")));
    }

    #[test]
    fn the_sockets_of_all_products_are_looked_for_and_podmans_is_never_taken_instead() {
        let home = tempfile::tempdir().expect("tempdir");
        let places = [
            ".docker/run/docker.sock",
            ".colima/default/docker.sock",
            ".colima/work/docker.sock",
            ".orbstack/run/docker.sock",
            ".rd/docker.sock",
            ".local/share/containers/podman/machine/podman.sock",
        ];
        for place in places {
            let socket = home.path().join(place);
            std::fs::create_dir_all(socket.parent().expect("a folder")).expect("mkdir");
            std::fs::write(socket, "").expect("write");
        }
        let there = |all: Vec<PathBuf>| {
            let own = all.into_iter().filter_map(|path| Some(path.strip_prefix(home.path()).ok()?.to_owned()));
            own.filter(|path| home.path().join(path).exists()).collect::<Vec<_>>()
        };
        assert_eq!(there(sockets(&env(&[]), Some(home.path()))), places.map(PathBuf::from));
        let chosen = Endpoint::socket(&home.path().join(places[0]));
        let others = chosen.others(&env(&[]), Some(home.path())).into_iter().map(|other| other.host);
        let others = there(others.filter_map(|host| Some(PathBuf::from(host.strip_prefix("unix://")?))).collect());
        assert_eq!(others, places[1..5].iter().map(PathBuf::from).collect::<Vec<_>>());
        let named = Endpoint { origin: Origin::Variable, ..chosen.clone() };
        assert_eq!(named.others(&env(&[]), Some(home.path())), []);
        assert!(chosen.may_sleep(Some(home.path())) && !chosen.may_sleep(None));
        assert!(!Endpoint::socket(Path::new("/nowhere/docker.sock")).may_sleep(Some(home.path())));
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        for (host, local) in [
            ("unix:///var/run/docker.sock", true),
            ("tcp://127.0.0.1:2375", true),
            ("tcp://localhost:2375", true),
            ("tcp://127.0.0.1", true),
            ("tcp://[::1]:2375", true),
            ("tcp://[::1]", true),
            ("tcp://127.0.0.1:2375/", true),
            ("tcp://localhost.example:2375", false),
            ("tcp://docker:2375", false),
            ("tcp://build.example:2375", false),
            ("ssh://me@build.example", false),
        ] {
            let endpoint = Endpoint { host: host.into(), origin: Origin::Variable };
            assert_eq!(endpoint.is_local(), local, "{host}");
        }
    }
}
