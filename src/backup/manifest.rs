//! The documents of a backup, and its bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the format. What changes how an older program would read a backup raises it.
pub const FORMAT: u64 = 1;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const END: &str = "end.json";
/// The most bytes of a document; an object's headers are below 10 KB.
pub(super) const DOCUMENT: u64 = 1 << 20;
/// The most bytes of one object: S3's own limit for a request that writes one.
pub(super) const OBJECT: u64 = 5 << 30;
/// The most bytes of all content.
pub(super) const ALL: u64 = 256 << 30;
/// The most databases.
pub(super) const DATABASES: usize = 100;
/// The most characters of a database's name, as Postgres has it.
const DATABASE_NAME: usize = 63;
/// The most bytes of an object's key, as S3 has it.
const KEY: usize = 1024;

/// What a backup is of. Comes first, so that it can be judged before anything else is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of the format.
    pub format: u64,
    /// The version of the program that wrote it.
    pub version: String,
    /// When it was begun, RFC 3339.
    pub created: String,
    /// The name of the sandbox.
    pub sandbox: String,
    /// Its Flyte projects.
    pub projects: Vec<String>,
    /// Its Flyte domains.
    pub domains: Vec<String>,
    /// The bucket of admin and datacatalog; a project's is called after it. The databases name objects by their buckets.
    pub bucket: String,
    /// The image of each component that wrote the data, by component.
    pub images: BTreeMap<String, String>,
    /// The Kubernetes release.
    pub kubernetes: String,
    /// The major version of the Postgres server.
    pub postgres: u64,
    /// The databases, in the order of their dumps.
    pub databases: Vec<String>,
    /// Executions that had not ended.
    pub unfinished: u64,
}

/// An object before its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectHead {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Bytes of its content.
    pub size: u64,
    /// Its content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its user metadata: headers that begin with `x-amz-meta-`, in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What a backup has in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Databases.
    pub databases: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of dumps and objects together.
    pub bytes: u64,
}

impl Manifest {
    /// What is wrong with the names in it. They become arguments of programs in the Postgres pod.
    pub(super) fn flaw(&self) -> Option<String> {
        if self.databases.len() > DATABASES {
            return Some(format!("it has {} databases", self.databases.len()));
        }
        self.databases.iter().find(|name| !is_database_name(name)).map(|name| format!("{name:?} is no database's name"))
    }
}

/// Whether a database of this name can be saved and loaded: `psql` takes a name with other characters for more than a name.
pub(crate) fn is_database_name(name: &str) -> bool {
    let all = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    all && !name.is_empty() && !name.starts_with('-') && name.len() <= DATABASE_NAME
}

impl ObjectHead {
    /// What is wrong with it. A bucket or key must lead to that object and nowhere else: an HTTP client follows `..` in a
    /// path, and `minio` is where Minio's admin API is.
    pub(crate) fn flaw(&self) -> Option<String> {
        let Self { bucket, key, size, content_type, metadata } = self;
        let in_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !(3..=63).contains(&bucket.len())
            || !bucket.chars().all(in_bucket)
            || bucket.starts_with('.')
            || bucket == "minio"
        {
            return Some(format!("{bucket:?} is no bucket's name"));
        }
        // A key may end with a slash, as folders that Minio's browser makes do.
        let steps = key.strip_suffix('/').unwrap_or(key).split('/');
        let leads_away = |step: &str| matches!(step, "" | "." | "..");
        if key.len() > KEY || key.chars().any(char::is_control) || steps.clone().any(leads_away) {
            return Some(format!("{key:?} is no object's key"));
        }
        if *size > OBJECT {
            return Some(format!("object {bucket}/{key} has {size} bytes, and Minio takes {OBJECT} at once"));
        }
        let is_name = |name: &str| {
            name.starts_with("x-amz-meta-")
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        };
        let is_value = |value: &str| value.chars().all(|c| (' '..='~').contains(&c));
        let headers = metadata.iter().all(|(name, value)| is_name(name) && is_value(value));
        let fine = headers && content_type.as_deref().is_none_or(is_value);
        (!fine).then(|| format!("object {bucket}/{key} has headers that no object has"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bucket: &str, key: &str) -> ObjectHead {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        ObjectHead { bucket, key, size: 1, content_type: None, metadata: BTreeMap::new() }
    }

    #[test]
    fn an_object_leads_to_itself_and_nowhere_else() {
        for (bucket, key, fine) in [
            ("my-s3-bucket", "metadata/x/d-dev/inputs.pb", true),
            ("my-s3-bucket", "folder/", true),
            ("my-s3-bucket", "ein Wört & more?", true),
            ("my-s3-bucket", "../minio/admin/v3/add-user", false),
            ("my-s3-bucket", "a/../../b", false),
            ("my-s3-bucket", "a/./b", false),
            ("my-s3-bucket", "/a", false),
            ("my-s3-bucket", "a//b", false),
            ("my-s3-bucket", "", false),
            ("my-s3-bucket", "a\nb", false),
            ("minio", "admin/v3/add-user", false),
            ("..", "a", false),
            ("a/b", "a", false),
            ("...", "a", false),
        ] {
            assert_eq!(head(bucket, key).flaw().is_none(), fine, "{bucket} {key}");
        }
        let huge = ObjectHead { size: OBJECT + 1, ..head("data", "a") };
        assert!(huge.flaw().is_some());
        let metadata = |name: &str, value: &str| {
            let metadata = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            ObjectHead { metadata, ..head("data", "a") }.flaw().is_none()
        };
        assert!(metadata("x-amz-meta-by", "somebody"));
        assert!(!metadata("authorization", "somebody") && !metadata("x-amz-meta-by", "a\r\nhost: b"));
    }

    #[test]
    fn a_databases_name_is_nothing_that_psql_would_read_more_into() {
        for (name, fine) in
            [("flyte_development", true), ("datacatalog", true), ("host=elsewhere", false), ("-c", false), ("", false)]
        {
            assert_eq!(is_database_name(name), fine, "{name}");
        }
    }
}
