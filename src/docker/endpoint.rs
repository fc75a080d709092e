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
                let socket = socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
                Ok(Self { host: format!("unix://{}", socket.display()), origin: Origin::Socket })
            }
        }
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
    for place in [".docker/run/docker.sock", ".colima/default/docker.sock", ".orbstack/run/docker.sock"] {
        found.extend(home.map(|home| home.join(place)));
    }
    found.extend(runtime.as_ref().map(|dir| dir.join("podman/podman.sock")));
    found.push(PathBuf::from("/run/podman/podman.sock"));
    found
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
