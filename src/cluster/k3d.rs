//! The `k3d` on the PATH: its version, and `k3d cluster create`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::dialect::Dialect;
use super::error::{Error, K3dError};
use crate::limits;
use crate::plan::ClusterPlan;
use crate::process::{self, Tool};
use crate::report::Stage;
use crate::run::{Interrupted, Run};
use crate::text::log_message as message;

/// A k3d version. A development build is taken for the newest of its major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Patch version.
    pub patch: u32,
}

impl Version {
    /// Reads the output of `k3d version`: `k3d version v5.9.0`, or `v5-dev` of a development build.
    #[must_use]
    pub fn parse(output: &str) -> Option<Self> {
        let word = output.lines().find_map(|line| line.trim().strip_prefix("k3d version "))?;
        let word = word.trim().trim_start_matches('v');
        let (number, development) = match word.split_once('-') {
            Some((number, rest)) => (number, rest.starts_with("dev")),
            None => (word, false),
        };
        let mut parts = number.split('.').map(str::parse);
        let major = parts.next()?.ok()?;
        let newest = if development { Some(u32::MAX) } else { None };
        let mut part = || parts.next().and_then(Result::ok).or(newest);
        Some(Self { major, minor: part()?, patch: part()? })
    }

    /// The command line it takes.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn dialect(self) -> Result<Dialect, &'static str> {
        match (self.major, self.minor, self.patch) {
            (4, 4, 0) => Err("it splits k3s arguments at commas"),
            (4, 4, _) => Ok(Dialect::V4),
            (5, 4, 5 | 9) => Err("its authors withdrew it as broken"),
            (5, _, _) => Ok(Dialect::V5),
            (major, _, _) if major > 5 => Err("its command line is not known here"),
            _ => Err("it is older than 4.4"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            u32::MAX => write!(f, "v{}-dev", self.major),
            minor => write!(f, "v{}.{minor}.{}", self.major, self.patch),
        }
    }
}

/// A usable k3d.
#[derive(Debug, Clone)]
pub struct K3d {
    /// Path of the program.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    dialect: Dialect,
    env: BTreeMap<String, String>,
}

impl K3d {
    /// Finds `k3d` on the `PATH` of `env` and asks for its version. It will talk to `docker_host`, and its own files
    /// (a kubeconfig it must not share with the user's, temporary files it forgets) go to `scratch`, which must exist.
    ///
    /// # Errors
    /// [`K3dError::Absent`], [`K3dError::Silent`], [`K3dError::Unusable`]; [`Error::Interrupted`].
    pub async fn find(
        env: &BTreeMap<String, String>,
        docker_host: &str,
        scratch: &Path,
        run: &Run,
    ) -> Result<Self, Error> {
        let path = which::which_in("k3d", env.get("PATH"), "/").map_err(|_| K3dError::Absent)?;
        let env = child_env(env, docker_host, scratch);
        let shortly = Run { deadline: run.deadline.min(limits::K3D_VERSION), ..run.clone() };
        let asked = Tool::new(&path, env.clone()).run(&["version".to_owned()], &shortly, |_| ()).await;
        let written =
            asked.map_err(|error| interrupted_or(error, |error| K3dError::Silent { path: path.clone(), error }))?;
        let unusable = |why| K3dError::Unusable { path: path.clone(), why };
        let version = Version::parse(&written.stdout.join("\n"))
            .ok_or_else(|| unusable(format!("`k3d version` says {:?}", written.stdout.join(" "))))?;
        let dialect = version.dialect().map_err(|why| unusable(format!("it is {version}: {why}")))?;
        Ok(Self { path, version, dialect, env })
    }

    /// Its command line.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs `k3d cluster create`. That it succeeded says little: the node is the truth.
    ///
    /// # Errors
    /// [`K3dError::Create`], [`Error::Interrupted`].
    pub async fn create(&self, plan: &ClusterPlan, api_port: u16, run: &Run) -> Result<(), Error> {
        let mut env = self.env.clone();
        env.extend(self.dialect.create_env(plan));
        let args = self.dialect.create(plan, api_port, run.deadline.remaining());
        let tool = Tool::new(&self.path, env);
        let said = tool.run(&args, run, |line| {
            // Its advice is no step that anybody waits for.
            if let Some(note) = message(line).filter(|note| !note.starts_with("You can now use it")) {
                run.report.progress(Stage::Cluster, format!("k3d: {note}"));
            }
        });
        let create = |error| K3dError::Create {
            cluster: plan.name.clone(),
            error,
            expired: run.deadline.has_passed().then(|| run.deadline.expired_message()),
        };
        said.await.map(drop).map_err(|error| interrupted_or(error, create))
    }
}

fn interrupted_or(error: process::Error, otherwise: impl FnOnce(process::Error) -> K3dError) -> Error {
    match error.cause {
        process::Cause::Interrupted => Interrupted.into(),
        _ => otherwise(error).into(),
    }
}

/// The environment of k3d: enough to find Docker's configuration and proxies, and nothing that changes what
/// it does (every `K3D_*` variable is a setting of its own).
fn child_env(env: &BTreeMap<String, String>, docker_host: &str, scratch: &Path) -> BTreeMap<String, String> {
    let kept = |name: &str| {
        let own = ["PATH", "HOME", "USER", "DOCKER_CONFIG", "DOCKER_API_VERSION", "DOCKER_SOCK", "XDG_RUNTIME_DIR"];
        own.contains(&name) || ["http_proxy", "https_proxy", "no_proxy"].contains(&name.to_ascii_lowercase().as_str())
    };
    let mut seen: BTreeMap<String, String> =
        env.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let scratch = scratch.to_string_lossy();
    for (name, value) in [
        ("DOCKER_HOST", docker_host),
        ("LOG_COLORS", "false"),
        ("TMPDIR", &scratch),
        ("XDG_CONFIG_HOME", &scratch),
        ("KUBECONFIG", &format!("{scratch}/k3d-kubeconfig.yaml")),
    ] {
        seen.insert(name.to_owned(), value.to_owned());
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_k3d_prints_them() {
        for (output, shown) in [
            ("k3d version v4.4.8\nk3s version v1.21.7-k3s1 (default)\n", Some("v4.4.8")),
            ("k3d version v5.9.0\nk3s version v1.32.5-k3s1 (default)\n", Some("v5.9.0")),
            ("k3d version 5.6.0-rc.1\n", Some("v5.6.0")),
            ("k3d version v5-dev\n", Some("v5-dev")),
            ("k3d version v5\n", None),
            ("Usage:\n", None),
        ] {
            assert_eq!(Version::parse(output).map(|version| version.to_string()).as_deref(), shown, "{output:?}");
        }
    }

    #[test]
    fn only_versions_that_work_have_a_dialect() {
        for (text, dialect) in [
            ("3.4.0", None),
            ("4.3.0", None),
            ("4.4.0", None),
            ("4.4.1", Some(Dialect::V4)),
            ("4.4.8", Some(Dialect::V4)),
            ("5.0.0", Some(Dialect::V5)),
            ("5.4.5", None),
            ("5.4.9", None),
            ("5.9.0", Some(Dialect::V5)),
            ("5-dev", Some(Dialect::V5)),
            ("6.0.0", None),
        ] {
            let version = Version::parse(&format!("k3d version v{text}")).expect(text);
            assert_eq!(version.dialect().ok(), dialect, "{text}");
        }
    }

    #[test]
    fn settings_of_the_users_do_not_reach_k3d() {
        let env =
            [("PATH", "/bin"), ("K3D_IMAGE", "x"), ("LOG_LEVEL", "trace"), ("KUBECONFIG", "/home/u/.kube/config")];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let seen = child_env(&env, "unix:///d.sock", Path::new("/scratch"));
        assert!(!seen.contains_key("K3D_IMAGE") && !seen.contains_key("LOG_LEVEL"));
        assert_eq!(
            (seen["KUBECONFIG"].as_str(), seen["DOCKER_HOST"].as_str()),
            ("/scratch/k3d-kubeconfig.yaml", "unix:///d.sock")
        );
    }
}
