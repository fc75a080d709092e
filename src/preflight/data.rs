//! Data that an earlier sandbox of the name left.

use std::collections::BTreeMap;

use super::finding::Finding;
use crate::cluster::KeptData;
use crate::failure::Reason;
use crate::manifest::goes_back;

/// A finding about kept data, for a sandbox that runs these images of what writes to it. A database reads the files of its
/// own version only; what else has changed migrates its tables when it starts, forward and never back.
#[must_use]
pub fn kept_data(kept: &KeptData, images: &BTreeMap<String, String>) -> Finding {
    let since = if kept.since.is_empty() { String::new() } else { format!(" of {}", kept.since) };
    let pair = |component: &str| Some((kept.images.get(component)?, images.get(component)?));
    let differs = |component: &str| {
        let (was, is) = pair(component)?;
        (was != is).then(|| format!("{component} was {was} and is {is}"))
    };
    if let Some(database) = differs("postgres") {
        return Finding::blocker(
            Reason::SandboxDiffers,
            "data",
            format!("the kept data{since} is of another database: {database}"),
        )
        .hint("`up --fresh` begins anew, and removes the kept data")
        .hint("`--name` chooses another name");
    }
    let newer = images.keys().find_map(|component| pair(component).filter(|(was, is)| goes_back(was, is)));
    if let Some((was, is)) = newer {
        let message = format!("the kept data{since} is of {was}, and {is} cannot read its tables");
        return Finding::blocker(Reason::SandboxDiffers, "data", message)
            .hint("`--flyte` chooses the release that it was made with, or a later one")
            .hint("`up --fresh` begins anew, and removes the kept data");
    }
    let others: Vec<String> = images.keys().filter_map(|component| differs(component)).collect();
    let message = format!("the kept data{since} is taken up again");
    if others.is_empty() {
        Finding::fine("data", message)
    } else {
        Finding::warning("data", format!("{message}, though {}", others.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn only_files_of_another_database_and_tables_of_a_later_release_are_refused() {
        let images = |postgres: &str, admin: &str| {
            BTreeMap::from(
                [("postgres", postgres), ("flyteadmin", admin)].map(|(one, image)| (one.to_owned(), image.to_owned())),
            )
        };
        let kept = KeptData {
            sandbox: "flyte".into(),
            since: "2026-11-27T10:00:00Z".into(),
            images: images("postgres:10", "admin:v1.16.8"),
        };
        for (postgres, admin, severity) in [
            ("postgres:10", "admin:v1.16.8", Severity::Fine),
            ("postgres:10", "admin:v1.16.7", Severity::Warning),
            ("postgres:15", "admin:1", Severity::Blocker),
            ("postgres:10", "admin:v0.6.13", Severity::Blocker),
            ("postgres:10", "admin:v1.17.0", Severity::Warning),
        ] {
            assert_eq!(kept_data(&kept, &images(postgres, admin)).severity, severity, "{postgres} {admin}");
        }
        let unlabelled = KeptData { images: BTreeMap::new(), ..kept };
        assert_eq!(kept_data(&unlabelled, &images("postgres:15", "admin:1")).severity, Severity::Fine);
    }
}
