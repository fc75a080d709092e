//! What an error of the API means: try again, or never.

use std::future::Future;
use std::time::Duration;

use kube::Error;
use kube::core::Status;
use kube::error::DiscoveryError;
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, Reason};
use crate::report::Stage;
use crate::run::{Deadline, Run};

const ONE_ANSWER: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
    code: u16,
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Self {
        let code = if let Error::Api(status) = error { status.code } else { 0 };
        Self { verdict: verdict(error), words: words(error), code }
    }

    fn silence(waited: Duration) -> Self {
        let words = format!("no answer within {}", humantime::format_duration(Duration::from_secs(waited.as_secs())));
        Self { verdict: Verdict::Transient, words, code: 0 }
    }

    /// As a failure of `what`, with the next step that fits the answer.
    pub(crate) fn failure(self, what: &str, object: impl std::fmt::Display) -> Failure {
        let failure = Failure::new(Reason::Apply, what).on(object);
        let failure = match self.verdict {
            Verdict::Transient => failure.because("the API did not take it before the deadline"),
            _ => failure,
        };
        let hint = match (self.verdict, self.code) {
            (Verdict::Transient, _) => "`sandbox status` tells whether the node is up; a longer `--timeout` may help",
            (Verdict::Missing, _) => {
                "its namespace, or the CustomResourceDefinition of its kind, must be part of the manifests"
            }
            (Verdict::Immutable, _) => "delete the object, or start anew with `sandbox down` and `sandbox up`",
            (_, 403) => "the kubeconfig's user may not do this: `sandbox kubeconfig` shows which one is used",
            (_, 401) => "the cluster does not know this kubeconfig: `sandbox down` and `sandbox up` make a new one",
            _ => "`sandbox render --explain` shows where this object's fields come from",
        };
        failure.because(self.words).hint(hint)
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
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
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
    let patience = run.deadline.at_most(patience);
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
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> Verdict {
        verdict(&Error::Api(Status::failure(message, "").with_code(code).boxed()))
    }

    #[test]
    fn every_answer_is_tried_again_or_not() {
        for (code, message, wanted) in [
            (503, "the server is currently unable to handle the request", Verdict::Transient),
            (429, "too many requests", Verdict::Transient),
            (500, "failed calling webhook \"x\"", Verdict::Transient),
            (500, "etcdserver: leader changed", Verdict::Transient),
            (500, "failed to create typed patch object: .spec.ports: key missing", Verdict::Refused),
            (403, "unable to create new content in namespace a because it is being terminated", Verdict::Transient),
            (403, "user may not", Verdict::Refused),
            (404, "the server could not find the requested resource", Verdict::Missing),
            (404, "namespaces \"a\" not found", Verdict::Missing),
            (409, "the object has been modified", Verdict::Transient),
            (422, "spec.selector: Invalid value: {}: field is immutable", Verdict::Immutable),
            (422, "roleRef: Invalid value: {}: cannot change roleRef", Verdict::Immutable),
            (422, "spec.replicas: Invalid value: -1", Verdict::Refused),
            (401, "Unauthorized", Verdict::Refused),
        ] {
            assert_eq!(answered(code, message), wanted, "{code} {message}");
        }
    }

    #[test]
    fn a_connection_that_breaks_is_tried_again_and_a_wrong_certificate_is_not() {
        let broken = Error::Service("connection reset by peer".into());
        assert_eq!((verdict(&broken), words(&broken).as_str()), (Verdict::Transient, "connection reset by peer"));
        assert_eq!(verdict(&Error::Service("invalid peer certificate: UnknownIssuer".into())), Verdict::Refused);
    }
}
