//! Errors that the Kubernetes API tells by its message alone: it has no reason or cause of its own for them.

use kube::core::Status;

/// An error that only the message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// An admission webhook denied the request.
    WebhookDenied,
    /// An admission webhook did not answer the API.
    WebhookFailed,
    /// A ResourceQuota is used up.
    QuotaExceeded,
    /// A field would change that cannot.
    ImmutableField,
    /// An object of this name is still being deleted.
    BeingDeleted,
    /// The API's own storage, or what it asks, is away.
    StorageAway,
}

/// The code that such an error comes with, if it is always one, and the words that tell it. They are phrases that names
/// and values of objects do not have within: an object may well be called `webhook`.
const WORDING: &[(Option<u16>, &str, Told)] = &[
    (None, "admission webhook \"", Told::WebhookDenied),
    (Some(500), "failed calling webhook \"", Told::WebhookFailed),
    (Some(403), "exceeded quota: ", Told::QuotaExceeded),
    (Some(422), ": field is immutable", Told::ImmutableField),
    (Some(422), "spec is immutable after creation", Told::ImmutableField),
    (Some(422), ": cannot change roleRef", Told::ImmutableField),
    (Some(422), "Forbidden: updates to ", Told::ImmutableField),
    (Some(422), ": may not change once set", Told::ImmutableField),
    (Some(422), ": primary clusterIP can not be unset", Told::ImmutableField),
    (Some(422), "Forbidden: pod updates may not change fields", Told::ImmutableField),
    (Some(409), "object is being deleted: ", Told::BeingDeleted),
    (Some(500), "etcdserver: ", Told::StorageAway),
    (Some(500), "context deadline exceeded", Told::StorageAway),
    (Some(500), "connection refused", Told::StorageAway),
    (Some(500), "request timed out", Told::StorageAway),
    (Some(500), "i/o timeout", Told::StorageAway),
];

/// What the message of a refusal tells, if its words are known.
pub(super) fn told(status: &Status) -> Option<Told> {
    let known = WORDING
        .iter()
        .find(|(code, words, _)| code.is_none_or(|code| code == status.code) && status.message.contains(words));
    known.map(|(.., told)| *told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_api_are_known_and_names_in_them_are_not_taken_for_words() {
        // As kube-apiserver 1.21 to 1.33 writes them.
        for (code, message, expected) in [
            (400, "admission webhook \"x.example\" denied the request: no", Some(Told::WebhookDenied)),
            (403, "admission webhook \"x.example\" denied the request: no", Some(Told::WebhookDenied)),
            (
                500,
                "Internal error occurred: failed calling webhook \"x.example\": failed to call webhook: Post \
                 \"https://x.default.svc:443/?timeout=10s\": dial tcp 10.43.0.9:443: connect: connection refused",
                Some(Told::WebhookFailed),
            ),
            (404, "services \"flyte-pod-webhook\" not found", None),
            (500, "failed to create typed patch object (n/flyte-pod-webhook; apps/v1, Kind=Deployment): .spec", None),
            (
                403,
                "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9",
                Some(Told::QuotaExceeded),
            ),
            (403, "resourcequotas is forbidden: User \"u\" cannot list resource \"resourcequotas\"", None),
            (
                422,
                "Deployment.apps \"a\" is invalid: spec.selector: Invalid value: v1.LabelSelector{}: field is immutable",
                Some(Told::ImmutableField),
            ),
            (
                422,
                "RoleBinding \"a\" is invalid: roleRef: Invalid value: rbac.RoleRef{}: cannot change roleRef",
                Some(Told::ImmutableField),
            ),
            (
                422,
                "StatefulSet.apps \"a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
                 'replicas' are forbidden",
                Some(Told::ImmutableField),
            ),
            (422, "ConfigMap \"immutable\" is invalid: data[immutable]: Invalid value: \"immutable\"", None),
            (409, "object is being deleted: namespaces \"a\" already exists", Some(Told::BeingDeleted)),
            (409, "Operation cannot be fulfilled on roles \"a\": the object has been modified", None),
            (500, "etcdserver: leader changed", Some(Told::StorageAway)),
            (500, "configmaps \"timeout\": no", None),
        ] {
            let status = Status::failure(message, "").with_code(code);
            assert_eq!(told(&status), expected, "{code} {message}");
        }
    }
}
