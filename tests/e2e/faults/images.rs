//! Images: registries that refuse, pulls that do not end, imports that fail.

use flyte_sandbox::failure::Reason;

use super::docker::before;
use super::expected::fails;
use super::{Fault, fault};
use crate::standin::Faults;
use crate::support::daemon::Mishap;
use crate::support::sandbox::Sandbox;

/// Docker's words for a pull that a registry did not grant, and what they mean.
const REFUSED: &[(&str, u16, &str, Reason)] = &[
    (
        "that_a_registry_does_not_know_is_named",
        404,
        "manifest for registry.example/a:1 not found: manifest unknown: manifest unknown",
        Reason::ImageUnknown,
    ),
    (
        "that_want_a_login_say_so",
        404,
        "pull access denied for registry.example/a, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        Reason::RegistryDenied,
    ),
    (
        "that_want_another_login_say_so",
        500,
        "Head \"https://registry.example/v2/a/manifests/1\": unauthorized: authentication required",
        Reason::RegistryDenied,
    ),
    (
        "that_were_pulled_too_often_say_so",
        429,
        "toomanyrequests: You have reached your pull rate limit.",
        Reason::RegistryLimited,
    ),
    (
        "of_a_registry_with_a_certificate_of_its_own_say_so",
        500,
        "Get \"https://registry.example/v2/\": x509: certificate signed by unknown authority",
        Reason::RegistryCertificate,
    ),
    (
        "of_a_registry_that_has_no_name_say_so",
        500,
        "Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host",
        Reason::RegistryUnreachable,
    ),
    (
        "of_a_registry_that_is_down_say_so",
        500,
        "Get \"https://registry.example/v2/\": dial tcp 192.0.2.1:443: connect: connection refused",
        Reason::RegistryUnreachable,
    ),
    (
        "of_a_registry_that_does_not_answer_say_so",
        500,
        "Get \"https://registry.example/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        Reason::RegistryUnreachable,
    ),
    (
        "for_other_processors_say_so",
        404,
        "no matching manifest for linux/arm64/v8 in the manifest list entries",
        Reason::ImagePlatform,
    ),
    (
        "without_room_for_them_say_so",
        500,
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        Reason::DiskFull,
    ),
    ("refused_for_an_unknown_reason_keep_the_words", 500, "the moon is in the wrong house", Reason::ImagesMissing),
];

pub(super) fn all() -> Vec<Fault> {
    let mut all = Vec::new();
    for (number, (sentence, status, words, reason)) in REFUSED.iter().enumerate() {
        all.push(fault(*sentence, move || pull_refused(number, *status, words, *reason)));
    }
    let more: [(&str, fn()); 5] = [
        ("that_are_missing_are_all_named_at_once", all_named),
        ("whose_pull_does_not_end_are_given_up", pull_hangs),
        ("that_find_no_room_in_the_node_say_so", import_full),
        ("that_the_node_does_not_take_are_told_with_its_words", import_refused),
        ("that_docker_cannot_save_are_told_with_its_words", save_refused),
    ];
    all.extend(more.map(|(sentence, test)| fault(sentence, test)));
    all
}

/// Without the node's own image nothing begins, so nothing is made.
const ABSENT: &str = "k3s=registry.example/a:1";

fn pull_refused(number: usize, status: u16, words: &'static str, reason: Reason) {
    let (sandbox, daemon) = before(&format!("i-pull-{number}"));
    daemon.always("POST /images/create", Mishap::Refused(status, words));
    let ran = sandbox.up(&["--image", ABSENT]);
    fails(reason, words).showing("registry.example/a:1").told_by(&ran);
    assert!(ran.failure()["object"].as_str().is_some_and(|object| object.contains("registry.example/a:1")));
    sandbox.assert_gone();
}

fn all_named() {
    let (sandbox, daemon) = before("i-all");
    daemon.always("POST /images/create", Mishap::Refused(404, "manifest unknown"));
    let ran = sandbox.up(&["--image", ABSENT, "--image", "postgres=registry.example/b:2"]);
    fails(Reason::ImageUnknown, "manifest unknown").told_by(&ran);
    let object = ran.failure()["object"].as_str().unwrap_or_default().to_owned();
    assert!(object.contains("registry.example/a:1") && object.contains("registry.example/b:2"), "{object}");
    sandbox.assert_gone();
}

fn pull_hangs() {
    let (sandbox, daemon) = before("i-hang");
    daemon.always("POST /images/create", Mishap::Silence);
    let ran = sandbox.up(&["--image", ABSENT, "--timeout", "4s"]);
    fails(Reason::PullTimeout, "").showing("registry.example/a:1").told_by(&ran);
    sandbox.assert_gone();
}

fn import_says(name: &str, words: &str, reason: Reason) {
    let sandbox = Sandbox::faulty(name, Faults { import: Some(words.to_owned()), ..Faults::default() });
    fails(reason, words).told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

fn import_full() {
    let words = "failed to extract layer: write /var/lib/rancher/k3s/x: no space left on device";
    import_says("i-full", words, Reason::DiskFull);
}

fn import_refused() {
    import_says("i-odd", "content digest sha256:1: unexpected media type", Reason::ImageImport);
}

fn save_refused() {
    let (sandbox, daemon) = before("i-save");
    daemon.always(
        "GET /images/get",
        Mishap::Refused(500, "open /var/lib/docker/overlay2/x/layer.tar: input/output error"),
    );
    fails(Reason::Docker, "input/output error").told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}
