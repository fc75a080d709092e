//! Who may do what in the object store.

use super::credentials::Keys;
use super::model::Spec;

/// What datacatalog's objects begin with, in admin's bucket.
pub const CATALOG_FOLDER: &str = "metadata/datacatalog";

/// The programs that have keys of their own where admin signs URLs: one signed with the store's own would open everything.
const PROGRAMS: [&str; 2] = ["flyteadmin", "datacatalog"];

/// Permission to read a bucket, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The bucket; `*` at its end stands for any text.
    pub bucket: String,
    /// What the objects' names begin with; empty for all.
    pub prefix: String,
    /// Whether it is to write, too.
    pub writes: bool,
}

/// A user of the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUser {
    /// What the store calls it: a project's bucket, or a program.
    pub name: String,
    /// The project that it stands for; absent for a program.
    pub project: Option<String>,
    /// Absent where somebody else is to issue them, and has not yet.
    pub keys: Option<Keys>,
    /// Its own bucket first.
    pub grants: Vec<Grant>,
}

impl Spec {
    /// The users of the object store: a project each, and the programs that have keys of their own.
    #[must_use]
    pub fn store_users(&self) -> Vec<StoreUser> {
        let storage = &self.storage;
        let uploads = self.flyte.facts().uploads.as_deref();
        let grant = |bucket: &str, prefix: String, writes| Grant { bucket: bucket.to_owned(), prefix, writes };
        let projects = self.projects.iter().map(|project| {
            let bucket = storage.bucket_of(project);
            let own = grant(&bucket, String::new(), true);
            let uploads = uploads.map(|folder| grant(&storage.bucket, format!("{folder}/{project}/"), false));
            StoreUser {
                project: Some(project.clone()),
                keys: storage.keys_of(project),
                grants: std::iter::once(own).chain(uploads).collect(),
                name: bucket,
            }
        });
        let programs = PROGRAMS.iter().filter_map(|program| {
            let keys = self.program_keys(program)?;
            let grants = match *program {
                "datacatalog" => vec![grant(&storage.bucket, format!("{CATALOG_FOLDER}/"), true)],
                // It shows what propellers wrote, each to its project's bucket.
                _ => vec![
                    grant(&storage.bucket, String::new(), true),
                    grant(&storage.bucket_of("*"), String::new(), false),
                ],
            };
            Some(StoreUser { name: (*program).to_owned(), project: None, keys: Some(keys), grants })
        });
        projects.chain(programs).collect()
    }

    /// What a program of Flyte reaches the store with where it has keys of its own; absent where it has the store's.
    #[must_use]
    pub fn program_keys(&self, program: &str) -> Option<Keys> {
        self.flyte.facts().uploads.as_ref()?;
        let secret_key = self.storage.secret_key.of_program(program);
        PROGRAMS.contains(&program).then(|| Keys { access_key: program.to_owned(), secret_key, expires_at: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Release;

    fn users(flyte: &str) -> Vec<String> {
        let flyte = Release::of(flyte).expect("a release");
        let spec = Spec { projects: vec!["x".into(), "y".into()], flyte, ..Spec::default() };
        let line = |user: StoreUser| {
            let grants = user.grants.iter().map(|Grant { bucket, prefix, writes }| {
                format!("{}{bucket}/{prefix}", if *writes { "rw " } else { "r " })
            });
            format!("{}: {}", user.name, grants.collect::<Vec<_>>().join(", "))
        };
        spec.store_users().into_iter().map(line).collect()
    }

    #[test]
    fn a_project_reads_its_own_uploads_and_programs_have_keys_of_their_own_where_admin_signs_urls() {
        assert_eq!(users("0.15"), ["my-s3-bucket-x: rw my-s3-bucket-x/", "my-s3-bucket-y: rw my-s3-bucket-y/"]);
        assert_eq!(
            users("1.16"),
            [
                "my-s3-bucket-x: rw my-s3-bucket-x/, r my-s3-bucket/uploads/x/",
                "my-s3-bucket-y: rw my-s3-bucket-y/, r my-s3-bucket/uploads/y/",
                "flyteadmin: rw my-s3-bucket/, r my-s3-bucket-*/",
                "datacatalog: rw my-s3-bucket/metadata/datacatalog/",
            ]
        );
    }

    #[test]
    fn no_two_users_of_the_store_have_one_secret() {
        let spec = Spec { flyte: Release::of("1.16").expect("a release"), ..Spec::default() };
        let users = spec.store_users();
        let mut secrets: Vec<_> =
            users.iter().filter_map(|user| Some(user.keys.as_ref()?.secret_key.expose())).collect();
        secrets.push(spec.storage.secret_key.expose());
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), users.len() + 1);
    }
}
