//! A set of objects of a Flyte release in this binary, or from a user's file, directory or pipe.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{Object, ObjectError, ObjectRef};
use crate::release::Release;
use crate::yaml::{self, YamlError};

/// Embeds files of `manifests/`, each as its name and its text.
macro_rules! manifests {
    ($($file:literal),* $(,)?) => {
        [$((concat!("manifests/", $file), include_str!(concat!("../../manifests/", $file)))),*]
    };
}

/// The manifests of what every Flyte release stands on; a test holds that none is left out.
const MANIFESTS: [(&str, &str); 6] = manifests![
    "crd.yaml",
    "gateway.yaml",
    "image-registry.yaml",
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// Such as `built-in manifests` or a path.
    pub origin: String,
    /// In the order in which they were read.
    pub objects: Vec<Object>,
    /// Objects of which there were several that differ: the last is in `objects`, as with `kubectl apply`.
    pub overridden: Vec<Overridden>,
}

/// An object that stands more than once, and differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// Which.
    pub object: ObjectRef,
    /// The source of the one that does not count.
    pub first: String,
    /// The source of the one that counts.
    pub last: String,
}

/// Manifest text that is not a set of objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not YAML.
    #[error("{source_name} is not YAML{}", line.as_ref().map(|line| format!(", at `{line}`")).unwrap_or_default())]
    Syntax {
        /// Which text.
        source_name: String,
        /// The line that cannot be read, where it is known.
        line: Option<String>,
        /// Where and what.
        #[source]
        error: YamlError,
    },
    /// A document that is no object.
    #[error("document {index} of {source_name} is not a Kubernetes object: {error}; it begins with `{begins}`")]
    NotAnObject {
        /// Its first words.
        begins: String,
        /// Which text.
        source_name: String,
        /// Which document, from 1, empty ones not counted.
        index: usize,
        /// What is not there.
        error: ObjectError,
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
    pub fn embedded(release: Release) -> Result<Self, BundleError> {
        let files = MANIFESTS.iter().chain(release.manifests());
        let sources = files.map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() });
        Self::parse(BUILT_IN, sources)
    }

    /// Whether these are the manifests embedded in this binary.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.origin == BUILT_IN
    }

    /// The objects of all sources. `List` objects are taken apart. Of an object that stands more than once the last counts.
    ///
    /// # Errors
    /// [`BundleError`] names the source and the document.
    pub fn parse(origin: impl Into<String>, sources: impl IntoIterator<Item = Source>) -> Result<Self, BundleError> {
        let mut bundle = Self { origin: origin.into(), ..Self::default() };
        let mut seen: BTreeMap<Identity, (usize, String)> = BTreeMap::new();
        for Source { name, text } in sources {
            let documents = yaml::documents(&text).map_err(|error| syntax(&name, &text, error))?;
            for (index, document) in documents.into_iter().enumerate() {
                for item in taken_apart(document) {
                    let begins = beginning(&item);
                    let object = Object::new(item).map_err(|error| BundleError::NotAnObject {
                        begins,
                        source_name: name.clone(),
                        index: index + 1,
                        error,
                    })?;
                    bundle.add(object, &name, &mut seen);
                }
            }
        }
        if bundle.objects.is_empty() {
            return Err(BundleError::Empty(bundle.origin));
        }
        Ok(bundle)
    }

    fn add(&mut self, object: Object, source: &str, seen: &mut BTreeMap<Identity, (usize, String)>) {
        let reference = object.reference();
        let (group, kind, namespace, name) = reference.identity();
        let identity = [group, kind, namespace.unwrap_or_default(), name].map(str::to_owned);
        match seen.get_mut(&identity) {
            Some((at, first)) => {
                if self.objects[*at] != object {
                    let last = source.to_owned();
                    self.overridden.push(Overridden { object: reference, first: first.clone(), last });
                    self.objects[*at] = object;
                }
                source.clone_into(first);
            }
            None => {
                seen.insert(identity, (self.objects.len(), source.to_owned()));
                self.objects.push(object);
            }
        }
    }
}

/// Group, kind, namespace and name.
type Identity = [String; 4];

/// The objects of a `List`, or the one object.
fn taken_apart(document: Value) -> Vec<Value> {
    match document.get("items").and_then(Value::as_array) {
        Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => items.clone(),
        _ => vec![document],
    }
}

/// The first words of a document, to tell it by.
fn beginning(document: &Value) -> String {
    const WORDS: usize = 80;
    let first = match document {
        Value::Object(map) => map.iter().next().map(|(key, value)| match value {
            Value::Object(_) | Value::Array(_) => format!("{key}:"),
            _ => format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        }),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    first.unwrap_or_default().lines().next().unwrap_or_default().chars().take(WORDS).collect()
}

fn syntax(source: &str, text: &str, error: YamlError) -> BundleError {
    const WIDTH: usize = 160;
    let at = error.position.and_then(|at| usize::try_from(at.line).ok());
    let line = at.and_then(|at| text.lines().nth(at.checked_sub(1)?)).map(str::trim).filter(|line| !line.is_empty());
    let line = line.map(|line| line.chars().take(WIDTH).collect());
    BundleError::Syntax { source_name: source.to_owned(), line, error }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_object_that_stands_twice_is_once_and_of_two_that_differ_the_last_counts() {
        let service = |port: u16| {
            format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: n}}, spec: {{ports: [{{port: {port}}}]}}}}"
            )
        };
        let same = Bundle::parse("x", [source("a", &service(1)), source("b", &service(1))]).expect("objects");
        assert_eq!((same.objects.len(), same.overridden), (1, Vec::new()));
        let other = Bundle::parse("x", [source("a", &service(1)), source("b", &service(2))]).expect("objects");
        assert_eq!(other.objects[0].get("/spec/ports/0/port"), Some(&serde_json::json!(2)));
        let object = other.objects[0].reference();
        let last = Overridden { object, first: "a".to_owned(), last: "b".to_owned() };
        assert_eq!((other.objects.len(), other.overridden), (1, vec![last]));
    }

    #[test]
    fn a_line_that_is_no_yaml_is_shown() {
        let text =
            "WARNING: Kubernetes configuration file is group-readable. Location: /home/me\n---\napiVersion: v1\n";
        let error = Bundle::parse("x", [source("a", text)]).expect_err("no YAML").to_string();
        assert!(error.contains("WARNING: Kubernetes configuration file"), "{error}");
        let error = Bundle::parse("x", [source("a", "replicas: 2\nimage: {}\n")]).expect_err("values").to_string();
        assert!(error.ends_with("it begins with `replicas: 2`"), "{error}");
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")).expect("a folder");
        let mut files: Vec<_> =
            folder.flatten().map(|file| format!("manifests/{}", file.file_name().display())).collect();
        files.sort();
        assert_eq!(files, MANIFESTS.map(|(name, _)| name));
    }
}
