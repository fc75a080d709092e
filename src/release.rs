//! Flyte releases in this binary: the manifests and images of each, and what differs between them.
//!
//! `sandbox/releases/NAME` has the files of a release; `manifests` and `sandbox/images.lock.yaml` what all of them stand on.

use std::fmt;
use std::sync::OnceLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::yaml;

/// Embeds the files of a release.
macro_rules! release {
    ($name:literal, $($file:literal),+) => {
        Files {
            name: $name,
            facts: include_str!(concat!("../sandbox/releases/", $name, "/release.yaml")),
            images: include_str!(concat!("../sandbox/releases/", $name, "/images.lock.yaml")),
            manifests: &release!($name: $($file),+),
            read: OnceLock::new(),
        }
    };
    ($name:literal: $($file:literal),*) => {
        [$((
            concat!("releases/", $name, "/", $file),
            include_str!(concat!("../sandbox/releases/", $name, "/manifests/", $file)),
        )),*]
    };
}

/// Oldest first; the first is the default.
static RELEASES: [Files; 2] = [
    release!("0.15", "datacatalog.yaml", "flyteadmin.yaml", "flyteconsole.yaml", "flytepropeller.yaml"),
    release!(
        "1.16",
        "datacatalog.yaml",
        "flyteadmin.yaml",
        "flyteconsole.yaml",
        "flytepropeller.yaml",
        "flytescheduler.yaml"
    ),
];

#[derive(Debug)]
struct Files {
    name: &'static str,
    facts: &'static str,
    images: &'static str,
    manifests: &'static [(&'static str, &'static str)],
    read: OnceLock<Facts>,
}

/// A Flyte release in this binary, by its name, such as `1.16`.
#[derive(Clone, Copy)]
pub struct Release(&'static Files);

/// What differs between releases, as `release.yaml` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// The k3s release that a node runs where the spec names none.
    pub kubernetes: String,
    /// By what propellers elect who leads.
    pub election: Election,
    /// The id of the element that the console's page is drawn into.
    pub console_root: String,
    /// Whether admin answers in camel case where nobody asks for `application/json` by name.
    pub json_when_asked: bool,
    /// Whether it has a flytescheduler that a sandbox was tried with.
    pub scheduler: bool,
    /// The folder of admin's bucket that clients upload to through admin, by URLs that it signs; absent where it has no
    /// such API.
    #[serde(default)]
    pub uploads: Option<String>,
    /// How task pods get the keys of the store.
    pub task_keys: TaskKeys,
    /// Major and minor version of the first Kubernetes on which raw-container tasks work; absent where nobody looked.
    #[serde(default)]
    pub raw_containers: Option<(u32, u32)>,
}

/// What a leader election keeps its record in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Election {
    /// An annotation of a ConfigMap, as client-go wrote it until 2022.
    ConfigMap,
    /// A Lease (coordination.k8s.io/v1).
    Lease,
}

/// How task pods get the keys of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TaskKeys {
    /// As plain values, which their propeller writes into them.
    Values,
    /// By reference to a Secret in their namespace.
    Secret,
}

impl Release {
    /// All of them, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        RELEASES.iter().map(Self)
    }

    /// The release of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::all().find(|release| release.name() == name)
    }

    /// Such as `1.16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its manifests, each as its name and its text.
    #[must_use]
    pub fn manifests(self) -> &'static [(&'static str, &'static str)] {
        self.0.manifests
    }

    /// Its images, as YAML.
    #[must_use]
    pub fn images(self) -> &'static str {
        self.0.images
    }

    /// What differs between releases.
    ///
    /// # Panics
    /// Never in a released binary: a test reads them all.
    #[must_use]
    pub fn facts(self) -> &'static Facts {
        self.0.read.get_or_init(|| yaml::typed(self.0.facts).expect("the facts of a release; a test reads them"))
    }
}

impl Default for Release {
    fn default() -> Self {
        Self(&RELEASES[0])
    }
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Release {}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release({})", self.name())
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of(&name).ok_or_else(|| D::Error::custom(format!("this version of sandbox has no Flyte release {name}")))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_every_release_is_embedded_and_can_be_read() {
        let releases = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/releases");
        let names = |folder: &Path| {
            let mut names: Vec<String> = std::fs::read_dir(folder)
                .expect("a folder")
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&releases), Release::all().map(Release::name).collect::<Vec<_>>());
        for release in Release::all() {
            let folder = releases.join(release.name());
            assert_eq!(names(&folder), ["images.lock.yaml", "manifests", "release.yaml"]);
            let embedded = release.manifests().iter().map(|(name, _)| name.rsplit('/').next().expect("a name"));
            assert_eq!(names(&folder.join("manifests")), embedded.collect::<Vec<_>>());
            assert!(release.facts().kubernetes.starts_with('v'), "{release}");
        }
        assert_eq!(Release::default().name(), "0.15");
    }
}
