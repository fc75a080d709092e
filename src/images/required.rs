//! An image that a sandbox needs, and what is known of where it comes from.

use crate::manifest::ImageRef;

/// An image that a sandbox needs, and what is known of where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredImage {
    /// The image's name.
    pub image: ImageRef,
    /// The architectures of the image, by Go's names; empty if unknown.
    pub architectures: Vec<String>,
    /// What the same image is called in other registries, asked in this order where its own fails.
    pub successors: Vec<ImageRef>,
    /// `sha256:…` of what its registry has under this name, of all platforms together; absent if unknown.
    pub digest: Option<String>,
}

impl RequiredImage {
    /// The platform to ask a registry for, such as `linux/amd64`, where the image is known not to be made for this
    /// architecture.
    pub(super) fn foreign_platform(&self, own: &str) -> Option<String> {
        let first = self.architectures.first()?;
        let is_foreign = !own.is_empty() && !self.architectures.iter().any(|one| one == own);
        is_foreign.then(|| format!("linux/{first}"))
    }

    /// The digest that a registry gave in the place of the known one.
    pub(super) fn other_digest<'a>(&self, given: &'a [String]) -> Option<&'a str> {
        let known = self.digest.as_ref()?;
        let first = given.first()?;
        (!given.contains(known)).then_some(first)
    }
}

impl From<ImageRef> for RequiredImage {
    /// Nothing is known but its name.
    fn from(image: ImageRef) -> Self {
        Self { image, architectures: Vec::new(), successors: Vec::new(), digest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_platform_is_asked_for_where_there_is_none_for_the_daemons_processor() {
        for (architectures, own, platform) in [
            (&["amd64"][..], "arm64", Some("linux/amd64")),
            (&["amd64"], "amd64", None),
            (&["amd64", "arm64"], "arm64", None),
            (&[], "arm64", None),
            (&["amd64"], "", None),
        ] {
            let image: ImageRef = "flyteadmin:1".parse().expect("image");
            let architectures = architectures.iter().map(|one| (*one).to_owned()).collect();
            let required = RequiredImage { architectures, ..image.into() };
            assert_eq!(required.foreign_platform(own).as_deref(), platform, "{required:?} on {own}");
        }
    }
}
