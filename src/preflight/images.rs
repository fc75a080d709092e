//! Findings about images: their processor architecture, and a proxy for pulls.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use super::finding::Finding;
use super::machine::{Emulation, Machine};
use super::run::Seen;
use crate::docker::{About, Docker, Error};
use crate::failure::Reason;
use crate::images::RequiredImage;
use crate::manifest::ImageRef;
use crate::release::Release;

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
    Seen { about, machine, .. }: &Seen,
    wanted: &[RequiredImage],
    seen: &[(Vec<String>, bool)],
    variables: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let absent = seen.iter().any(|(_, here)| !here);
    // Some images say amd64 in their configuration and are for several processors; of those in the lock that is known.
    let is_known = |one: &&RequiredImage| one.architectures.contains(&about.architecture);
    let made_for = wanted.iter().zip(seen).map(|(one, (architectures, _))| {
        let own = Some(one).filter(is_known).map(|known| known.architectures.clone());
        (&one.image, own.unwrap_or_else(|| architectures.clone()))
    });
    let made_for: Vec<_> = made_for.collect();
    let mut found: Vec<Finding> = processor(about, machine, &made_for).into_iter().collect();
    found.extend(proxy(variables, about, absent));
    found
}

/// Images for another architecture than the daemon's.
fn processor(about: &About, machine: &Machine, made_for: &[(&ImageRef, Vec<String>)]) -> Option<Finding> {
    let own = about.architecture.as_str();
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
    let emulations: Option<Vec<_>> = others.iter().map(|other| machine.emulation(other)).collect();
    let has = |one: Emulation| emulations.as_ref().is_some_and(|all| all.contains(&one));
    let warning = |how: &str| Finding::warning("processor", format!("{message}; {how}"));
    let finding = match emulations {
        None => warning("whether they run there is not known yet"),
        Some(_) if has(Emulation::Absent) => Finding::blocker(Reason::ImagePlatform, "processor", message)
            .hint("`--image COMPONENT=REF` names an image for this architecture"),
        Some(_) if has(Emulation::Qemu) => warning("they run by QEMU, slowly, and Go's programs may crash in it"),
        Some(_) => return Some(warning("they run by Rosetta, slower than their own")),
    };
    // Flyte's own images are for several processors since 2023.
    let is_early = |image: &ImageRef| {
        image.as_str().contains("/flyteorg/") && image.version().is_some_and(|version| version < (1, 0, 0))
    };
    let later = Release::all().last().filter(|_| foreign.iter().any(|(image, _)| is_early(image)));
    let finding = match later {
        Some(later) => finding.hint(format!("`--flyte {later}` runs a later Flyte, whose images are for {own} too")),
        None => finding,
    };
    Some(match (about.provider.rosetta(), has(Emulation::Absent)) {
        (Some(rosetta), _) => finding.hint(format!("Rosetta runs them: {rosetta}")),
        (None, true) => {
            finding.hint("an emulator in the kernel (qemu-user-static and binfmt-support) runs them, slowly")
        }
        (None, false) => finding,
    })
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
            .hint(match about.provider.is_vm() {
                true => format!("set it in the settings of {}, and restart it", about.provider),
                false => "`proxies` in /etc/docker/daemon.json (Docker 23), or HTTPS_PROXY in the environment of its service, and a restart of it".to_owned(),
            })
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
    use crate::cluster::NodeState;
    use crate::docker::Provider;
    use crate::report::Severity;

    #[test]
    fn an_image_of_another_processor_is_in_the_way_unless_it_is_emulated() {
        let [one, two]: [ImageRef; 2] = ["a:1", "b:2"].map(|text| text.parse().expect(text));
        let made_for = |architectures: [&[&str]; 2]| {
            let [first, second] = architectures.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
            vec![(&one, first), (&two, second)]
        };
        let with = |emulators: &[&str]| Machine {
            emulators: Some(emulators.iter().map(|one| (*one).to_owned()).collect()),
            ..Machine::default()
        };
        for (own, architectures, machine, severity) in [
            ("amd64", [&["amd64"][..], &[]], with(&[]), None),
            ("arm64", [&["amd64", "arm64"], &[]], with(&[]), None),
            ("arm64", [&["amd64"], &["arm64"]], with(&["register"]), Some((Severity::Blocker, ""))),
            ("arm64", [&["amd64"], &["arm64"]], with(&["qemu-x86_64"]), Some((Severity::Warning, "may crash"))),
            (
                "arm64",
                [&["amd64"], &["arm64"]],
                with(&["qemu-x86_64", "rosetta"]),
                Some((Severity::Warning, "Rosetta")),
            ),
            ("arm64", [&["amd64"], &["arm64"]], Machine::default(), Some((Severity::Warning, "not known yet"))),
            ("", [&["amd64"], &[]], with(&[]), None),
            ("arm64", [&[""], &[]], with(&[]), None),
        ] {
            let about = About { architecture: own.to_owned(), ..About::default() };
            let found = processor(&about, &machine, &made_for(architectures));
            assert_eq!(
                found.as_ref().map(|finding| finding.severity),
                severity.map(|(severity, _)| severity),
                "{own}: {found:?}"
            );
            if let (Some(found), Some((_, how))) = (found, severity) {
                let said = "Docker's architecture is arm64, but these images are for amd64 only: a:1";
                assert!(found.message.starts_with(said) && found.message.contains(how), "{found:?}");
            }
        }
        let about = About { architecture: "arm64".to_owned(), provider: Provider::OrbStack, ..About::default() };
        let found = processor(&about, &with(&[]), &made_for([&["amd64"], &[]])).expect("in the way");
        assert_eq!(found.hints.last().map(String::as_str), Some("Rosetta runs them: `orb config set rosetta true`"));
        let admin: ImageRef = "cr.flyte.org/flyteorg/flyteadmin:v0.6.13".parse().expect("an image");
        let found = processor(&about, &with(&[]), &[(&admin, vec!["amd64".to_owned()])]).expect("in the way");
        assert_eq!(found.hints[1], "`--flyte 1.16` runs a later Flyte, whose images are for arm64 too");
    }

    #[test]
    fn an_image_that_the_lock_knows_for_this_processor_is_that_whatever_it_says() {
        let required = |architectures: &[&str]| RequiredImage {
            architectures: architectures.iter().map(|one| (*one).to_owned()).collect(),
            ..RequiredImage::from("rancher/pause:3.1".parse::<ImageRef>().expect("image"))
        };
        let about = About { architecture: "arm64".to_owned(), ..About::default() };
        let seen = Seen { about, containers: vec![], node: NodeState::Absent, machine: Machine::default() };
        let says_amd64 = [(vec!["amd64".to_owned()], true)];
        assert_eq!(images(&seen, &[required(&["amd64", "arm64"])], &says_amd64, &BTreeMap::new()), []);
        assert_eq!(images(&seen, &[required(&["amd64"])], &says_amd64, &BTreeMap::new()).len(), 1);
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
