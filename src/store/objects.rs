//! Objects in Minio: listed, read and written one by one, never a whole bucket in memory.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::client::{BucketAdmin, Request};
use super::sign::{encoded, presigned};
use super::usage::texts;
use crate::failure::{Failure, Reason};
use crate::limits::STORE_SILENCE;
use crate::run::Deadline;

/// Keys in one answer of a list.
const PAGE: &str = "1000";
/// The validity of a signature, which is looked at when a request begins; clocks may differ by seconds.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// What user metadata begins with.
const METADATA: &str = "x-amz-meta-";
const WHAT: &str = "cannot read or write an object in Minio";

/// A part of a bucket's list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys, in order.
    pub keys: Vec<String>,
    /// Where the next part begins; absent in the last one.
    pub next: Option<String>,
}

/// An object that is being read.
#[derive(Debug)]
pub struct Download {
    /// Bytes of its content.
    pub size: u64,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its user metadata: headers that begin with `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    response: Response,
    asked: String,
}

/// An object that is to be written.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// Bytes of its content.
    pub size: u64,
    /// Its content type.
    pub content_type: Option<&'a str>,
    /// Its user metadata, as headers.
    pub metadata: &'a BTreeMap<String, String>,
}

fn failed(asked: &str) -> Failure {
    Failure::new(Reason::BackupFailed, WHAT).because(asked)
}

/// A failure of the administration as one of these.
fn told(failure: Failure) -> Failure {
    Failure { reason: Reason::BackupFailed, what: WHAT.to_owned(), ..failure }
}

impl BucketAdmin {
    /// The names of all buckets.
    ///
    /// # Errors
    /// [`Reason::BackupFailed`], with Minio's own error.
    pub async fn buckets(&self) -> Result<Vec<String>, Failure> {
        let reply = self.require(&Request::new(Method::GET, "/", &[])).await.map_err(told)?;
        if !reply.body.contains("<ListAllMyBucketsResult") {
            return Err(told(reply.failure()).because("not a list of buckets"));
        }
        Ok(texts(&reply.body, "Name").map(str::to_owned).collect())
    }

    /// A part of a bucket's list; `from` is where the part before it says that the next one begins.
    ///
    /// # Errors
    /// As [`BucketAdmin::buckets`].
    pub async fn list(&self, bucket: &str, from: Option<&str>) -> Result<Page, Failure> {
        let mut query = Vec::from_iter(from.map(|from| ("continuation-token", from)));
        query.extend([("encoding-type", "url"), ("list-type", "2"), ("max-keys", PAGE)]);
        let reply = self.require(&Request::new(Method::GET, format!("/{bucket}"), &query)).await.map_err(told)?;
        page(&reply.body).ok_or_else(|| told(reply.failure()).because("not a list of objects"))
    }

    /// Creates a bucket, unless it exists.
    ///
    /// # Errors
    /// As [`BucketAdmin::buckets`].
    pub async fn create_bucket(&self, bucket: &str) -> Result<(), Failure> {
        self.make_bucket(bucket).await.map_err(told)
    }

    /// Begins to read an object; none where it is not there.
    ///
    /// # Errors
    /// As [`BucketAdmin::buckets`].
    pub async fn download(&self, bucket: &str, key: &str) -> Result<Option<Download>, Failure> {
        let asked = format!("GET {bucket}/{key}");
        let url = self.signed(&Method::GET, bucket, key);
        let request = self.http.get(url).timeout(self.at_most()).send();
        let sent = Deadline::fixed(STORE_SILENCE).limit(request).await;
        let response = sent.ok_or_else(|| failed(&asked).because("Minio does not answer"))?;
        let response = response.map_err(|error| failed(&asked).caused_by(error.without_url()))?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(refused(&asked, response).await);
        }
        let size = response.content_length().ok_or_else(|| failed(&asked).because("the answer has no length"))?;
        let headers = response.headers();
        let (content_type, metadata) = (text(headers, CONTENT_TYPE.as_str()), metadata(headers));
        Ok(Some(Download { size, content_type, metadata, response, asked }))
    }

    /// Writes an object; `content` has all of it, in parts.
    ///
    /// # Errors
    /// As [`BucketAdmin::buckets`].
    pub async fn upload(&self, object: &Upload<'_>, content: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
        let Upload { bucket, key, size, content_type, metadata } = object;
        let asked = format!("PUT {bucket}/{key}");
        let body = Body::wrap(Content { coming: content, left: *size });
        let mut request = self.http.put(self.signed(&Method::PUT, bucket, key)).timeout(self.at_most());
        request = content_type.iter().fold(request, |request, value| request.header(CONTENT_TYPE, *value));
        request = metadata.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.body(body).send().await;
        let response = response.map_err(|error| failed(&asked).caused_by(error.without_url()))?;
        if response.status().is_success() { Ok(()) } else { Err(refused(&asked, response).await) }
    }

    /// Longer than the run, whose own deadline says why it ended.
    fn at_most(&self) -> Duration {
        self.deadline.extended_by(STORE_SILENCE).remaining()
    }

    fn signed(&self, method: &Method, bucket: &str, key: &str) -> String {
        let key = key.split('/').map(encoded).collect::<Vec<_>>().join("/");
        let path = format!("/{bucket}/{key}");
        presigned(method.as_str(), &self.host, &path, &self.root, SIGNED_FOR, SystemTime::now())
    }
}

impl Download {
    /// The next bytes of the content; none at its end.
    ///
    /// # Errors
    /// As [`BucketAdmin::buckets`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let next = Deadline::fixed(STORE_SILENCE).limit(self.response.chunk()).await;
        let next = next.ok_or_else(|| failed(&self.asked).because("Minio fell silent"))?;
        next.map_err(|error| failed(&self.asked).caused_by(error.without_url()))
    }
}

/// The content of an upload, of a known length: Minio takes no other.
struct Content {
    coming: mpsc::Receiver<Bytes>,
    left: u64,
}

impl http_body::Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.coming.poll_recv(context).map(|bytes| {
            let left = bytes.as_ref().and_then(|bytes| self.left.checked_sub(bytes.len() as u64));
            Some(match (bytes, left) {
                (Some(bytes), Some(left)) => {
                    self.left = left;
                    Ok(Frame::data(bytes))
                }
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

async fn refused(asked: &str, mut response: Response) -> Failure {
    let failure = failed(asked).because(format!("HTTP {}", response.status()));
    let said = Deadline::fixed(STORE_SILENCE).limit(response.chunk()).await;
    let Some(Ok(Some(said))) = said else { return failure };
    let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    failure.evidence([said.chars().take(super::client::EXCERPT).collect::<String>()])
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let names = headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with(METADATA));
    names.filter_map(|name| Some((name.to_owned(), text(headers, name)?))).collect()
}

fn page(xml: &str) -> Option<Page> {
    if !xml.contains("<ListBucketResult") {
        return None;
    }
    // Keys are encoded, and nothing else in a list is a user's text.
    let keys = texts(xml, "Key").map(decoded).collect::<Option<Vec<_>>>()?;
    let next = texts(xml, "NextContinuationToken").next().map(str::to_owned);
    match texts(xml, "IsTruncated").any(|more| more == "true") {
        true => next.map(|next| Page { keys, next: Some(next) }),
        false => Some(Page { keys, next: None }),
    }
}

/// A key out of a list of the encoding type `url`, where a space is a plus sign.
fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_minio_writes_it() {
        let xml = |more: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <Name>my-s3-bucket</Name><Prefix></Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>{more}\
                 <Contents><Key>a/b+c%2Bd%C3%B6</Key><ETag>&#34;0&#34;</ETag><Size>3</Size></Contents>\
                 <Contents><Key>folder/</Key><Size>0</Size></Contents><EncodingType>url</EncodingType></ListBucketResult>"
            )
        };
        let keys = vec!["a/b c+d\u{f6}".to_owned(), "folder/".to_owned()];
        let last = page(&xml("<IsTruncated>false</IsTruncated>")).expect("a page");
        assert_eq!(last, Page { keys: keys.clone(), next: None });
        let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken>";
        assert_eq!(page(&xml(more)).expect("a page"), Page { keys, next: Some("abc=".to_owned()) });
        assert_eq!(page(&xml("<IsTruncated>true</IsTruncated>")), None, "more, and no way to get it");
        for broken in ["", "{}", "<Error><Code>AccessDenied</Code></Error>", "<ListBucketResult><Key>%4</Key>"] {
            assert_eq!(page(broken), None, "{broken}");
        }
    }
}
