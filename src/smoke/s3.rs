//! Checks of Minio: health, browser, a signed round trip.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, stream};
use reqwest::header::USER_AGENT;
use reqwest::{Method, StatusCode};

use crate::failure::Reason;
use crate::spec::{Keys, Spec};
use crate::store::presigned;

use super::check_failure::{CheckFailure, CheckResult, all};
use super::http::Reply;
use super::target::CheckContext;

/// Projects that are checked at once.
const AT_ONCE: usize = 8;
/// The validity of a signature; clocks may differ by seconds.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// The path that answers 200 where storage is online.
pub(super) const HEALTH: &str = "/minio/health/cluster";

/// M1: its storage is online. `/minio/health/live` and `/ready` answer 200 even where it is not.
pub(super) async fn healthy(context: &CheckContext<'_>) -> CheckResult {
    let reply = context.http.get(&context.minio(HEALTH)).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}

/// M2: the object browser, which is served to browsers only.
pub(super) async fn browser_loads(context: &CheckContext<'_>) -> CheckResult {
    let url = context.minio("/minio/");
    let reply = context.http.send(Method::GET, &url, &[(USER_AGENT, "Mozilla/5.0 (sandbox)")], Vec::new()).await?;
    let reply = reply.expect(StatusCode::OK)?;
    if !reply.content_type.contains("html") {
        return Err(reply.failure(format!("content type {:?}, not HTML", reply.content_type)));
    }
    Ok("HTML".to_owned())
}

/// M3: the bucket exists, and an object can be written, read back and deleted.
pub(super) async fn keeps_an_object(context: &CheckContext<'_>) -> CheckResult {
    let storage = &context.spec.storage;
    round_trip(context, &storage.bucket, &storage.root()).await
}

/// M4: the same in every project's bucket with that project's keys, which open no other bucket; and what admin takes in for
/// a project is read by that one alone.
pub(super) async fn keeps_projects_apart(context: &CheckContext<'_>) -> CheckResult {
    let Spec { projects, storage, .. } = context.spec;
    let results = projects.iter().enumerate().map(async |(at, project)| {
        let unissued = || CheckFailure::new(format!("project {project}"), "nobody has issued keys for it");
        let keys = storage.keys_of(project).ok_or_else(unissued)?;
        round_trip(context, &storage.bucket_of(project), &keys).await?;
        // Each is tried on the one after it: what opens more than its own opens that as well.
        let next = &projects[(at + 1) % projects.len()];
        if let Some(folder) = &context.spec.flyte.facts().uploads {
            let next = storage.keys_of(next).filter(|_| next != project);
            reads_uploads(context, &format!("{folder}/{project}"), &keys, next.as_ref()).await?;
        }
        let others = [(next != project).then(|| storage.bucket_of(next)), Some(storage.bucket.clone())];
        for other in others.into_iter().flatten() {
            is_refused(context, &other, &keys).await?;
        }
        Ok(String::new())
    });
    all(stream::iter(results).buffered(AT_ONCE).collect::<Vec<_>>().await, "projects")
}

/// A unique object name.
fn object() -> String {
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("sandbox-smoke/{}-{unique}", std::process::id())
}

async fn ask(
    context: &CheckContext<'_>,
    method: Method,
    path: &str,
    keys: &Keys,
    body: &[u8],
) -> Result<Reply, CheckFailure> {
    let host = format!("127.0.0.1:{}", context.ports.minio);
    let url = presigned(method.as_str(), &host, path, keys, SIGNED_FOR, SystemTime::now());
    context.http.send(method, &url, &[], body.to_vec()).await
}

async fn round_trip(context: &CheckContext<'_>, bucket: &str, keys: &Keys) -> CheckResult {
    let object = object();
    let path = format!("/{bucket}/{object}");
    let head = ask(context, Method::HEAD, &format!("/{bucket}"), keys, b"").await?;
    if head.status == StatusCode::NOT_FOUND {
        let hint = "`sandbox up` makes the bucket again; what Flyte wrote to it is gone";
        let failure = head.failure(format!("bucket {bucket} does not exist"));
        return Err(failure.reason(Reason::StorageRefused).hint(hint));
    }
    // A refused HEAD has no body to say why, so let the PUT be refused as well.
    if head.status != StatusCode::FORBIDDEN {
        head.expect(StatusCode::OK)?;
    }
    let marker = object.as_bytes();
    let put = ask(context, Method::PUT, &path, keys, marker).await?;
    granted(put, StatusCode::OK)?;
    let get = ask(context, Method::GET, &path, keys, b"").await?;
    let get = granted(get, StatusCode::OK)?;
    if get.body != marker {
        return Err(get.failure("not what was written"));
    }
    let delete = ask(context, Method::DELETE, &path, keys, b"").await?;
    granted(delete, StatusCode::NO_CONTENT)?;
    Ok(format!("wrote, read and deleted an object in {bucket}"))
}

/// A check that keys read what admin takes in for their project, and those of another do not.
async fn reads_uploads(
    context: &CheckContext<'_>,
    folder: &str,
    keys: &Keys,
    other: Option<&Keys>,
) -> Result<(), CheckFailure> {
    let Some(admin) = context.spec.program_keys("flyteadmin") else { return Ok(()) };
    let path = format!("/{}/{folder}/{}", context.spec.storage.bucket, object());
    granted(ask(context, Method::PUT, &path, &admin, b"").await?, StatusCode::OK)?;
    granted(ask(context, Method::GET, &path, keys, b"").await?, StatusCode::OK)?;
    if let Some(other) = other {
        let reply = ask(context, Method::GET, &path, other, b"").await?;
        if reply.status.is_success() {
            let failure = reply.failure(format!("{} may read {path}, must be refused", other.access_key));
            return Err(failure.reason(Reason::PermissionExcess).final_answer());
        }
        reply.expect(StatusCode::FORBIDDEN)?;
    }
    granted(ask(context, Method::DELETE, &path, &admin, b"").await?, StatusCode::NO_CONTENT).map(|_| ())
}

/// A check that keys can neither list nor write a bucket.
async fn is_refused(context: &CheckContext<'_>, bucket: &str, keys: &Keys) -> Result<(), CheckFailure> {
    let head = (Method::HEAD, format!("/{bucket}"));
    let put = (Method::PUT, format!("/{bucket}/{}", object()));
    for (method, path) in [head, put] {
        let reply = ask(context, method, &path, keys, b"").await?;
        if reply.status.is_success() {
            let failure = reply.failure(format!("{} may use bucket {bucket}, must be refused", keys.access_key));
            return Err(failure.reason(Reason::PermissionExcess).final_answer());
        }
        reply.expect(StatusCode::FORBIDDEN)?;
    }
    Ok(())
}

fn granted(reply: Reply, status: StatusCode) -> Result<Reply, CheckFailure> {
    let text = if reply.status == status { String::new() } else { reply.text() };
    let refused =
        ["InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"].iter().any(|code| text.contains(code));
    reply.expect(status).map_err(|failure| {
        let failure = if refused { failure.reason(Reason::StorageRefused) } else { failure };
        match explain(&text) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// The next step for an S3 error document.
fn explain(body: &str) -> Option<&'static str> {
    let any = |codes: &[&str]| codes.iter().any(|code| body.contains(code));
    if any(&["RequestTimeTooSkewed", "Request has expired", "Request is not valid yet"]) {
        return Some(
            "the clocks of this machine and of Docker's (virtual) machine differ: set them, or restart Docker",
        );
    }
    any(&["SignatureDoesNotMatch", "InvalidAccessKeyId"])
        .then_some("Minio runs with other keys than `sandbox credentials` says: run `sandbox up`")
}

#[cfg(test)]
mod tests {
    use super::{Reason, Reply, StatusCode, explain, granted};

    #[test]
    fn wrong_keys_and_a_bucket_that_is_not_there_are_reasons_of_their_own() {
        let table = [
            ("InvalidAccessKeyId", Some(Reason::StorageRefused)),
            ("SignatureDoesNotMatch", Some(Reason::StorageRefused)),
            ("NoSuchBucket", Some(Reason::StorageRefused)),
            ("SlowDown", None),
        ];
        for (code, reason) in table {
            let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
            let (asked, content_type) = ("PUT http://127.0.0.1/b".to_owned(), "application/xml".to_owned());
            let reply = Reply { asked, status: StatusCode::FORBIDDEN, content_type, body };
            assert_eq!(granted(reply, StatusCode::OK).expect_err("refused").reason, reason, "{code}");
        }
    }

    #[test]
    fn a_skewed_clock_and_wrong_keys_are_explained() {
        let table = [
            ("<Code>RequestTimeTooSkewed</Code>", Some("clocks")),
            ("<Code>AccessDenied</Code><Message>Request has expired</Message>", Some("clocks")),
            ("<Code>SignatureDoesNotMatch</Code>", Some("keys")),
            ("<Code>InternalError</Code>", None),
        ];
        for (body, word) in table {
            match (explain(body), word) {
                (Some(hint), Some(word)) => assert!(hint.contains(word), "{body}: {hint}"),
                (hint, word) => assert_eq!(hint, word, "{body}"),
            }
        }
    }
}
