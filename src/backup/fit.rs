//! Whether a backup fits the sandbox that it is to be loaded into.

use std::collections::BTreeMap;

use super::manifest::Manifest;
use crate::failure::{Failure, Reason};
use crate::manifest::goes_back;
use crate::spec::Spec;

const DATABASE: &str = "postgres";

/// The failure of a backup that cannot be loaded into this sandbox.
#[must_use]
pub fn mismatch(why: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::BackupMismatch, "the backup does not fit the sandbox").because(why)
}

/// Holds a backup against a spec, and the images of the components that will read its data. The result is what differs
/// and does no harm.
///
/// # Errors
/// [`Reason::BackupMismatch`]: the spec lacks a project or domain, its bucket has another name, or its Postgres is of
/// another major version, or a component is older than the one that wrote its tables.
pub fn check_fit(manifest: &Manifest, spec: &Spec, images: &BTreeMap<String, String>) -> Result<Vec<String>, Failure> {
    let domains: Vec<_> = spec.domains.iter().map(|domain| domain.id.clone()).collect();
    let lacking = |had: &[String], has: &[String]| -> Vec<String> {
        had.iter().filter(|one| !has.contains(one)).cloned().collect()
    };
    let projects = lacking(&manifest.projects, &spec.projects);
    if !projects.is_empty() {
        let all: Vec<_> = spec.projects.iter().chain(&projects).map(String::as_str).collect();
        return Err(mismatch(format!("the spec lacks its projects {}", projects.join(", ")))
            .hint(format!("`--project {}` names all of them", all.join(","))));
    }
    let domains = lacking(&manifest.domains, &domains);
    if !domains.is_empty() {
        return Err(mismatch(format!("the spec lacks its domains {}", domains.join(", ")))
            .hint("`domains` in the spec names them"));
    }
    if manifest.bucket != spec.storage.bucket {
        let (was, is) = (&manifest.bucket, &spec.storage.bucket);
        return Err(mismatch(format!("its databases name objects in bucket {was}, and the spec's bucket is {is}"))
            .hint(format!("`storage: {{bucket: {was}}}` in the spec keeps the name")));
    }
    let pair = |component: &str| Some((manifest.images.get(component)?, images.get(component)?));
    if let Some((was, is)) = pair(DATABASE)
        && let (Some(old), Some(new)) = (major(was), major(is))
        && old != new
    {
        return Err(mismatch(format!("it is of Postgres {old} ({was}), and the sandbox's is {new} ({is})"))
            .hint(format!("`--image postgres={was}` uses the one that it was made with")));
    }
    let newer = images.keys().find_map(|component| pair(component).filter(|(was, is)| goes_back(was, is)));
    if let Some((was, is)) = newer {
        return Err(mismatch(format!("{is} cannot read what {was} wrote: tables are migrated forward only"))
            .hint("`--flyte` chooses the release that it was made with, or a later one"));
    }
    let differs = |component: &String| {
        let (was, is) = pair(component)?;
        (was != is).then(|| format!("the backup was made with {component} {was}, and {is} is to read it"))
    };
    Ok(images.keys().filter_map(differs).collect())
}

/// The major version that the tag of an image of Postgres names.
fn major(image: &str) -> Option<u64> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let digits: String = name.split_once(':')?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(postgres: &str, admin: &str) -> BTreeMap<String, String> {
        [("postgres", postgres), ("flyteadmin", admin)].map(|(one, image)| (one.to_owned(), image.to_owned())).into()
    }

    fn manifest(spec: &Spec) -> Manifest {
        Manifest {
            format: super::super::FORMAT,
            version: "0.1.0".into(),
            created: "2026-11-27T10:00:00Z".into(),
            sandbox: "flyte".into(),
            projects: spec.projects.clone(),
            domains: spec.domains.iter().map(|domain| domain.id.clone()).collect(),
            bucket: spec.storage.bucket.clone(),
            images: images("postgres:10.16-alpine", "admin:1"),
            kubernetes: spec.kubernetes.clone(),
            postgres: 10,
            databases: vec!["flyte".into()],
            unfinished: 0,
        }
    }

    #[test]
    fn what_would_be_lost_or_unreadable_is_refused_and_what_does_no_harm_is_told() {
        let spec = Spec::default();
        let ours = images("postgres:10.16-alpine", "admin:1");
        let of = |change: fn(&mut Manifest), images: &BTreeMap<String, String>| {
            let mut manifest = manifest(&spec);
            change(&mut manifest);
            check_fit(&manifest, &spec, images)
        };
        assert_eq!(of(|_| (), &ours), Ok(Vec::new()));
        assert_eq!(of(|manifest| drop(manifest.projects.pop()), &ours), Ok(Vec::new()), "a project more is fine");
        assert_eq!(of(|_| (), &images("registry:5000/postgres:10.20", "admin:2")).expect("fits").len(), 2);
        assert_eq!(of(|_| (), &images("postgres:latest", "admin:1")).expect("asked later").len(), 1);
        let older = images("postgres:10", "mirror/admin:v0.6.13");
        let newer = of(
            |manifest| manifest.images = images("postgres:10", "admin:v0.6.13"),
            &images("postgres:10", "admin:v1.16.8"),
        );
        assert_eq!(newer.expect("tables go forward").len(), 1);
        let refused = [
            (of(|manifest| manifest.projects.push("z".into()), &ours), "projects z"),
            (of(|manifest| manifest.domains.push("q-dev".into()), &ours), "domains q-dev"),
            (of(|manifest| manifest.bucket = "other".into(), &ours), "bucket other"),
            (of(|_| (), &images("postgres:15", "admin:1")), "Postgres 10"),
            (of(|manifest| manifest.images = images("postgres:10", "admin:v1.16.8"), &older), "forward only"),
        ];
        for (judged, word) in refused {
            let failure = judged.expect_err(word);
            assert_eq!(failure.reason, Reason::BackupMismatch);
            assert!(failure.causes[0].contains(word), "{failure:?}");
        }
    }
}
