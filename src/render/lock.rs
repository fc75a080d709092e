//! Which images are pinned: those of a Flyte release, and those that every release stands on.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::component::Component;
use crate::manifest::{Bundle, ImageRef, Object};
use crate::release::Release;
use crate::yaml::{self, YamlError};

/// The images that are no release's own, and the nodes'.
const SHARED: &str = include_str!("../../sandbox/images.lock.yaml");

/// The image of one component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What is pulled.
    pub image: ImageRef,
    /// The version that the tag stands for.
    pub version: String,
    /// Why this one.
    #[serde(default)]
    pub note: Option<String>,
    /// The processors that it is made for, as Go calls them, where that is known.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// What the same image is called in other registries, asked in this order where its own fails.
    #[serde(default)]
    pub successors: Vec<ImageRef>,
    /// `sha256:` and 64 hexadecimal digits, where it has been read from the registry.
    #[serde(default)]
    pub digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    components: BTreeMap<String, Pin>,
    #[serde(default)]
    copilot: Option<Pin>,
    #[serde(default)]
    nodes: BTreeMap<String, Vec<ImageRef>>,
}

/// The pinned images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    components: BTreeMap<Component, Pin>,
    /// What propellers put beside raw-container tasks, as those know nothing of Flyte.
    copilot: Option<Pin>,
    nodes: BTreeMap<String, Vec<ImageRef>>,
}

/// A lock file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Not YAML, or not of the right shape.
    #[error("not a lock file")]
    Syntax(#[from] YamlError),
    /// An id that is no component's.
    #[error("there is no component `{0}`")]
    Unknown(String),
    /// A component without an image.
    #[error("component `{0}` is not there")]
    Missing(Component),
}

/// The release nearest to the flyteadmin that manifests were made for: of the same major version where there is one, then of
/// the nearest minor one. Absent where their flyteadmin has no version.
#[must_use]
pub fn nearest_release(bundle: &Bundle) -> Option<Release> {
    let is_admin = |image: &ImageRef| image.repository().rsplit('/').next() == Some(Component::Flyteadmin.id());
    let images = bundle.objects.iter().flat_map(Object::images);
    let (major, minor, _) = images.filter(is_admin).find_map(|image| image.version())?;
    let far = |release: &Release| {
        let (to, within, _) = Lock::embedded(*release).ok()?.pin(Component::Flyteadmin)?.image.version()?;
        Some((major.abs_diff(to), minor.abs_diff(within)))
    };
    Release::all()
        .filter_map(|release| Some((far(&release)?, release)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, nearest)| nearest)
}

impl Lock {
    /// The images of a release.
    ///
    /// # Errors
    /// Never in a released binary: a test reads them all.
    pub fn embedded(release: Release) -> Result<Self, LockError> {
        Self::parse([SHARED, release.images()])
    }

    fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, LockError> {
        let mut lock = Self { components: BTreeMap::new(), copilot: None, nodes: BTreeMap::new() };
        for text in texts {
            let file: File = yaml::typed(text)?;
            for (id, pin) in file.components {
                let component = Component::of_id(&id).ok_or(LockError::Unknown(id))?;
                lock.components.insert(component, pin);
            }
            lock.copilot = file.copilot.or(lock.copilot);
            lock.nodes.extend(file.nodes);
        }
        match Component::ALL.into_iter().find(|one| !one.is_optional() && !lock.components.contains_key(one)) {
            Some(missing) => Err(LockError::Missing(missing)),
            None => Ok(lock),
        }
    }

    /// Every component with its image, in the order in which they can start.
    pub fn pins(&self) -> impl Iterator<Item = (Component, &Pin)> {
        self.components.iter().map(|(component, pin)| (*component, pin))
    }

    /// The image of a component.
    #[must_use]
    pub fn pin(&self, component: Component) -> Option<&Pin> {
        self.components.get(&component)
    }

    /// The image of what fetches and brings the files of raw-container tasks, where the release pins one.
    #[must_use]
    pub const fn copilot(&self) -> Option<&Pin> {
        self.copilot.as_ref()
    }

    /// What is known of an image; absent where it is none of these.
    #[must_use]
    pub fn pin_of(&self, image: &ImageRef) -> Option<&Pin> {
        self.components.values().chain(&self.copilot).find(|pin| pin.image == *image)
    }

    /// What a k3s node of this release, such as `v1.33.13+k3s1`, needs itself; where the release is not listed, what is listed
    /// of its minor version, such as `v1.21`. Empty where neither is.
    #[must_use]
    pub fn node_images(&self, release: &str) -> &[ImageRef] {
        let minor = release.match_indices('.').nth(1).map_or(release, |(end, _)| &release[..end]);
        self.nodes.get(release).or_else(|| self.nodes.get(minor)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_lock_pins_every_component_by_tag() {
        for release in Release::all() {
            let lock = Lock::embedded(release).expect("the lock");
            let lacking: Vec<_> = Component::ALL.into_iter().filter(|one| lock.pin(*one).is_none()).collect();
            let optional = if release.facts().scheduler { vec![] } else { vec![Component::Flytescheduler] };
            assert_eq!(lacking, optional, "{release}");
            for (component, pin) in lock.pins() {
                assert!(pin.image.tag().is_some_and(|tag| tag.contains(&pin.version)), "{component}: {}", pin.image);
            }
            assert_eq!(lock.node_images(&release.facts().kubernetes).len(), 2);
            assert!(lock.node_images("v9.99.0+k3s1").is_empty());
        }
    }

    #[test]
    fn manifests_are_of_the_release_that_is_nearest_to_their_admin() {
        let of = |image: &str| {
            let pod = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{image: {image}}}]}}}}"
            );
            let source = crate::manifest::Source { name: "a.yaml".to_owned(), text: pod };
            nearest_release(&Bundle::parse("a.yaml".to_owned(), vec![source]).expect("a pod")).map(Release::name)
        };
        for (tag, release) in [
            ("cr.flyte.org/flyteorg/flyteadmin:v0.6.13", Some("0.15")),
            ("cr.flyte.org/flyteorg/flyteadmin:v0.6.151", Some("0.15")),
            ("mirror:5000/flyteadmin:v1.10.7-b0", Some("1.16")),
            ("cr.flyte.org/flyteorg/flyteadmin:v1.1.0", Some("1.16")),
            ("cr.flyte.org/flyteorg/flyteadmin:v2.0.1", Some("1.16")),
            ("cr.flyte.org/flyteorg/flyteadmin:latest", None),
            ("cr.flyte.org/flyteorg/flytepropeller:v1.10.7", None),
        ] {
            assert_eq!(of(tag), release, "{tag}");
        }
    }

    #[test]
    fn a_lock_names_what_is_wrong_with_it() {
        let error = |text: &str| Lock::parse([text]).expect_err(text);
        assert!(matches!(error("components: {}\nnodes: {}"), LockError::Missing(Component::Postgres)));
        let unknown = "components: {redis: {image: 'redis:1', version: '1'}}\nnodes: {}";
        assert_eq!(error(unknown), LockError::Unknown("redis".to_owned()));
        assert!(matches!(error("components: []"), LockError::Syntax(_)));
    }
}
