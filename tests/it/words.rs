//! Others' words against the catalogue of reasons: a fixture for every pattern, and words that only look like them.
//!
//! `tests/fixtures/words/<reason>.<speaker>.txt` has lines by those who speak them; `# source:` says where those below it
//! are from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::reason::{PATTERNS, Speaker, recognise};

struct Said {
    file: String,
    reason: Reason,
    speaker: Speaker,
    words: String,
}

/// Every line of every fixture.
fn fixtures() -> Vec<Said> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/words");
    let mut all = Vec::new();
    for path in fs::read_dir(folder).expect("the fixtures").flatten().map(|entry| entry.path()) {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let [id, speaker, "txt"] = file.split('.').collect::<Vec<_>>()[..] else { panic!("{file}: another name") };
        let reason = Reason::ALL.iter().find(|reason| reason.entry().id == id);
        let reason = *reason.unwrap_or_else(|| panic!("{file}: no such reason"));
        let speaker = match speaker {
            "docker" => Speaker::Docker,
            "registry" => Speaker::Registry,
            "k3d" => Speaker::K3d,
            "k3s" => Speaker::K3s,
            "component" => Speaker::Component,
            other => panic!("{file}: nobody is called {other}"),
        };
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("# source: "), "{file}: it does not say where it is from");
        let words = text.lines().filter(|line| !line.starts_with('#'));
        all.extend(words.map(|words| Said { file: file.clone(), reason, speaker, words: words.to_owned() }));
    }
    all
}

#[test]
fn every_fixture_is_recognised_as_its_reason() {
    for Said { file, reason, speaker, words } in fixtures() {
        assert_eq!(recognise(speaker, &words), Some(reason), "{file}: {words}");
    }
}

#[test]
fn every_pattern_has_a_fixture() {
    let hit = |said: &Said| {
        let words = said.words.to_lowercase();
        PATTERNS.iter().position(|pattern| {
            pattern.speakers.contains(&said.speaker) && pattern.words.iter().all(|word| words.contains(word))
        })
    };
    let hit: BTreeSet<usize> = fixtures().iter().filter_map(hit).collect();
    let missed =
        PATTERNS.iter().enumerate().filter(|(index, _)| !hit.contains(index)).map(|(_, pattern)| pattern.words);
    assert_eq!(missed.collect::<Vec<_>>(), Vec::<&[&str]>::new());
}

#[test]
fn words_that_only_look_like_it_are_not_recognised() {
    use Speaker::{Component, Docker, K3d, K3s, Registry};
    for (speaker, words) in [
        (Docker, "manifest unknown"),
        (Docker, "unauthorized"),
        (Docker, "dial tcp 127.0.0.1:80: connect: connection refused"),
        (Registry, "open /var/lib/docker/tmp: permission denied"),
        (Registry, "Downloading manifest for words:1"),
        (K3d, "Port 30081 is not yet available"),
        (K3d, "password authentication failed"),
        (K3s, "Failed to find cpuset cgroup, you may need to add \"cgroup_enable=cpuset\" to your linux cmdline"),
        (K3s, "Cgroup memory moving migration will be removed"),
        (Component, "dial tcp 10.43.0.7:54321: connect: connection refused"),
        (Component, "dial tcp 10.43.0.7:8089: connect: connection refused"),
        (Component, "Bind for 0.0.0.0:80 failed: port is already allocated"),
        (Component, "bucket flyte: the object does not exist"),
        (Component, "some space left on device"),
    ] {
        assert_eq!(recognise(speaker, words), None, "{words}");
    }
}

#[test]
fn a_failure_that_nobody_knows_keeps_its_text_and_its_reason() {
    let unknown = Failure::new(Reason::K3d, "k3d could not create the cluster")
        .because("Failed Cluster Start: \u{1b}[31msomething\u{1b}[0m nobody has seen")
        .evidence(["  a line with spaces  ", ""]);
    for speaker in [Speaker::Docker, Speaker::Registry, Speaker::K3d, Speaker::K3s, Speaker::Component] {
        assert_eq!(unknown.clone().recognised(speaker), unknown);
    }
}

#[test]
fn the_deepest_cause_tells_and_then_the_newest_evidence() {
    let failure = Failure::new(Reason::Docker, "no").because("toomanyrequests").because("no space left on device");
    assert_eq!(failure.recognised(Speaker::Docker).reason, Reason::DiskFull);
    let failure = Failure::new(Reason::Docker, "no").evidence(["no space left on device", "toomanyrequests"]);
    assert_eq!(failure.recognised(Speaker::Docker).reason, Reason::RegistryLimited);
}
