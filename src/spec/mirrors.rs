//! Registries that are asked in place of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::ImageRef;

/// From a registry to the one that has its images too, with the path to them where there is one: `cr.flyte.org` to
/// `ghcr.io`, `docker.io` to `registry.example/dockerhub`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mirrors(BTreeMap<String, String>);

impl Mirrors {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each registry and its mirror.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(registry, mirror)| (registry.as_str(), mirror.as_str()))
    }

    /// The name that an image has in the mirror of its registry, where that has one. An image that is named by its digest
    /// has none: Docker knows a digest only under the name that it was pulled by.
    #[must_use]
    pub fn name(&self, image: &ImageRef) -> Option<ImageRef> {
        let canonical = image.canonical();
        let (registry, rest) = canonical.split_once('/')?;
        let mirror = self.0.get(registry).filter(|_| !rest.contains('@'))?;
        format!("{mirror}/{rest}").parse().ok()
    }

    /// One more, or another one in the place of one that was there.
    ///
    /// # Errors
    /// What is wrong with one of the two.
    pub(super) fn add(&mut self, registry: &str, mirror: &str) -> Result<(), String> {
        let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
        let named = |name: &str| format!("{name}/image:tag").parse::<ImageRef>().map(|image| image.canonical());
        if registry.contains('/') || !is_host(registry) || named(registry).is_err() {
            return Err(format!("`{registry}` is no registry; `cr.flyte.org` and `docker.io` are"));
        }
        let host = mirror.split('/').next().unwrap_or_default();
        if !is_host(host) || named(mirror).is_err() {
            return Err(format!("`{mirror}` is no registry; `ghcr.io` and `registry.example/dockerhub` are"));
        }
        self.0.insert(registry.to_owned(), mirror.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors() -> Mirrors {
        let mut mirrors = Mirrors::default();
        for (registry, mirror) in
            [("cr.flyte.org", "ghcr.io"), ("docker.io", "registry.example:5000/hub"), ("localhost:5000", "localhost")]
        {
            mirrors.add(registry, mirror).expect(registry);
        }
        mirrors
    }

    #[test]
    fn an_image_is_named_in_the_mirror_as_in_its_own_registry() {
        let digest = format!("cr.flyte.org/a/b@sha256:{}", "0".repeat(64));
        for (image, name) in [
            ("cr.flyte.org/flyteorg/flyteadmin:v0.6.13", Some("ghcr.io/flyteorg/flyteadmin:v0.6.13")),
            ("postgres:10.16-alpine", Some("registry.example:5000/hub/library/postgres:10.16-alpine")),
            ("docker.io/envoyproxy/envoy:v1.17.1", Some("registry.example:5000/hub/envoyproxy/envoy:v1.17.1")),
            ("minio/minio", Some("registry.example:5000/hub/minio/minio:latest")),
            ("localhost:5000/x:1", Some("localhost/x:1")),
            ("ghcr.io/a/b:1", None),
            (&digest, None),
        ] {
            let found = mirrors().name(&image.parse().expect(image));
            assert_eq!(found.as_ref().map(ImageRef::as_str), name, "{image}");
        }
    }

    #[test]
    fn what_is_no_registry_is_told() {
        for (registry, mirror, wrong) in [
            ("flyteorg", "ghcr.io", "flyteorg"),
            ("cr.flyte.org/flyteorg", "ghcr.io", "cr.flyte.org/flyteorg"),
            ("", "ghcr.io", ""),
            ("cr.flyte.org", "mirror", "mirror"),
            ("cr.flyte.org", "https://ghcr.io", "https://ghcr.io"),
            ("cr.flyte.org", "ghcr.io/", "ghcr.io/"),
        ] {
            let told = Mirrors::default().add(registry, mirror).expect_err(registry);
            assert!(told.starts_with(&format!("`{wrong}` is no registry")), "{registry}={mirror}: {told}");
        }
    }
}
