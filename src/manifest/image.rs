//! Image references.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A container image reference as written, such as `minio/minio:RELEASE.2020-12-16T05-05-17Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

/// Text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {why}")]
pub struct ImageRefError {
    text: String,
    why: &'static str,
}

impl ImageRef {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The reference with registry, repository path and tag spelled out, as containerd stores it:
    /// `postgres:10.16-alpine` is `docker.io/library/postgres:10.16-alpine`.
    #[must_use]
    pub fn canonical(&self) -> String {
        let (name, suffix) = self.split();
        let suffix = if suffix.is_empty() { ":latest".to_owned() } else { suffix.to_owned() };
        match name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => format!("{name}{suffix}"),
            Some(_) => format!("docker.io/{name}{suffix}"),
            None => format!("docker.io/library/{name}{suffix}"),
        }
    }

    /// The registry's host, such as `docker.io`, with its port where it has one.
    #[must_use]
    pub fn registry(&self) -> String {
        self.canonical().split('/').next().unwrap_or_default().to_owned()
    }

    /// Name without tag or digest, as written.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.split().0
    }

    /// The tag, if one is written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let suffix = self.split().1;
        suffix.split('@').next().and_then(|tag| tag.strip_prefix(':'))
    }

    /// The version at the head of the tag, such as (1, 16, 8) of `v1.16.8` and (1, 21, 2) of `v1.21.2-k3s1`.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32, u32)> {
        let tag = self.tag()?;
        let mut parts = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?.split('.').map(str::parse);
        let version = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(version)
    }

    fn split(&self) -> (&str, &str) {
        let path = self.0.rfind('/').map_or(0, |slash| slash + 1);
        let cut = self.0[path..].find([':', '@']).map_or(self.0.len(), |at| path + at);
        self.0.split_at(cut)
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why| ImageRefError { text: text.to_owned(), why };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        if text.starts_with('-') {
            return Err(error("it starts with a dash"));
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c)) {
            return Err(error("only letters, digits and . _ - / : @ may stand in it"));
        }
        let image = Self(text.to_owned());
        let (name, suffix) = image.split();
        if name.is_empty() || name.split('/').any(str::is_empty) {
            return Err(error("a part of its name is empty"));
        }
        if name.split('/').skip(1).any(|part| part.chars().any(|c| c.is_ascii_uppercase())) {
            return Err(error("repository names are lower case"));
        }
        if name.contains('@') {
            return Err(error("`@` stands before a digest, at the end"));
        }
        // So that no part is `..`, which in the path of a request would lead elsewhere.
        let framed = |part: &str| [part.chars().next(), part.chars().last()].into_iter().flatten().all(is_word);
        if !name.split('/').all(framed) {
            return Err(error("a part of its name starts or ends with a punctuation mark"));
        }
        let (tag, digest) = match suffix.split_once('@') {
            Some((tag, digest)) => (tag, Some(digest)),
            None => (suffix, None),
        };
        if tag == ":" || digest == Some("") {
            return Err(error("its tag or digest is empty"));
        }
        let plain = |tag: &str| tag.starts_with(|c| is_word(c) || c == '_') && !tag.contains(':');
        if tag.strip_prefix(':').is_some_and(|tag| !plain(tag)) {
            return Err(error("invalid tag"));
        }
        let hex = |hex: &str| hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit());
        if digest.is_some_and(|digest| !digest.split_once(':').is_some_and(|(by, sum)| framed(by) && hex(sum))) {
            return Err(error("invalid digest"));
        }
        Ok(image)
    }
}

/// Whether a program of image `is` is of an earlier minor version than `was`, whose data it would read.
#[must_use]
pub fn goes_back(was: &str, is: &str) -> bool {
    let version = |image: &str| image.parse::<ImageRef>().ok()?.version().map(|(major, minor, _)| (major, minor));
    version(was).zip(version(is)).is_some_and(|(was, is)| is < was)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

impl TryFrom<String> for ImageRef {
    type Error = ImageRefError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_are_containerds() {
        for (written, canonical) in [
            ("postgres:10.16-alpine", "docker.io/library/postgres:10.16-alpine"),
            ("minio/minio:R", "docker.io/minio/minio:R"),
            ("docker.io/redocly/redoc", "docker.io/redocly/redoc:latest"),
            ("localhost:5000/a:b", "localhost:5000/a:b"),
            (
                "a:_b@sha256:0123456789abcdef0123456789abcdef",
                "docker.io/library/a:_b@sha256:0123456789abcdef0123456789abcdef",
            ),
            ("cr.flyte.org/flyteorg/flyteadmin:v0.6.13", "cr.flyte.org/flyteorg/flyteadmin:v0.6.13"),
        ] {
            assert_eq!(written.parse::<ImageRef>().expect(written).canonical(), canonical);
        }
    }

    #[test]
    fn rejects_what_docker_would_reject() {
        let wrong =
            ["", "-v", "a b", "a//b", "a:", "x/A:b", "a@", "a:@sha256:0", "a@sha256:0", "a:b:c", "a:-b", "a:.b"];
        let elsewhere = ["../containers/x", "a/../b", "./a", "a/.", "a/b-", "_/a", "a@server:0"];
        for text in wrong.into_iter().chain(elsewhere) {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_version_is_three_numbers_at_the_head_of_the_tag() {
        for (image, version) in [
            ("cr.flyte.org/flyteorg/flyteadmin:v1.16.8", Some((1, 16, 8))),
            ("rancher/k3s:v1.21.2-k3s1", Some((1, 21, 2))),
            ("registry:3.0.0", Some((3, 0, 0))),
            ("localhost:5000/flyteadmin:v0.6.13@sha256:0123456789abcdef0123456789abcdef", Some((0, 6, 13))),
            ("postgres:10.16-alpine", None),
            ("minio/minio:RELEASE.2020-12-16T05-05-17Z", None),
            ("flyteadmin:1.2.3.4", None),
            ("flyteadmin", None),
        ] {
            assert_eq!(image.parse::<ImageRef>().expect(image).version(), version, "{image}");
        }
    }
}
