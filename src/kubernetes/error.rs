//! Errors of the Kubernetes API by kind, and what each means: try again, or never.

use std::time::{Duration, SystemTime};

use kube::core::Status;
use kube::core::response::reason;
use kube::error::DiscoveryError;
use thiserror::Error;

use super::wording::{self, Told};
use crate::failure::{Failure, Reason, innermost};
use crate::limits::API_RETRY_AFTER;

/// A request to the Kubernetes API that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The API answered with an error.
    #[error("{message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The API's own words.
        message: String,
        /// What the words mean for a retry.
        outlook: Outlook,
        /// Why, as far as the answer tells.
        reason: Reason,
        /// The pause that the API asks for.
        retry_after: Duration,
    },
    /// The API serves no such kind.
    #[error("{0}")]
    MissingKind(String),
    /// The API's certificate is not to be trusted.
    #[error("{0}")]
    Certificate(String),
    /// The connection was refused, reset, cut, or fell silent.
    #[error("{0}")]
    Connection(String),
    /// The limit of the request passed.
    #[error("no answer within {}", humantime::format_duration(whole_seconds(*.0)))]
    TimedOut(Duration),
    /// The request cannot be made, or the answer cannot be read.
    #[error("{0}")]
    Unusable(String),
}

/// Whether the same request may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It may in a moment.
    Transient,
    /// The object, its kind or its namespace is not there (yet).
    Missing,
    /// A field would change that cannot.
    Immutable,
    /// It never will.
    Refused,
}

fn whole_seconds(time: Duration) -> Duration {
    if time.as_secs() > 0 {
        Duration::from_secs(time.as_secs())
    } else {
        Duration::from_millis(time.subsec_millis().into())
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::Discovery(DiscoveryError::MissingKind(_) | DiscoveryError::MissingApiGroup(_)) => {
                Self::MissingKind(innermost(&error))
            }
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                // A wrong certificate stays wrong; refused, reset and cut connections do not.
                let words = innermost(&error);
                if is_certificate(&error) { Self::Certificate(words) } else { Self::Connection(words) }
            }
            _ => Self::Unusable(innermost(&error)),
        }
    }
}

impl ApiError {
    fn of_status(status: &Status) -> Self {
        let said = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        let message = if said.is_empty() { format!("the API answered {}", status.code) } else { said };
        let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let (outlook, reason) = meaning(status);
        Self::Status {
            code: status.code,
            message,
            outlook,
            reason,
            retry_after: Duration::from_secs(retry_after.into()).min(API_RETRY_AFTER),
        }
    }

    /// Whether the same request may succeed.
    pub(crate) fn outlook(&self) -> Outlook {
        match self {
            Self::Status { outlook, .. } => *outlook,
            Self::MissingKind(_) => Outlook::Missing,
            Self::Connection(_) | Self::TimedOut(_) => Outlook::Transient,
            Self::Certificate(_) | Self::Unusable(_) => Outlook::Refused,
        }
    }

    /// Whether the object, its kind or its namespace is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.outlook() == Outlook::Missing
    }

    /// The HTTP status of the API's answer, where there is one.
    pub(crate) fn code(&self) -> Option<u16> {
        if let Self::Status { code, .. } = self { Some(*code) } else { None }
    }

    /// Why, as far as the answer tells.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Status { reason, .. } => *reason,
            Self::MissingKind(_) => Reason::KindUnknown,
            Self::Certificate(_) => Reason::ApiCertificate,
            Self::Connection(_) | Self::TimedOut(_) => Reason::ApiUnavailable,
            Self::Unusable(_) => Reason::Apply,
        }
    }

    /// The pause that the API asks for.
    pub(super) fn retry_after(&self) -> Duration {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { Duration::ZERO }
    }

    /// That our credentials or the API's certificate are wrong, which no waiting mends.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.reason(), Reason::ApiCertificate | Reason::ApiUnauthorized)
    }

    /// The failure of a write that was retried.
    pub(crate) fn failure(self, what: &str, object: impl std::fmt::Display) -> Failure {
        let failure = Failure::new(self.reason(), what).on(object);
        let failure = match self.outlook() {
            Outlook::Transient => failure.because("the API did not take it before the run's deadline (`--timeout`)"),
            _ => failure,
        };
        with_clock(failure.because(&self).keeping(self))
    }

    /// The failure of a read: with the answer's own reason where that is about identity, else with `otherwise`.
    pub(crate) fn unread(self, otherwise: Reason, what: &str) -> Failure {
        let reason = if self.is_identity() { self.reason() } else { otherwise };
        with_clock(Failure::new(reason, what).because(&self).keeping(self))
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

/// The cause by which the API tells that a namespace is going away.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What an answer means for a retry, and why: from its code, reason and causes, and only then from its message.
fn meaning(status: &Status) -> (Outlook, Reason) {
    use Outlook::{Immutable, Missing, Refused, Transient};
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let is_terminating = causes.clone().any(|cause| cause.reason == NAMESPACE_TERMINATING);
    match (status.code, wording::told(status)) {
        (401, _) => (Refused, Reason::ApiUnauthorized),
        (429 | 502..=504, _) => (Transient, Reason::ApiUnavailable),
        (500, _) if status.reason == reason::SERVER_TIMEOUT => (Transient, Reason::ApiUnavailable),
        _ if is_terminating => (Transient, Reason::NamespaceTerminating),
        (_, Some(Told::WebhookFailed)) => (Transient, Reason::ApplyWebhook),
        (_, Some(Told::WebhookDenied)) => (Refused, Reason::ApplyWebhook),
        (_, Some(Told::StorageAway)) => (Transient, Reason::ApiUnavailable),
        (_, Some(Told::BeingDeleted)) => (Transient, Reason::NamespaceTerminating),
        (_, Some(Told::ImmutableField)) => (Immutable, Reason::ApplyImmutable),
        (_, Some(Told::QuotaExceeded)) => (Refused, Reason::Apply),
        (403, None) => (Refused, Reason::ApplyForbidden),
        (404, None) => (Missing, Reason::KindUnknown),
        (409, None) => (Transient, Reason::ApplyConflict),
        (_, None) => (Refused, Reason::Apply),
    }
}

/// Whether TLS refused a certificate somewhere down the chain. What an `io::Error` carries is no source of it.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if carried.is_some_and(|carried| is_certificate(carried)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::CertificateError;
    use serde_json::json;

    use super::*;

    fn answered(code: u16, message: &str) -> ApiError {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed()).into()
    }

    #[test]
    fn every_answer_is_tried_again_or_not_and_tells_why() {
        use Outlook::{Immutable, Missing, Refused, Transient};
        for (code, message, outlook, reason) in [
            (503, "the server is currently unable to handle the request", Transient, Reason::ApiUnavailable),
            (429, "too many requests", Transient, Reason::ApiUnavailable),
            (500, "failed calling webhook \"x\"", Transient, Reason::ApplyWebhook),
            (400, "admission webhook \"x\" denied the request: no", Refused, Reason::ApplyWebhook),
            (403, "admission webhook \"x\" denied the request: no", Refused, Reason::ApplyWebhook),
            (500, "etcdserver: leader changed", Transient, Reason::ApiUnavailable),
            (500, "failed to create typed patch object: .spec.ports: key missing", Refused, Reason::Apply),
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
            // An object may be called as what is spoken of.
            (404, "services \"flyte-pod-webhook\" not found", Missing, Reason::KindUnknown),
            (500, "failed to create typed patch object (n/flyte-pod-webhook; v1): .spec", Refused, Reason::Apply),
            (403, "resourcequotas is forbidden: User \"u\" cannot list", Refused, Reason::ApplyForbidden),
            (422, "ConfigMap \"a\" is invalid: data[immutable]: Invalid value", Refused, Reason::Apply),
        ] {
            let error = answered(code, message);
            assert_eq!((error.outlook(), error.reason()), (outlook, reason), "{code} {message}");
            let failure = error.failure("no", "configmap a");
            assert_eq!((failure.reason, failure.causes.last().map(String::as_str)), (reason, Some(message)));
        }
    }

    #[test]
    fn reasons_and_causes_tell_what_no_code_does() {
        let leaving = json!({"code": 403, "reason": "Forbidden", "message": "forbidden: because it is being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}});
        let busy = json!({"code": 500, "reason": "ServerTimeout", "message": "the server cannot complete it now"});
        for (status, reason) in [(leaving, Reason::NamespaceTerminating), (busy, Reason::ApiUnavailable)] {
            let status: Status = serde_json::from_value(status).expect("a status");
            let error = ApiError::from(kube::Error::Api(status.boxed()));
            assert_eq!((error.outlook(), error.reason()), (Outlook::Transient, reason));
        }
    }

    #[test]
    fn a_pause_that_the_api_asks_for_is_kept_up_to_a_limit() {
        for (asked, kept) in [(0, 0), (3, 3), (600, 10)] {
            let details = json!({"retryAfterSeconds": asked});
            let status = json!({"status": "Failure", "message": "m", "code": 429, "reason": "", "details": details});
            let status: Status = serde_json::from_value(status).expect("a status");
            let error = ApiError::from(kube::Error::Api(status.boxed()));
            assert_eq!(error.retry_after(), Duration::from_secs(kept), "{asked}");
        }
    }

    #[test]
    fn a_wrong_certificate_comes_with_this_machines_clock() {
        for wrong in [CertificateError::UnknownIssuer, CertificateError::Expired] {
            // As hyper-rustls and tokio-rustls wrap it.
            let tls = rustls::Error::InvalidCertificate(wrong);
            let tls = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
            let failure = ApiError::from(kube::Error::Service(tls.into())).failure("no", "configmap a");
            assert_eq!(failure.reason, Reason::ApiCertificate, "{failure}");
            assert!(failure.causes[0].starts_with("invalid peer certificate"), "{failure}");
            assert!(failure.hints[0].starts_with("this machine's clock says 20"), "{:?}", failure.hints);
        }
    }

    #[test]
    fn only_the_type_tells_a_certificate_from_a_connection_that_breaks() {
        for words in ["connection reset by peer", "a proxy says: no certificate today"] {
            let broken = ApiError::from(kube::Error::Service(words.into()));
            assert_eq!(broken, ApiError::Connection(words.to_owned()));
            assert_eq!(broken.outlook(), Outlook::Transient);
        }
    }

    #[test]
    fn a_limit_is_told_in_whole_seconds() {
        for (limit, told) in [(30_000, "30s"), (1_999, "1s"), (250, "250ms")] {
            assert_eq!(
                ApiError::TimedOut(Duration::from_millis(limit)).to_string(),
                format!("no answer within {told}")
            );
        }
    }
}
