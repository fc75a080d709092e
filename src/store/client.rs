//! Signed requests to Minio, with retries until it answers.

use std::time::{Duration, SystemTime};

use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};

use super::sign::{self, Unsigned, encoded};
use crate::failure::{Failure, Reason};
use crate::limits::STORE_REQUEST;
use crate::run::Deadline;
use crate::spec::Keys;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The length of an answer's excerpt, in characters.
pub(super) const EXCERPT: usize = 200;
/// A header of every answer of Minio (`addCustomHeaders`). A proxy that answers while Minio is not reachable lacks it.
const MINIO_HEADER: &str = "x-amz-request-id";

/// The administration of a sandbox's Minio: buckets, users, groups and policies.
pub struct BucketAdmin {
    pub(super) http: Client,
    pub(super) host: String,
    pub(super) root: Keys,
    pub(super) deadline: Deadline,
}

/// A request before it is signed.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    /// The query, in the order of its names.
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Vec<u8>,
    /// An additional header, which is not signed.
    pub(super) header: Option<(&'static str, &'static str)>,
}

impl Request<'_> {
    pub(super) fn new<'a>(method: Method, path: impl Into<String>, query: &'a [(&'a str, &'a str)]) -> Request<'a> {
        Request { method, path: path.into(), query, body: Vec::new(), header: None }
    }
}

/// An answer of Minio.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: String,
    asked: String,
}

impl BucketAdmin {
    /// Minio on this port of 127.0.0.1, with its root keys.
    ///
    /// # Errors
    /// [`Reason::Internal`]: the HTTP client cannot be set up.
    pub fn new(port: u16, root: Keys, deadline: Deadline) -> Result<Self, Failure> {
        let http = Client::builder().timeout(STORE_REQUEST).redirect(Policy::none()).no_proxy().build();
        let http =
            http.map_err(|error| Failure::new(Reason::Internal, "cannot set up an HTTP client").caused_by(error));
        Ok(Self { http: http?, host: format!("127.0.0.1:{port}"), root, deadline })
    }

    /// Sends a request, signed with `keys`, until Minio itself answers.
    pub(super) async fn send(&self, request: &Request<'_>, keys: &Keys) -> Result<Reply, Failure> {
        let Request { method, path, query, body, header } = request;
        let query =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let url = format!("http://{}{path}{}{query}", self.host, if query.is_empty() { "" } else { "?" });
        let asked = format!("{method} {url}");
        let mut pause = FIRST_PAUSE;
        loop {
            let unsigned = Unsigned { method: method.as_str(), host: &self.host, path, query: &query, body };
            let mut signed = self.http.request(method.clone(), &url).body(body.clone());
            for (name, value) in sign::headers(&unsigned, keys, SystemTime::now()) {
                signed = signed.header(name, value);
            }
            if let Some((name, value)) = header {
                signed = signed.header(*name, *value);
            }
            let answered = async {
                let reply = signed.send().await?;
                let (status, own) = (reply.status(), reply.headers().contains_key(MINIO_HEADER));
                Ok::<_, reqwest::Error>((own, Reply { status, body: reply.text().await?, asked: asked.clone() }))
            };
            let unanswered = match answered.await {
                Ok((true, reply)) if !reply.status.is_server_error() => return Ok(reply),
                Ok((own, reply)) if own || reply.status.is_server_error() => reply.failure(),
                Ok((_, reply)) => reply.failure().because("the answer is not Minio's"),
                Err(error) => Failure::new(Reason::ProjectStorage, WHAT).because(&asked).caused_by(error),
            };
            if self.deadline.has_passed() {
                return Err(unanswered.because(self.deadline.expired_message()));
            }
            tokio::time::sleep(pause.min(self.deadline.remaining())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A request with the root keys; none for an answer of 404.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Option<Reply>, Failure> {
        let reply = self.send(request, &self.root).await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(reply)),
            _ => Err(reply.failure()),
        }
    }

    /// A request with the root keys, whose answer must be a success.
    pub(super) async fn require(&self, request: &Request<'_>) -> Result<Reply, Failure> {
        let reply = self.send(request, &self.root).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(reply.failure()) }
    }
}

const WHAT: &str = "cannot set up the project's storage in Minio";

impl Reply {
    pub(super) fn failure(&self) -> Failure {
        let text = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let failure =
            Failure::new(Reason::ProjectStorage, WHAT).because(&self.asked).because(format!("HTTP {}", self.status));
        if text.is_empty() { failure } else { failure.evidence([text.chars().take(EXCERPT).collect::<String>()]) }
    }
}
