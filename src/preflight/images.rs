//! Findings about images: their processor architecture, and a proxy for pulls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::future::try_join_all;

use super::finding::Finding;
use crate::docker::{About, Docker, Endpoint, Error};
use crate::failure::Reason;
use crate::manifest::ImageRef;

/// An image that a sandbox needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredImage {
    /// The image's name.
    pub image: ImageRef,
    /// The architectures of the image, by Go's names; empty if unknown.
    pub architectures: Vec<String>,
}

/// Looks which of these images Docker has: the architectures of each, as far as known, and whether it is there.
///
/// # Errors
/// [`Reason::Docker`].
pub async fn look_for_images(docker: &Docker, wanted: &[RequiredImage]) -> Result<Vec<(Vec<String>, bool)>, Error> {
    try_join_all(wanted.iter().map(|one| async {
        let found = docker.image(&one.image).await?;
        let known = found.as_ref().map(|image| vec![image.architecture.clone()]);
        Ok((known.unwrap_or_else(|| one.architectures.clone()), found.is_some()))
    }))
    .await
}

/// Findings about required images, as [`look_for_images`] saw them: their architecture, and whether missing ones can be
/// pulled.
#[must_use]
pub fn images(
    endpoint: &Endpoint,
    about: &About,
    wanted: &[RequiredImage],
    seen: &[(Vec<String>, bool)],
    variables: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let absent = seen.iter().any(|(_, here)| !here);
    let made_for = wanted.iter().map(|one| &one.image).zip(seen.iter().map(|(architectures, _)| architectures.clone()));
    let made_for: Vec<_> = made_for.collect();
    let is_emulated = |architecture: &str| endpoint.is_local() && has_emulator(architecture);
    let mut found: Vec<Finding> = processor(&about.architecture, &made_for, is_emulated).into_iter().collect();
    found.extend(proxy(variables, about, absent));
    found
}

/// Images for another architecture than the daemon's.
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
    let message =
        format!("Docker's architecture is {own}, but these images are for {for_others} only: {}", names.join(", "));
    Some(if others.iter().all(|other| is_emulated(other)) {
        Finding::warning("processor", format!("{message}; they run by emulation, slowly"))
    } else {
        Finding::blocker(Reason::ImagePlatform, "processor", message)
            .hint("`--image COMPONENT=REF` names an image for this architecture")
            .hint("an emulator in the kernel (qemu-user-static and binfmt-support) runs them, slowly")
    })
}

/// True if the kernel has an emulator for this architecture.
fn has_emulator(architecture: &str) -> bool {
    let qemu = match architecture {
        "amd64" => "qemu-x86_64",
        "arm64" => "qemu-aarch64",
        _ => return false,
    };
    let registered = Path::new("/proc/sys/fs/binfmt_misc");
    [qemu, "rosetta"].iter().any(|emulator| registered.join(emulator).exists())
}

/// The proxy for pulls. Docker pulls, so a proxy variable of this shell has no effect.
fn proxy(variables: &BTreeMap<String, String>, about: &About, absent: bool) -> Option<Finding> {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    let (name, proxy) = names.iter().find_map(|name| {
        let value = variables.get(*name).filter(|value| !value.is_empty())?;
        Some((name, without_user(value)))
    })?;
    if about.has_proxy {
        return Some(Finding::fine("proxy", format!("{name} is {proxy}, and Docker has its own proxy")));
    }
    let message = format!("{name} is {proxy} here, but Docker has no proxy");
    Some(if absent {
        Finding::warning("proxy", format!("{message}: it pulls images without one"))
            .hint("`proxies` in /etc/docker/daemon.json (Docker 23), or HTTPS_PROXY in the environment of its service, and a restart of it")
    } else {
        Finding::fine("proxy", format!("{message}; no image has to be pulled"))
    })
}

/// A proxy's address without user and password.
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
                assert!(
                    found
                        .message
                        .starts_with("Docker's architecture is arm64, but these images are for amd64 only: a:1")
                );
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
