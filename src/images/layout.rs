//! What a bundle is: an OCI image layout in one archive, its documents before what they name, so that whoever reads it
//! from the front knows of every blob before it comes.
//!
//! ```text
//! oci-layout  index.json  manifest.json  blobs/sha256/…
//!                                        manifests, then configurations, then layers
//! ```
//!
//! `manifest.json` is what `docker load` asks for; everybody else goes by `index.json`. Formats: OCI image-spec v1.0,
//! `image-layout.md`; Docker image spec v1.2.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{hex, sha256};
use crate::manifest::ImageRef;

/// The most bytes of any document; the largest configuration of ours has 9 KB.
pub(super) const DOCUMENT: u64 = 256 << 10;
/// The most bytes of all blobs together; a sandbox's have some 0.7 GB.
pub(super) const ALL: u64 = 64 << 30;
/// The most images.
pub(super) const IMAGES: usize = 200;

pub(super) const MARKER: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const DOCKERS_LIST: &str = "manifest.json";

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The annotation that containerd, and Docker where it stores images there, takes an image's name from.
const NAME: &str = "io.containerd.image.name";

/// The SHA-256 of a blob, which is its name: `sha256:` and 64 digits of lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Digest(String);

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::from_sha256(&sha256(bytes))
    }

    pub(super) fn from_sha256(digest: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(digest)))
    }

    /// Where the blob is in a layout.
    pub(super) fn path(&self) -> String {
        format!("blobs/sha256/{}", self.0.trim_start_matches("sha256:"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let is_one = digits.len() == 64 && digits.chars().all(is_digit);
        if is_one { Ok(Self(text)) } else { Err(format!("`{text}` is not a SHA-256 digest")) }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A blob, as whoever needs it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn layer(media_type: String, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, annotations: BTreeMap::new() }
    }

    pub(super) fn config(bytes: &[u8]) -> Self {
        Self::layer(CONFIG_TYPE.to_owned(), Digest::of(bytes), bytes.len() as u64)
    }
}

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    schema_version: u32,
    pub(super) manifests: Vec<Descriptor>,
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Manifest {
    pub(super) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: MANIFEST_TYPE.to_owned(), config, layers }
    }
}

/// What of an image's configuration has to fit its layers.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    rootfs: RootFs,
}

impl Config {
    /// The digests of its layers, unpacked, from the lowest.
    pub(super) fn diff_ids(&self) -> &[Digest] {
        &self.rootfs.diff_ids
    }
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// An image's entry in `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockersEntry {
    pub(super) config: String,
    /// Null for an image that has no tag.
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

/// An image in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundled {
    /// With its tag.
    pub(super) name: ImageRef,
    /// What `index.json` says of its manifest.
    pub(super) at: Descriptor,
    pub(super) manifest: Manifest,
}

impl Bundled {
    pub(super) fn new(name: ImageRef, manifest: Manifest) -> Result<Self, serde_json::Error> {
        let bytes = serde_json::to_vec(&manifest)?;
        let mut at = Descriptor::layer(MANIFEST_TYPE.to_owned(), Digest::of(&bytes), bytes.len() as u64);
        at.annotations.insert(NAME.to_owned(), name.canonical());
        at.annotations.extend(name.tag().map(|tag| ("org.opencontainers.image.ref.name".to_owned(), tag.to_owned())));
        Ok(Self { name, at, manifest })
    }

    /// The name that an entry of `index.json` gives its image, if it gives a good one.
    pub(super) fn name(at: &Descriptor) -> Option<ImageRef> {
        at.annotations.get(NAME)?.parse().ok().filter(|name: &ImageRef| name.tag().is_some())
    }

    /// Whether Docker means this image by an id: the configuration's digest or, where it stores images in containerd,
    /// the manifest's.
    pub(super) fn is(&self, id: &str) -> bool {
        [&self.manifest.config.digest, &self.at.digest].iter().any(|digest| digest.as_str() == id)
    }

    /// Every blob that it needs.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        [&self.at, &self.manifest.config].into_iter().chain(&self.manifest.layers)
    }
}

/// Why layers are not those that a configuration was made for, if they are not. What a compressed layer unpacks to is
/// Docker's to see.
pub(super) fn misfit(config: &Config, layers: &[Descriptor]) -> Option<String> {
    let said = &config.rootfs.diff_ids;
    if said.len() != layers.len() {
        return Some(format!("it is made of {} layers, and {} are there", said.len(), layers.len()));
    }
    let mut pairs = said.iter().zip(layers);
    let other = pairs.find(|(said, layer)| layer.media_type == LAYER_TYPE && **said != layer.digest)?;
    Some(format!("it is made of layer {}, and {} is there", other.0, other.1.digest))
}

/// The three documents that say what is in a layout of these images, by name.
pub(super) fn documents(images: &[Bundled]) -> Result<[(&'static str, Vec<u8>); 3], serde_json::Error> {
    let index = Index { schema_version: 2, manifests: images.iter().map(|image| image.at.clone()).collect() };
    let entries = images.iter().map(|Bundled { name, manifest, .. }| DockersEntry {
        config: manifest.config.digest.path(),
        repo_tags: Some(vec![name.canonical()]),
        layers: manifest.layers.iter().map(|layer| layer.digest.path()).collect(),
    });
    Ok([
        (MARKER, br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        (INDEX, serde_json::to_vec(&index)?),
        (DOCKERS_LIST, serde_json::to_vec(&entries.collect::<Vec<_>>())?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_digits_of_lower_case_and_so_never_a_way_out_of_the_folder() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(Digest::try_from(good.clone()).expect("good").path(), format!("blobs/sha256/{}", "0a".repeat(32)));
        for bad in ["", "sha256:", "sha256:../../etc/passwd", &good.to_uppercase(), &good[..70], &good[7..]] {
            Digest::try_from(bad.to_owned()).expect_err(bad);
        }
    }

    #[test]
    fn a_digest_is_what_sha256sum_says() {
        // printf colima | sha256sum
        let digest = Digest::of(b"colima");
        assert_eq!(digest.as_str(), "sha256:f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16");
    }
}
