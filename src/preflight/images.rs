//! Images: whether they are made for the daemon's processor, and whether those that it lacks can come through a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::future::try_join_all;

use super::finding::Finding;
use crate::docker::{About, Docker};
use crate::failure::Reason;
use crate::manifest::ImageRef;

/// An image that a sandbox needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub image: ImageRef,
    /// The processors that it is made for, as Go calls them; empty where that is not known.
    pub architectures: Vec<String>,
}

/// Looks which images the daemon has, and what would become of those that it has not.
pub async fn images(docker: &Docker, wanted: &[Wanted], variables: &BTreeMap<String, String>) -> Vec<Finding> {
    let looked = async {
        let seen = try_join_all(wanted.iter().map(|one| async {
            let found = docker.image(&one.image).await?;
            let known = found.as_ref().map(|image| vec![image.architecture.clone()]);
            Ok((known.unwrap_or_else(|| one.architectures.clone()), found.is_some()))
        }));
        tokio::try_join!(docker.about(), seen)
    };
    // That Docker does not answer is told by another check.
    let Ok((about, seen)) = looked.await else { return Vec::new() };
    let absent = seen.iter().any(|(_, here)| !here);
    let made_for = wanted.iter().map(|one| &one.image).zip(seen.into_iter().map(|(architectures, _)| architectures));
    let made_for: Vec<_> = made_for.collect();
    let is_emulated = |architecture: &str| docker.endpoint().is_local() && has_emulator(architecture);
    let mut found: Vec<Finding> = processor(&about.architecture, &made_for, is_emulated).into_iter().collect();
    found.extend(proxy(variables, &about, absent));
    found
}

/// Images that the daemon's processor cannot run by itself.
fn processor(own: &str, made_for: &[(&ImageRef, Vec<String>)], is_emulated: impl Fn(&str) -> bool) -> Option<Finding> {
    let is_foreign = |architectures: &[String]| {
        !own.is_empty() && !architectures.is_empty() && architectures.iter().all(|one| !one.is_empty() && one != own)
    };
    let foreign: Vec<_> = made_for.iter().filter(|(_, architectures)| is_foreign(architectures)).collect();
    if foreign.is_empty() {
        return None;
    }
    let others: BTreeSet<&str> = foreign.iter().flat_map(|(_, others)| others).map(String::as_str).collect();
    let names: Vec<&str> = foreign.iter().map(|(image, _)| image.as_str()).collect();
    let for_others = others.iter().copied().collect::<Vec<_>>().join(", ");
    let told = format!("Docker's processor is {own}, and made for {for_others} alone are {}", names.join(", "));
    Some(if others.iter().all(|other| is_emulated(other)) {
        Finding::warning("processor", format!("{told}; they run by emulation, slowly"))
    } else {
        Finding::blocker(Reason::ImagePlatform, "processor", told)
            .hint("`--image COMPONENT=REF` names one that is made for it")
            .hint("an emulator in the kernel (qemu-user-static and binfmt-support) runs the others, slowly")
    })
}

/// Whether the kernel hands programs of this processor to an emulator.
fn has_emulator(architecture: &str) -> bool {
    let qemu = match architecture {
        "amd64" => "qemu-x86_64",
        "arm64" => "qemu-aarch64",
        _ => return false,
    };
    let registered = Path::new("/proc/sys/fs/binfmt_misc");
    [qemu, "rosetta"].iter().any(|emulator| registered.join(emulator).exists())
}

/// Pulls are the daemon's: a proxy of this shell's is nothing that it knows of.
fn proxy(variables: &BTreeMap<String, String>, about: &About, absent: bool) -> Option<Finding> {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    let (name, proxy) = names.iter().find_map(|name| {
        let value = variables.get(*name).filter(|value| !value.is_empty())?;
        Some((name, without_user(value)))
    })?;
    if about.has_proxy {
        return Some(Finding::fine("proxy", format!("{name} is {proxy}, and Docker has a proxy of its own")));
    }
    let told = format!("{name} is {proxy} here, and Docker knows no proxy");
    Some(if absent {
        Finding::warning("proxy", format!("{told}: it pulls images without one"))
            .hint("`proxies` in /etc/docker/daemon.json (Docker 23), or HTTPS_PROXY in the environment of its service, and a restart of it")
    } else {
        Finding::fine("proxy", format!("{told}; all images are here"))
    })
}

/// A proxy's address without who uses it.
fn without_user(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn an_image_of_another_processor_is_in_the_way_unless_it_is_emulated() {
        let [one, two]: [ImageRef; 2] = ["a:1", "b:2"].map(|text| text.parse().expect(text));
        let made_for = |architectures: [&[&str]; 2]| {
            let [first, second] = architectures.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
            vec![(&one, first), (&two, second)]
        };
        for (own, architectures, emulated, severity) in [
            ("amd64", [&["amd64"][..], &[]], false, None),
            ("arm64", [&["amd64", "arm64"], &[]], false, None),
            ("arm64", [&["amd64"], &["arm64"]], false, Some(Severity::Blocker)),
            ("arm64", [&["amd64"], &["arm64"]], true, Some(Severity::Warning)),
            ("", [&["amd64"], &[]], false, None),
            ("arm64", [&[""], &[]], false, None),
        ] {
            let found = processor(own, &made_for(architectures), |_| emulated);
            assert_eq!(found.as_ref().map(|finding| finding.severity), severity, "{own}: {found:?}");
            if let Some(found) = found {
                assert!(found.message.starts_with("Docker's processor is arm64, and made for amd64 alone are a:1"));
            }
        }
    }

    #[test]
    fn a_proxy_that_docker_does_not_know_is_a_warning_where_something_is_to_be_pulled() {
        let about = |has_proxy| About { has_proxy, ..About::default() };
        let shell = |value: &str| BTreeMap::from([("https_proxy".to_owned(), value.to_owned())]);
        let theirs = shell("http://me:secret@proxy.example:3128");
        for (variables, known, absent, severity) in [
            (&theirs, false, true, Some(Severity::Warning)),
            (&theirs, false, false, Some(Severity::Fine)),
            (&theirs, true, true, Some(Severity::Fine)),
            (&shell(""), false, true, None),
        ] {
            let found = proxy(variables, &about(known), absent);
            assert_eq!(found.as_ref().map(|finding| finding.severity), severity, "{found:?}");
            if let Some(found) = found {
                assert!(found.message.starts_with("https_proxy is http://proxy.example:3128"), "{found:?}");
            }
        }
    }
}
