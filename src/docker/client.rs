//! The connection, and what the daemon says about itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use futures::{Stream, StreamExt, stream};
use tokio::time::timeout;

use super::endpoint::{Endpoint, Origin, sockets};
use crate::failure::{Failure, Reason, find, innermost};
use crate::reason::Speaker;

/// A daemon that is up answers within milliseconds; one that does not within this time is not up.
const ANSWER: Duration = Duration::from_secs(2);
/// For one request and its whole answer, of a daemon that may be busy: the slowest, removing a node, takes two seconds.
const REQUEST: Duration = Duration::from_secs(30);
/// For the first byte of a stream, of which a save of many images writes none before it has gathered them all. What is
/// streamed has limits of its own.
const STREAM: Duration = Duration::from_secs(300);

/// A connection to a Docker daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) client: bollard::Docker,
    endpoint: Endpoint,
}

/// What a daemon says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Such as `20.10.24`.
    pub version: String,
    /// The newest API version it speaks, such as `1.41`.
    pub api: String,
    /// The oldest API version it speaks.
    pub min_api: String,
    /// The version of its control groups, 1 or 2, where it says.
    pub cgroup: Option<u8>,
    /// The host's memory in bytes, where it says.
    pub memory: Option<u64>,
    /// Where it keeps images and volumes, on its own machine.
    pub root: String,
    /// Its processor as Go and images call it, such as `amd64`; as it says where that is another one.
    pub architecture: String,
    /// Whether it pulls through a proxy.
    pub has_proxy: bool,
    /// Whether it runs as an ordinary user.
    pub rootless: bool,
}

impl Docker {
    /// Connects to the daemon that the environment chooses, see [`Endpoint::find`].
    ///
    /// # Errors
    /// As [`Docker::connect_to`], with the other sockets there are.
    pub async fn connect(env: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Self, Failure> {
        let endpoint = Endpoint::find(env, home)?;
        Self::connect_to(endpoint.clone()).await.map_err(|failure| {
            let others = sockets(env, home).into_iter().filter(|socket| socket.exists());
            let others =
                others.map(|socket| format!("unix://{}", socket.display())).filter(|url| *url != endpoint.host);
            others.fold(failure, |failure, url| {
                failure.hint(format!("another engine's socket is there: DOCKER_HOST={url}"))
            })
        })
    }

    /// Connects to this daemon and waits for an answer.
    ///
    /// # Errors
    /// [`Reason::DockerAbsent`], [`Reason::DockerRefused`], [`Reason::DockerForbidden`], [`Reason::DockerLost`];
    /// [`Reason::DockerSilent`] when it does not answer within two seconds; [`Reason::Docker`] for an address that is
    /// none, or an error of the daemon's own.
    pub async fn connect_to(endpoint: Endpoint) -> Result<Self, Failure> {
        let failure = |endpoint: &Endpoint| Failure::new(Reason::Docker, "Docker does not answer").on(&endpoint.host);
        let client = bollard::Docker::connect_with_host(&endpoint.host)
            .map_err(|error| unusable(failure(&endpoint), &endpoint, &error))?;
        match tokio::time::timeout(ANSWER, client.version()).await {
            Ok(Ok(_)) => Ok(Self { client: client.with_timeout(STREAM), endpoint }),
            Ok(Err(error)) => Err(unusable(failure(&endpoint), &endpoint, &error)),
            Err(_) => {
                let failure = Failure { reason: Reason::DockerSilent, ..failure(&endpoint) };
                Err(failure.because(format!("no answer within {} s", ANSWER.as_secs())))
            }
        }
    }

    /// The daemon's address; children that use Docker get it as `DOCKER_HOST`.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the daemon says about itself.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn about(&self) -> Result<About, Failure> {
        let asked = async { tokio::try_join!(self.client.version(), self.client.info()) };
        let (version, info) = timely(asked).await.map_err(|error| failed("cannot ask Docker about itself", &error))?;
        Ok(About {
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            min_api: version.min_api_version.unwrap_or_default(),
            cgroup: info.cgroup_version.and_then(|version| version.to_string().parse().ok()),
            memory: info.mem_total.and_then(|bytes| bytes.try_into().ok()).filter(|bytes| *bytes > 0),
            root: info.docker_root_dir.unwrap_or_default(),
            architecture: match info.architecture.unwrap_or_default().as_str() {
                "x86_64" => "amd64".to_owned(),
                "aarch64" => "arm64".to_owned(),
                other => other.to_owned(),
            },
            rootless: info.security_options.into_iter().flatten().any(|option| option == "name=rootless"),
            has_proxy: [info.http_proxy, info.https_proxy].into_iter().flatten().any(|proxy| !proxy.is_empty()),
        })
    }
}

fn unusable(failure: Failure, endpoint: &Endpoint, error: &Error) -> Failure {
    let reason = match error {
        Error::UnsupportedURISchemeError { .. } if !endpoint.is_local() => Reason::DockerRemote,
        error if is_answer(error) => Reason::Docker,
        error => unreachable(error),
    };
    let failure = Failure { reason, ..failure }.because(innermost(error));
    let failure = match &endpoint.origin {
        Origin::Variable => failure.hint("DOCKER_HOST chose this address; unset it to use the local daemon"),
        Origin::Context(name) => failure.hint(format!("the Docker context `{name}` chose this address")),
        Origin::Socket => failure,
    };
    let wants_tls =
        matches!(error, Error::DockerResponseServerError { message, .. } if message.contains("HTTPS server"));
    if wants_tls || matches!(error, Error::UnsupportedURISchemeError { .. }) {
        failure.hint("only unix:// and tcp:// without TLS are supported; run this program on the daemon's own machine")
    } else {
        failure.hint(reason.entry().remedy)
    }
}

/// Why a daemon that was looked for the first time was not reached.
fn unreachable(error: &Error) -> Reason {
    let kind = match error {
        Error::SocketNotFoundError(_) => Some(ErrorKind::NotFound),
        Error::UnsupportedURISchemeError { .. } | Error::URLParseError { .. } | Error::InvalidURIError { .. } => {
            return Reason::Docker;
        }
        // Something answers, and it is no Docker.
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => return Reason::Docker,
        Error::RequestTimeoutError => Some(ErrorKind::TimedOut),
        error => io_kind(error),
    };
    match kind {
        Some(ErrorKind::NotFound) => Reason::DockerAbsent,
        Some(ErrorKind::PermissionDenied) => Reason::DockerForbidden,
        Some(ErrorKind::TimedOut | ErrorKind::WouldBlock) => Reason::DockerSilent,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) | None => {
            Reason::DockerLost
        }
        // Names that do not resolve and networks without a way there, too.
        Some(_) => Reason::DockerRefused,
    }
}

/// The first error of the system's among an error's causes.
fn io_kind(error: &Error) -> Option<ErrorKind> {
    // It does not name itself among its sources.
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    find::<std::io::Error>(error).map(std::io::Error::kind)
}

/// Whether the daemon itself said so, and not the way to it.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. })
}

/// A plain request, for as long as a daemon that works may take for its whole answer.
pub(super) async fn timely<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(REQUEST, request).await.unwrap_or(Err(Error::RequestTimeoutError))
}

/// A stream whose next item must come within the time of a plain request.
pub(super) fn flowing<T>(
    stream: impl Stream<Item = Result<T, Error>> + Send,
) -> impl Stream<Item = Result<T, Error>> + Send {
    stream::unfold(Box::pin(stream), async |mut stream| {
        let next = timeout(REQUEST, stream.next()).await.unwrap_or(Some(Err(Error::RequestTimeoutError)));
        next.map(|next| (next, stream))
    })
}

/// A call that the daemon left without an answer.
fn silent(what: &str) -> Failure {
    Failure::new(Reason::DockerSilent, what).because(format!("no answer within {} s", REQUEST.as_secs()))
}

/// A call that the daemon must have answered in full by then.
pub(super) async fn within_limit<T>(what: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(REQUEST, call).await.unwrap_or_else(|_| Err(silent(what)))
}

/// A call to the daemon that failed. The daemon was there before: that the way to it is gone means that it ended.
pub(super) fn failed(what: &str, error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code, message } => Failure::new(Reason::Docker, what)
            .because(format!("{} (status {status_code})", message.trim()))
            .recognised(Speaker::Docker),
        Error::DockerStreamError { error } => {
            Failure::new(Reason::Docker, what).because(error.trim()).recognised(Speaker::Docker)
        }
        Error::RequestTimeoutError => silent(what),
        Error::SocketNotFoundError(_) | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } => {
            Failure::new(Reason::DockerLost, what).because_of(error)
        }
        error => {
            let reason = if io_kind(error).is_some() { Reason::DockerLost } else { Reason::Docker };
            Failure::new(reason, what).because_of(error)
        }
    }
}

/// Whether the daemon said that there is no such object.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the daemon said that what is asked for is so already, or is being done by somebody else.
pub(super) fn is_settled(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 304 | 404, .. })
        || matches!(error, Error::DockerResponseServerError { status_code: 409, message } if message.contains("already in progress"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: ErrorKind) -> Error {
        Error::IOError { err: kind.into() }
    }

    #[test]
    fn each_way_not_to_reach_a_daemon_is_told_apart() {
        for (error, first, later) in [
            (Error::SocketNotFoundError("/d.sock".into()), Reason::DockerAbsent, Reason::DockerLost),
            (io(ErrorKind::NotFound), Reason::DockerAbsent, Reason::DockerLost),
            (io(ErrorKind::PermissionDenied), Reason::DockerForbidden, Reason::DockerLost),
            (io(ErrorKind::ConnectionRefused), Reason::DockerRefused, Reason::DockerLost),
            (io(ErrorKind::HostUnreachable), Reason::DockerRefused, Reason::DockerLost),
            (io(ErrorKind::ConnectionReset), Reason::DockerLost, Reason::DockerLost),
            (Error::RequestTimeoutError, Reason::DockerSilent, Reason::DockerSilent),
            (Error::UnsupportedURISchemeError { uri: "ssh://d".into() }, Reason::Docker, Reason::Docker),
        ] {
            assert_eq!((unreachable(&error), failed("no", &error).reason), (first, later), "{error:?}");
        }
    }
}
