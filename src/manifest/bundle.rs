//! A set of objects from our `manifests/`, or from a user's file, directory or pipe.

use std::collections::BTreeMap;

use super::object::{Object, ObjectError, ObjectRef};
use crate::yaml::{self, YamlError};

/// Embeds files of `manifests/`, each as its name and its text.
macro_rules! manifests {
    ($($file:literal),* $(,)?) => {
        [$((concat!("manifests/", $file), include_str!(concat!("../../manifests/", $file)))),*]
    };
}

/// The manifests embedded in this binary; a test holds that none is left out.
const MANIFESTS: [(&str, &str); 9] = manifests![
    "crd.yaml",
    "datacatalog.yaml",
    "flyteadmin.yaml",
    "flyteconsole.yaml",
    "flytepropeller.yaml",
    "gateway.yaml",
    "kubernetes-dashboard.yaml",
    "minio.yaml",
    "postgres.yaml",
];

/// Manifest text and what to call it in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A path, or `standard input`.
    pub name: String,
    /// A stream of YAML or JSON documents.
    pub text: String,
}

/// A set of objects, each identity once.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Such as `built-in manifests` or a path.
    pub origin: String,
    /// In the order in which they were read.
    pub objects: Vec<Object>,
}

/// Manifest text that is not a set of objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not YAML.
    #[error("{source_name} is not YAML")]
    Syntax {
        /// Which text.
        source_name: String,
        /// Where and what.
        #[source]
        error: YamlError,
    },
    /// A document that is no object.
    #[error("document {index} of {source_name} is not a Kubernetes object: {error}")]
    NotAnObject {
        /// Which text.
        source_name: String,
        /// Which document, from 1, empty ones not counted.
        index: usize,
        /// What is not there.
        error: ObjectError,
    },
    /// Two documents for one object.
    #[error("{object} stands twice, in {first} and in {second}")]
    Twice {
        /// Which.
        object: ObjectRef,
        /// Where first.
        first: String,
        /// Where again.
        second: String,
    },
    /// Nothing in it.
    #[error("{0} has no Kubernetes objects in it")]
    Empty(String),
}

/// Where the manifests embedded in this binary come from.
const BUILT_IN: &str = "built-in manifests";

impl Bundle {
    /// The manifests embedded in this binary.
    ///
    /// # Errors
    /// Never in a released binary: a test reads them.
    pub fn embedded() -> Result<Self, BundleError> {
        let sources = MANIFESTS.map(|(name, text)| Source { name: name.to_owned(), text: text.to_owned() });
        Self::parse(BUILT_IN, sources)
    }

    /// Whether these are the manifests embedded in this binary.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.origin == BUILT_IN
    }

    /// The objects of all sources. `List` objects are taken apart.
    ///
    /// # Errors
    /// [`BundleError`] names the source and the document.
    pub fn parse(origin: impl Into<String>, sources: impl IntoIterator<Item = Source>) -> Result<Self, BundleError> {
        let origin = origin.into();
        let mut objects = Vec::new();
        let mut seen: BTreeMap<ObjectRef, String> = BTreeMap::new();
        for source in sources {
            let documents = yaml::documents(&source.text)
                .map_err(|error| BundleError::Syntax { source_name: source.name.clone(), error })?;
            for (index, document) in documents.into_iter().enumerate() {
                let items = match document.get("items").and_then(|items| items.as_array()) {
                    Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                        items.clone()
                    }
                    _ => vec![document],
                };
                for item in items {
                    let object = Object::new(item).map_err(|error| BundleError::NotAnObject {
                        source_name: source.name.clone(),
                        index: index + 1,
                        error,
                    })?;
                    if let Some(first) = seen.insert(object.reference(), source.name.clone()) {
                        let second = source.name.clone();
                        return Err(BundleError::Twice { object: object.reference(), first, second });
                    }
                    objects.push(object);
                }
            }
        }
        if objects.is_empty() {
            return Err(BundleError::Empty(origin));
        }
        Ok(Self { origin, objects })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::MANIFESTS;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")).expect("a folder");
        let mut files: Vec<_> =
            folder.flatten().map(|file| format!("manifests/{}", file.file_name().display())).collect();
        files.sort();
        assert_eq!(files, MANIFESTS.map(|(name, _)| name));
    }
}
