//! What an error of the API means: try again, or never.

use std::future::Future;
use std::time::{Duration, SystemTime};

use kube::Error;
use kube::core::Status;
use kube::error::DiscoveryError;
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, Reason, innermost};
use crate::report::Stage;
use crate::run::{Deadline, Run};

const ONE_ANSWER: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longer than this nobody waits because an API asks for it.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be otherwise in a moment.
    Transient,
    /// The object, its kind or its namespace is not there (yet).
    Missing,
    /// A field would change that cannot.
    Immutable,
    /// The same request will never be taken.
    Refused,
}

/// A request that was not taken.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) verdict: Verdict,
    /// The API's own words, or the connection's.
    pub(crate) words: String,
    /// Why, as far as the answer tells.
    pub(crate) reason: Reason,
    /// The pause that the API asks for.
    pause: Duration,
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Self {
        let asked = if let Error::Api(status) = error { status.details.as_ref() } else { None };
        let pause = asked.map_or(0, |details| details.retry_after_seconds);
        let pause = Duration::from_secs(pause.into()).min(LONGEST_ASKED);
        Self { verdict: verdict(error), words: words(error), reason: reason(error), pause }
    }

    fn silence(waited: Duration) -> Self {
        let words = format!("no answer within {}", humantime::format_duration(Duration::from_secs(waited.as_secs())));
        Self { verdict: Verdict::Transient, words, reason: Reason::ApiUnavailable, pause: Duration::ZERO }
    }

    /// As a failure of `what`.
    pub(crate) fn failure(self, what: &str, object: impl std::fmt::Display) -> Failure {
        let failure = Failure::new(self.reason, what).on(object);
        let failure = match self.verdict {
            Verdict::Transient => failure.because("the API did not take it before the run's deadline (`--timeout`)"),
            _ => failure,
        };
        with_clock(failure.because(self.words))
    }
}

/// A failure for a certificate's sake also tells what this machine takes for now.
pub(crate) fn with_clock(failure: Failure) -> Failure {
    if failure.reason != Reason::ApiCertificate {
        return failure;
    }
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let remedy = failure.reason.entry().remedy;
    failure.hint(format!("this machine's clock says {now}: if that is wrong, set it")).hint(remedy)
}

/// What an answer tells wherever it is given, if it is no matter of waiting: the reason, and the words.
pub(crate) fn known(error: &Error) -> Option<(Reason, String)> {
    let reason = reason(error);
    matches!(reason, Reason::ApiCertificate | Reason::ApiUnauthorized).then(|| (reason, words(error)))
}

/// A failure of the API to tell what is asked of it, with the reason where the answer has one of its own.
pub(crate) fn unanswered(error: &Error, otherwise: Reason, what: &str) -> Failure {
    let (reason, words) = known(error).unwrap_or_else(|| (otherwise, words(error)));
    with_clock(Failure::new(reason, what).because(words))
}

fn reason(error: &Error) -> Reason {
    let words = words(error).to_lowercase();
    let says = |text: &str| words.contains(text);
    let code = if let Error::Api(status) = error { status.code } else { 0 };
    match (verdict(error), code) {
        (_, 401) => Reason::ApiUnauthorized,
        (_, code) if code > 0 && says("webhook") => Reason::ApplyWebhook,
        (_, 403 | 409) if says("terminated") || says("being deleted") => Reason::NamespaceTerminating,
        (_, 403) if !says("quota") => Reason::ApplyForbidden,
        (_, 409) => Reason::ApplyConflict,
        (Verdict::Immutable, _) => Reason::ApplyImmutable,
        (Verdict::Missing, _) => Reason::KindUnknown,
        (Verdict::Transient, _) => Reason::ApiUnavailable,
        (Verdict::Refused, 0) if says("certificate") => Reason::ApiCertificate,
        (Verdict::Refused, _) => Reason::Apply,
    }
}

fn verdict(error: &Error) -> Verdict {
    match error {
        Error::Api(status) => of_status(status),
        Error::Discovery(DiscoveryError::MissingKind(_) | DiscoveryError::MissingApiGroup(_)) => Verdict::Missing,
        Error::Service(_) | Error::HyperError(_) | Error::ReadEvents(_) => {
            // A wrong certificate stays wrong; refused, reset and cut connections do not.
            if words(error).contains("certificate") { Verdict::Refused } else { Verdict::Transient }
        }
        _ => Verdict::Refused,
    }
}

fn of_status(status: &Status) -> Verdict {
    let says = |text: &str| status.message.contains(text);
    match status.code {
        429 | 502 | 503 | 504 => Verdict::Transient,
        500 if ["webhook", "etcdserver", "timeout", "context deadline", "connection refused"].into_iter().any(says) => {
            Verdict::Transient
        }
        403 if says("is being terminated") => Verdict::Transient,
        409 => Verdict::Transient,
        404 => Verdict::Missing,
        422 if says("immutable") || says("cannot change roleRef") || says("are forbidden") => Verdict::Immutable,
        _ => Verdict::Refused,
    }
}

/// The API's own words; for other errors the innermost cause.
pub(crate) fn words(error: &Error) -> String {
    if let Error::Api(status) = error {
        let said = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        return if said.is_empty() { format!("the API answered {}", status.code) } else { said };
    }
    innermost(error)
}

/// Attempts a request until it is taken or refused, or the run's deadline passes. What is not there may come within
/// `patience`.
pub(crate) async fn persist<T, F>(
    run: &Run,
    object: &impl std::fmt::Display,
    patience: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Error>>,
{
    let patience = run.deadline.min(patience);
    let mut pause = FIRST_PAUSE;
    loop {
        let allowed = run.deadline.remaining().min(ONE_ANSWER);
        let refusal = match timeout(allowed, attempt()).await {
            Ok(Ok(taken)) => return Ok(taken),
            Ok(Err(error)) => Refusal::of(&error),
            Err(_) => Refusal::silence(allowed),
        };
        let until: Deadline = match refusal.verdict {
            Verdict::Transient => run.deadline,
            Verdict::Missing => patience,
            Verdict::Immutable | Verdict::Refused => return Err(refusal),
        };
        if until.remaining() <= pause {
            return Err(refusal);
        }
        run.report.progress(Stage::Apply, format!("{object}: {}; trying again", refusal.words));
        sleep(pause.max(refusal.pause).min(until.remaining())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(code: u16, message: &str) -> Refusal {
        Refusal::of(&Error::Api(Status::failure(message, "").with_code(code).boxed()))
    }

    #[test]
    fn every_answer_is_tried_again_or_not_and_tells_why() {
        use Verdict::{Immutable, Missing, Refused, Transient};
        for (code, message, verdict, reason) in [
            (503, "the server is currently unable to handle the request", Transient, Reason::ApiUnavailable),
            (429, "too many requests", Transient, Reason::ApiUnavailable),
            (500, "failed calling webhook \"x\"", Transient, Reason::ApplyWebhook),
            (400, "admission webhook \"x\" denied the request: no", Refused, Reason::ApplyWebhook),
            (403, "admission webhook \"x\" denied the request: no", Refused, Reason::ApplyWebhook),
            (500, "etcdserver: leader changed", Transient, Reason::ApiUnavailable),
            (500, "failed to create typed patch object: .spec.ports: key missing", Refused, Reason::Apply),
            (
                403,
                "unable to create new content in namespace a because it is being terminated",
                Transient,
                Reason::NamespaceTerminating,
            ),
            (403, "user may not", Refused, Reason::ApplyForbidden),
            (403, "pods \"a\" is forbidden: exceeded quota: q", Refused, Reason::Apply),
            (404, "the server could not find the requested resource", Missing, Reason::KindUnknown),
            (404, "namespaces \"a\" not found", Missing, Reason::KindUnknown),
            (409, "the object has been modified", Transient, Reason::ApplyConflict),
            (409, "object is being deleted: namespaces \"a\" already exists", Transient, Reason::NamespaceTerminating),
            (422, "spec.selector: Invalid value: {}: field is immutable", Immutable, Reason::ApplyImmutable),
            (422, "roleRef: Invalid value: {}: cannot change roleRef", Immutable, Reason::ApplyImmutable),
            (422, "spec.replicas: Invalid value: -1", Refused, Reason::Apply),
            (401, "Unauthorized", Refused, Reason::ApiUnauthorized),
        ] {
            let refusal = answered(code, message);
            assert_eq!((refusal.verdict, refusal.reason), (verdict, reason), "{code} {message}");
            let failure = refusal.failure("no", "configmap a");
            assert_eq!((failure.reason, failure.causes.last().map(String::as_str)), (reason, Some(message)));
        }
    }

    #[test]
    fn a_pause_that_the_api_asks_for_is_kept_up_to_a_limit() {
        for (asked, kept) in [(0, 0), (3, 3), (600, 10)] {
            let details = json!({"retryAfterSeconds": asked});
            let status = json!({"status": "Failure", "message": "m", "code": 429, "reason": "", "details": details});
            let status: Status = serde_json::from_value(status).expect("a status");
            assert_eq!(Refusal::of(&Error::Api(status.boxed())).pause, Duration::from_secs(kept), "{asked}");
        }
    }

    #[test]
    fn a_wrong_certificate_comes_with_this_machines_clock() {
        for words in ["invalid peer certificate: UnknownIssuer", "invalid peer certificate: Expired"] {
            let failure = Refusal::of(&Error::Service(words.into())).failure("no", "configmap a");
            assert_eq!(
                (failure.reason, failure.causes.last().map(String::as_str)),
                (Reason::ApiCertificate, Some(words))
            );
            assert!(failure.hints[0].starts_with("this machine's clock says 20"), "{:?}", failure.hints);
        }
    }

    #[test]
    fn a_connection_that_breaks_is_tried_again_and_a_wrong_certificate_is_not() {
        let broken = Error::Service("connection reset by peer".into());
        assert_eq!((verdict(&broken), words(&broken).as_str()), (Verdict::Transient, "connection reset by peer"));
        assert_eq!(verdict(&Error::Service("invalid peer certificate: UnknownIssuer".into())), Verdict::Refused);
    }
}
