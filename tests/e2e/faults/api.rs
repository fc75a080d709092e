//! The Kubernetes API: slow, overloaded, flapping, refusing.

use flyte_sandbox::failure::Reason;

use super::expected::fails;
use super::{Fault, fault, up_fails, up_fails_later};
use flyte_sandbox::rehearsal::Answer;

use crate::standin::{Failing, Faults};
use crate::support::sandbox::Sandbox;

/// What is asked for, how often it goes wrong, and how.
type Passing = (&'static str, &'static str, usize, fn() -> Answer);

/// What is asked for, the answer, what it means, and whether it is asked for again until the deadline.
type Refusing = (&'static str, &'static str, fn() -> Answer, Reason, bool);

const PASSING: &[Passing] = &[
    ("that_is_overloaded_for_a_while_is_asked_again", "api PATCH", 12, || {
        status(429, "too many requests, please try again later")
    }),
    ("that_is_away_for_a_while_is_asked_again", "api PATCH", 12, || {
        status(503, "the server is currently unable to handle the request")
    }),
    ("whose_connections_break_is_asked_again", "api PATCH", 6, || Answer::Broken),
    ("whose_lists_break_is_asked_again", "api GET /api/v1/namespaces/", 3, || Answer::Broken),
    ("that_is_slow_is_waited_for", "api PATCH", 40, || Answer::Late(400)),
    ("whose_watches_are_refused_for_a_while_is_watched_again", "watch", 4, || {
        status(500, "etcdserver: leader changed")
    }),
    ("whose_objects_were_changed_meanwhile_is_asked_again", "api PATCH", 5, || {
        status(409, "Operation cannot be fulfilled: the object has been modified")
    }),
    ("whose_webhook_is_not_up_yet_is_asked_again", "api PATCH", 5, || {
        status(500, "failed calling webhook \"x.example\": connection refused")
    }),
];

const REFUSING: &[Refusing] = &[
    (
        "that_stays_away_is_given_up",
        "/serviceaccounts/",
        || status(503, "the server is currently unable to handle the request"),
        Reason::ApiUnavailable,
        true,
    ),
    (
        "that_stays_overloaded_is_given_up",
        "/serviceaccounts/",
        || status(429, "too many requests"),
        Reason::ApiUnavailable,
        true,
    ),
    ("that_falls_silent_is_given_up", "PATCH", || Answer::Silence, Reason::ApiUnavailable, true),
    ("whose_connections_always_break_is_given_up", "PATCH", || Answer::Broken, Reason::ApiUnavailable, true),
    (
        "whose_webhook_denies_is_told_with_its_words",
        "/roles/",
        || status(400, "admission webhook \"policy.example\" denied the request: no roles here"),
        Reason::ApplyWebhook,
        false,
    ),
    (
        "whose_webhook_stays_down_is_told",
        "/roles/",
        || status(500, "Internal error occurred: failed calling webhook \"policy.example\": connection refused"),
        Reason::ApplyWebhook,
        true,
    ),
    (
        "that_forbids_an_object_says_so",
        "/roles/",
        || status(403, "roles.rbac.authorization.k8s.io is forbidden: user \"system:admin\" cannot patch"),
        Reason::ApplyForbidden,
        false,
    ),
    ("that_does_not_know_us_says_so", "PATCH", || status(401, "Unauthorized"), Reason::ApiUnauthorized, false),
    (
        "whose_objects_others_keep_changing_says_so",
        "/roles/",
        || status(409, "Operation cannot be fulfilled on roles: the object has been modified"),
        Reason::ApplyConflict,
        true,
    ),
    (
        "that_will_not_change_a_field_says_so",
        "/roles/",
        || status(422, "Role is invalid: rules: Invalid value: field is immutable"),
        Reason::ApplyImmutable,
        false,
    ),
    (
        "that_is_removing_the_namespace_says_so",
        "/serviceaccounts/",
        || status(403, "unable to create new content in namespace a because it is being terminated"),
        Reason::NamespaceTerminating,
        true,
    ),
    (
        "that_does_not_serve_a_kind_says_so",
        "/roles/",
        || status(404, "the server could not find the requested resource"),
        Reason::KindUnknown,
        true,
    ),
    (
        "that_refuses_an_object_says_so",
        "/services/",
        || status(422, "Service \"minio\" is invalid: spec.ports[0].nodePort: provided port is not in the valid range"),
        Reason::Apply,
        false,
    ),
];

fn status(code: u16, message: &str) -> Answer {
    Answer::Status(code, message.to_owned())
}

pub(super) fn all() -> Vec<Fault> {
    let mut all = Vec::new();
    for (number, (sentence, what, times, answer)) in PASSING.iter().enumerate() {
        all.push(fault(*sentence, move || passes(number, what, *times, answer())));
    }
    for (number, (sentence, what, answer, reason, again)) in REFUSING.iter().enumerate() {
        all.push(fault(*sentence, move || refuses(number, what, answer(), *reason, *again)));
    }
    all.push(fault("that_is_ready_and_does_not_answer_a_question_is_not_out_of_reach", within_reach));
    all
}

/// Its port does arrive, as where the database of the API is too slow.
fn within_reach() {
    let sandbox = Sandbox::failing("a-reach", Failing::No);
    sandbox.up(&[]).exits(0);
    for answer in [status(503, "etcdserver: request timed out"), Answer::Broken] {
        sandbox.spoil(&Faults::answering("GET /api/v1/secrets", answer));
        fails(Reason::ApiUnavailable, "").told_by(&sandbox.run(&["smoke"]));
    }
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn passes(number: usize, what: &str, times: usize, answer: Answer) {
    let faults = Faults::default().and(what, Some(times), answer);
    let sandbox = Sandbox::faulty(&format!("a-passes-{number}"), faults);
    sandbox.up(&[]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn refuses(number: usize, what: &str, answer: Answer, reason: Reason, again: bool) {
    let words = match &answer {
        Answer::Status(_, words) => words.clone(),
        _ => String::new(),
    };
    // What is asked for at every start passes: only what is applied goes wrong.
    let what = if what.starts_with('/') { format!("{what}flyte") } else { format!("{what} /apis/rbac") };
    let faults = Faults::answering(&what, answer);
    let (name, expected) = (format!("a-refuses-{number}"), fails(reason, words));
    let ran = match again {
        true => up_fails_later(&name, &faults, &["--project", "x,y,z"], &expected),
        false => up_fails(&name, faults, &expected),
    };
    assert!(ran.failure()["object"].is_string(), "no object");
}
