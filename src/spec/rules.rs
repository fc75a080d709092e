//! What a single value must be.

use std::time::Duration;

use super::model::CredentialSource;
use crate::manifest::{ImageRef, Quantity};

/// RFC 1123: a DNS label.
pub(super) const LABEL_LIMIT: usize = 63;

pub(super) fn label(text: &str, limit: usize) -> Result<(), String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if text.is_empty() {
        Err("it is empty".to_owned())
    } else if text.len() > limit {
        Err(format!("`{text}` has {} characters, {limit} are allowed", text.len()))
    } else if let Some(bad) = text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        Err(format!("`{text}` has {bad:?} in it; only lower-case letters, digits and dashes are allowed"))
    } else if !edge(text.chars().next()) || !edge(text.chars().last()) {
        Err(format!("`{text}` starts or ends with a dash"))
    } else {
        Ok(())
    }
}

/// Amazon's rules for bucket names, which Minio keeps too.
pub(super) fn bucket(text: &str) -> Result<(), String> {
    if text.len() < 3 {
        return Err("a bucket name has at least 3 characters".to_owned());
    }
    label(text, LABEL_LIMIT)
}

/// Minio's rules for its keys (`cmd/config/errors.go`, RELEASE.2020-12-16): at least 3 and 8 characters.
pub(super) fn secret(text: &str, least: usize) -> Result<(), String> {
    if text.len() < least {
        return Err(format!("Minio wants at least {least} characters"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("spaces and control characters are not allowed".to_owned());
    }
    Ok(())
}

/// An amount of a resource that is more than nothing.
pub(super) fn quantity(text: &str) -> Result<(), String> {
    match Quantity::of(&text.into()) {
        Some(amount) if Some(amount) > Quantity::of(&0.into()) => Ok(()),
        _ => Err("this is no quantity; write it as 500m, 200Mi or 1.5Gi".to_owned()),
    }
}

pub(super) fn kubernetes_version(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "a k3s release looks like `v1.21.2+k3s1`".to_owned();
    let rest = text.strip_prefix('v').ok_or_else(wrong)?;
    let (version, build) = rest.split_once(['+', '-']).ok_or_else(wrong)?;
    let mut parts = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(_)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    if !build.contains("k3s") || k3s_image(text).is_none() {
        return Err(wrong());
    }
    if major != 1 || minor < 21 {
        return Err("v1.21 is the oldest Kubernetes that is supported".to_owned());
    }
    Ok((major, minor))
}

/// The work of a moment ago is not over yet, so a minute is the shortest.
pub(super) fn idle_limit(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(limit) if limit.as_secs() < 60 => Err("a minute is the shortest".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(format!("{error}; `30m` and `2h` are times")),
    }
}

/// Rancher publishes `v1.21.2+k3s1` under the tag `v1.21.2-k3s1`: a tag cannot have a plus sign.
pub(super) fn k3s_image(kubernetes: &str) -> Option<ImageRef> {
    format!("rancher/k3s:{}", kubernetes.replace('+', "-")).parse().ok()
}

/// A source that can be asked for the keys of one project.
pub(super) fn credentials(source: Option<&CredentialSource>) -> Result<(), &'static str> {
    match source {
        None => Err("name one of `file`, `command` and `url`"),
        Some(CredentialSource::File(path)) if path.is_empty() => Err("`file` is empty"),
        Some(CredentialSource::Command(words)) if words.first().is_none_or(String::is_empty) => {
            Err("`command` names no program")
        }
        Some(CredentialSource::Url(url)) if !url.starts_with("http://") => {
            Err("`url` starts with http://; for anything else: `command: [curl, -fsS, URL]`")
        }
        Some(source) if !source.names("{project}") => Err("`{project}` must stand in it, in the place of its name"),
        Some(_) => Ok(()),
    }
}

/// The known word that `word` was probably meant to be.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether Kubernetes itself may listen on a port of its node: k3s' API, containerd, the kubelet and its like, NodePorts.
pub(super) const fn is_node_port(port: u16) -> bool {
    matches!(port, 2379..=2382 | 6443..=6444 | 10010 | 10248..=10260 | 30000..=32767)
}
