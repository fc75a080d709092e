//! HTTP requests to the published ports.

use std::io;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};

use crate::limits::SMOKE_HTTP;

use super::check_failure::CheckFailure;
use crate::failure::{find, innermost};

/// The largest body that is read, in bytes; more than any check needs.
const BODY_LIMIT: usize = 1 << 20;
/// The length of a body's excerpt, in characters.
const EXCERPT: usize = 200;

/// An HTTP client without redirects and proxies.
#[derive(Debug, Clone)]
pub(super) struct Http(Client);

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The request, for messages: `GET http://…`.
    pub(super) asked: String,
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    /// At most [`BODY_LIMIT`] bytes.
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new() -> reqwest::Result<Self> {
        Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(SMOKE_HTTP)
            .timeout(SMOKE_HTTP)
            .user_agent(concat!("flyte-sandbox/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
    }

    pub(super) async fn get(&self, url: &str) -> Result<Reply, CheckFailure> {
        self.send(Method::GET, url, &[], Vec::new()).await
    }

    /// Sends a request. Messages do not name its query string, which may be a signature.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, CheckFailure> {
        let asked = format!("{method} {}", url.split('?').next().unwrap_or(url));
        let failed = |error: reqwest::Error| {
            let failure = CheckFailure::new(asked.clone(), plainly(&error));
            if error.is_connect() {
                failure.hint("`sandbox status` shows what runs and on which ports")
            } else {
                failure
            }
        };
        let mut request = self.0.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend(chunk.iter().take(BODY_LIMIT - body.len()));
            if body.len() == BODY_LIMIT {
                break;
            }
        }
        Ok(Reply { asked, status, content_type, body })
    }
}

impl Reply {
    /// The response if it has this status.
    pub(super) fn expect(self, status: StatusCode) -> Result<Self, CheckFailure> {
        if self.status == status {
            return Ok(self);
        }
        let failure = self.failure(format!("HTTP {}, not {}", self.status, status.as_u16()));
        // A gateway whose connection was taken by a proxy upstream answers with that proxy's text for ever.
        Err(match self.status {
            StatusCode::FORBIDDEN if !self.content_type.contains("json") && !self.content_type.contains("xml") => failure
                .hint("if the text is that of a proxy outside the cluster, restart the gateway's pod: its connection stuck there"),
            _ => failure,
        })
    }

    /// The failure of a check by this response, with an excerpt of its body.
    pub(super) fn failure(&self, seen: impl Into<String>) -> CheckFailure {
        CheckFailure::new(self.asked.clone(), seen).evidence(self.excerpt())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body on one line, cut, where it is text.
    pub(super) fn excerpt(&self) -> Option<String> {
        let text = self.text();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let readable = !line.is_empty() && !line.contains('\u{fffd}');
        readable.then(|| {
            if line.chars().count() > EXCERPT { line.chars().take(EXCERPT).chain(['…']).collect() } else { line }
        })
    }
}

/// A connection error in one line.
fn plainly(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("timed out after {} s", SMOKE_HTTP.as_secs());
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        _ => innermost(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, StatusCode};

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            asked: "GET http://127.0.0.1/".to_owned(),
            status: StatusCode::from_u16(status).expect("a status"),
            content_type: "text/plain".to_owned(),
            body: body.into(),
        }
    }

    #[test]
    fn an_unexpected_status_is_a_miss_with_the_body_on_one_line() {
        let failure = reply(503, "upstream\n  connect error").expect(StatusCode::OK).expect_err("503 is not 200");
        assert_eq!(failure.seen, "HTTP 503 Service Unavailable, not 200");
        assert_eq!(failure.evidence, ["upstream connect error"]);
    }

    #[test]
    fn long_and_binary_bodies_are_not_shown_whole() {
        let long = reply(500, &"é".repeat(300)).failure("").evidence;
        assert_eq!(long[0].chars().count(), 201);
        assert!(Reply { body: vec![0xff, 0xfe], ..reply(500, "") }.failure("").evidence.is_empty());
    }
}
