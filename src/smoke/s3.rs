//! Checks of Minio: health, browser, a signed round trip.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::USER_AGENT;
use reqwest::{Method, StatusCode, Url};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use crate::failure::Reason;

use super::http::Reply;
use super::miss::{Miss, Sight};
use super::target::Context;

/// What Minio takes where none is configured.
const REGION: &str = "us-east-1";
/// How long a signature holds; clocks may differ by seconds.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// M1: its storage is online. `/minio/health/live` and `/ready` answer 200 even where it is not.
pub(super) async fn healthy(context: &Context<'_>) -> Sight {
    let reply = context.http.get(&context.minio("/minio/health/cluster")).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}

/// M2: the object browser, which is served to browsers only.
pub(super) async fn browser_loads(context: &Context<'_>) -> Sight {
    let url = context.minio("/minio/");
    let reply = context.http.send(Method::GET, &url, &[(USER_AGENT, "Mozilla/5.0 (sandbox)")], Vec::new()).await?;
    let reply = reply.expect(StatusCode::OK)?;
    if !reply.content_type.contains("html") {
        return Err(reply.miss(format!("content type {:?}, not HTML", reply.content_type)));
    }
    Ok("HTML".to_owned())
}

/// M3: the bucket is there, and an object can be written, read back and deleted.
pub(super) async fn keeps_an_object(context: &Context<'_>) -> Sight {
    let storage = &context.spec.storage;
    let asked = || format!("bucket {}", storage.bucket);
    let url = Url::parse(&context.minio("/")).map_err(|error| Miss::new(asked(), error.to_string()))?;
    let bucket = Bucket::new(url, UrlStyle::Path, storage.bucket.clone(), REGION);
    let bucket = bucket.map_err(|error| Miss::new(asked(), error.to_string()))?;
    let keys = Credentials::new(storage.access_key.clone(), storage.secret_key.expose());
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let object = format!("sandbox-smoke/{}-{unique}", std::process::id());

    let ask =
        async |method: Method, url: Url, body: &[u8]| context.http.send(method, url.as_str(), &[], body.to_vec()).await;
    let head = ask(Method::HEAD, bucket.head_bucket(Some(&keys)).sign(SIGNED_FOR), b"").await?;
    if head.status == StatusCode::NOT_FOUND {
        let hint = "`sandbox up` makes the bucket again; what Flyte wrote to it is gone";
        let miss = head.miss(format!("bucket {} does not exist", storage.bucket));
        return Err(miss.reason(Reason::StorageRefused).hint(hint));
    }
    // A refused HEAD has no body to say why, so let the PUT be refused as well.
    if head.status != StatusCode::FORBIDDEN {
        head.expect(StatusCode::OK)?;
    }
    let marker = object.as_bytes();
    let put = ask(Method::PUT, bucket.put_object(Some(&keys), &object).sign(SIGNED_FOR), marker).await?;
    granted(put, StatusCode::OK)?;
    let get = ask(Method::GET, bucket.get_object(Some(&keys), &object).sign(SIGNED_FOR), b"").await?;
    let get = granted(get, StatusCode::OK)?;
    if get.body != marker {
        return Err(get.miss("not what was written"));
    }
    let delete = ask(Method::DELETE, bucket.delete_object(Some(&keys), &object).sign(SIGNED_FOR), b"").await?;
    granted(delete, StatusCode::NO_CONTENT)?;
    Ok(format!("wrote, read and deleted an object in {}", storage.bucket))
}

fn granted(reply: Reply, status: StatusCode) -> Result<Reply, Miss> {
    let text = if reply.status == status { String::new() } else { reply.text() };
    let refused =
        ["InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"].iter().any(|code| text.contains(code));
    reply.expect(status).map_err(|miss| {
        let miss = if refused { miss.reason(Reason::StorageRefused) } else { miss };
        match explain(&text) {
            Some(hint) => miss.hint(hint),
            None => miss,
        }
    })
}

/// What to do about an S3 error document.
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
