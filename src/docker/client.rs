//! The connection to a Docker daemon, and its version and settings.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as Transport;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::endpoint::{Endpoint, Origin, config_folder, sockets};
use super::error::{Cause, Error, Request, io_kind};
use super::kept::{Kept, Size};
use super::login::{LoginFolder, LoginSource, with_readable_logins};
use super::provider::{Provider, Said};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason, innermost};
use crate::limits;
use crate::manifest::ImageRef;

/// A connection to a Docker daemon. Cheap to clone.
#[derive(Clone)]
pub struct Docker {
    /// Used through [`Docker::ask`] and [`Docker::stream`] alone, so that no call is without a limit.
    client: bollard::Docker,
    endpoint: Endpoint,
    logins: Option<Arc<LoginFolder>>,
    architecture: Arc<OnceCell<String>>,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The version and settings of a daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Version of the engine, such as `20.10.24`.
    pub version: String,
    /// Newest API version that it supports, such as `1.41`.
    pub api: String,
    /// Oldest API version that it supports.
    pub min_api: String,
    /// Version of its cgroups, 1 or 2, if known.
    pub cgroup: Option<u8>,
    /// Memory of its host in bytes, if known.
    pub memory: Option<u64>,
    /// Folder of its images and volumes, on its host.
    pub root: String,
    /// Architecture as Go and images name it, such as `amd64`.
    pub architecture: String,
    /// Whether it pulls images through a proxy.
    pub has_proxy: bool,
    /// Whether it is a rootless engine.
    pub rootless: bool,
    /// The product that runs it.
    pub provider: Provider,
    /// Release of its kernel, such as `6.1.0-30-amd64`; empty if unknown.
    pub kernel: String,
    /// Its clock less this machine's, in milliseconds, if known.
    pub clock_ahead: Option<i64>,
}

impl About {
    /// Whether it runs on this machine's kernel, so that `/proc` tells of both.
    #[must_use]
    pub fn shares_kernel(&self) -> bool {
        let ours = rustix::system::uname();
        let is_ours = self.kernel.is_empty() || ours.release().to_str() == Ok(self.kernel.as_str());
        cfg!(target_os = "linux") && !self.provider.is_vm() && is_ours
    }
}

impl Docker {
    /// Connects to the daemon that the environment chooses, see [`Endpoint::find`]; where it chooses none and the first socket
    /// leads nowhere, to the next that answers. Registries get the logins of Docker's configuration.
    ///
    /// # Errors
    /// As [`Docker::connect_to`], with the other sockets there are.
    pub async fn connect(env: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Self, Failure> {
        let endpoint = Endpoint::find(env, home)?;
        let logins = config_folder(env, home).map(|path| Arc::new(LoginFolder { path, env: env.clone() }));
        let others = endpoint.others(env, home);
        let failure = match Self::connect_first(endpoint.clone(), others, home).await {
            Ok(docker) => return Ok(Self { logins, ..docker }),
            Err(failure) => failure,
        };
        let others = sockets(env, home).into_iter().filter(|socket| socket.exists());
        let others = others.map(|socket| format!("unix://{}", socket.display())).filter(|url| *url != endpoint.host);
        Err(others
            .fold(failure, |failure, url| failure.hint(format!("another engine's socket is there: DOCKER_HOST={url}"))))
    }

    /// Connects to the first of these that answers, where `first` leads nowhere; its failure where none does.
    async fn connect_first(first: Endpoint, others: Vec<Endpoint>, home: Option<&Path>) -> Result<Self, Failure> {
        let connect = async |endpoint: Endpoint| {
            let limit = if endpoint.may_sleep(home) { limits::DOCKER_WAKES } else { limits::DOCKER_CONNECT };
            Self::connect_within(endpoint, limit).await
        };
        let failure = match connect(first).await {
            Err(failure) if matches!(failure.reason, Reason::DockerAbsent | Reason::DockerRefused) => failure,
            connected => return connected,
        };
        for other in others {
            if let Ok(docker) = connect(other).await {
                return Ok(docker);
            }
        }
        Err(failure)
    }

    /// Connects to this daemon and waits for an answer. No registry gets a login.
    ///
    /// # Errors
    /// [`Reason::DockerAbsent`], [`Reason::DockerRefused`], [`Reason::DockerForbidden`], [`Reason::DockerLost`];
    /// [`Reason::DockerSilent`] when it does not answer within two seconds; [`Reason::Docker`] for an invalid address,
    /// or an error of the daemon's own.
    pub async fn connect_to(endpoint: Endpoint) -> Result<Self, Failure> {
        Self::connect_within(endpoint, limits::DOCKER_CONNECT).await
    }

    async fn connect_within(endpoint: Endpoint, limit: Duration) -> Result<Self, Failure> {
        let failure = |reason| Failure::new(reason, "Docker does not answer").on(&endpoint.host);
        let client = bollard::Docker::connect_with_host(&endpoint.host)
            .map_err(|error| unusable(failure(unreachable(&error, &endpoint)), &endpoint, error))?;
        // The version is only asked for where the answer is another one: the daemon starts programs to put it together.
        let greeted = async {
            match client.ping().await {
                Ok(answer) if answer == "OK" => Ok(()),
                _ => client.version().await.map(|_| ()),
            }
        };
        match Deadline::fixed(limit).limit(greeted).await {
            Some(Ok(())) => {
                let client = with_readable_logins(client.with_timeout(limits::DOCKER_SAVE));
                Ok(Self { client, endpoint, logins: None, architecture: Arc::default() })
            }
            Some(Err(error)) => Err(unusable(failure(unreachable(&error, &endpoint)), &endpoint, error)),
            None => Err(failure(Reason::DockerSilent).caused_by(Cause::Silent(limit))),
        }
    }

    /// The daemon's address; children that use Docker get it as `DOCKER_HOST`.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where the login is that an image's registry is to get.
    ///
    /// # Errors
    /// Why Docker's configuration cannot be used; `docker` itself goes on without a login then.
    pub fn login_source(&self, image: &ImageRef) -> Result<LoginSource, String> {
        self.logins.as_ref().map_or(Ok(LoginSource::Absent), |logins| logins.source(image))
    }

    /// A request whose whole answer must be here within `limit`.
    pub(super) async fn ask<'a, T, F>(
        &'a self,
        request: Request,
        limit: Duration,
        call: impl FnOnce(&'a bollard::Docker) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Transport>>,
    {
        let answer = Deadline::fixed(limit).limit(call(&self.client)).await;
        answer.unwrap_or(Err(Transport::RequestTimeoutError)).map_err(|error| Error::new(request, error, limit))
    }

    /// A request whose answer comes in parts, each within `silence` of the one before.
    pub(super) fn stream<T, S>(
        &self,
        request: Request,
        silence: Duration,
        call: impl FnOnce(&bollard::Docker) -> S,
    ) -> BoxStream<'static, Result<T, Error>>
    where
        T: 'static,
        S: Stream<Item = Result<T, Transport>> + Send + 'static,
    {
        stream::unfold((call(&self.client).boxed(), request), move |(mut parts, request)| async move {
            let next = match Deadline::fixed(silence).limit(parts.next()).await {
                Some(next) => next?.map_err(|error| Error::new(request.clone(), error, silence)),
                None => Err(Error { request: request.clone(), cause: Cause::Stalled(silence) }),
            };
            Some((next, (parts, request)))
        })
        .boxed()
    }

    /// The bytes of an answer that comes in parts, as many of them as `size` keeps.
    pub(super) async fn bytes<T, S>(
        &self,
        request: Request,
        size: Size,
        call: impl FnOnce(&bollard::Docker) -> S,
    ) -> Result<Vec<u8>, Error>
    where
        T: AsRef<[u8]> + 'static,
        S: Stream<Item = Result<T, Transport>> + Send + 'static,
    {
        let mut parts = self.stream(request.clone(), limits::DOCKER_REQUEST, call);
        let mut kept = Kept::new(size);
        while let Some(part) = parts.try_next().await? {
            kept.push(part.as_ref()).map_err(|cause| Error { request: request.clone(), cause })?;
        }
        Ok(kept.into_bytes())
    }

    /// The version and settings of the daemon.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn about(&self) -> Result<About, Error> {
        let asked = self.ask(Request::Info, limits::DOCKER_REQUEST, |client| async {
            tokio::try_join!(client.version(), client.info())
        });
        let (version, info) = asked.await?;
        let components: Vec<String> =
            version.components.into_iter().flatten().map(|component| component.name).collect();
        let (kernel, labels) = (info.kernel_version.unwrap_or_default(), info.labels.unwrap_or_default());
        let provider = Provider::of(Said {
            operating_system: info.operating_system.as_deref().unwrap_or_default(),
            name: info.name.as_deref().unwrap_or_default(),
            kernel: &kernel,
            labels: &labels,
            components: &components,
        });
        let architecture = match info.architecture.unwrap_or_default().as_str() {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        };
        // Asked by many, and known from now on; who was first does not matter.
        let _ = self.architecture.set(architecture.clone());
        Ok(About {
            provider,
            clock_ahead: info.system_time.and_then(|clock| ahead(&clock, Timestamp::now())),
            kernel,
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            min_api: version.min_api_version.unwrap_or_default(),
            cgroup: info.cgroup_version.and_then(|version| version.to_string().parse().ok()),
            memory: info.mem_total.and_then(|bytes| bytes.try_into().ok()).filter(|bytes| *bytes > 0),
            root: info.docker_root_dir.unwrap_or_default(),
            architecture,
            rootless: info.security_options.into_iter().flatten().any(|option| option == "name=rootless"),
            has_proxy: [info.http_proxy, info.https_proxy].into_iter().flatten().any(|proxy| !proxy.is_empty()),
        })
    }

    /// The daemon's architecture as Go and images name it, such as `amd64`, asked for once; empty if it does not say.
    ///
    /// # Errors
    /// As [`about`](Self::about).
    pub async fn architecture(&self) -> Result<&str, Error> {
        let asked = self.architecture.get_or_try_init(async || Ok(self.about().await?.architecture));
        asked.await.map(String::as_str)
    }
}

/// How far this clock is ahead of now, in milliseconds.
fn ahead(clock: &str, now: Timestamp) -> Option<i64> {
    Some(clock.parse::<Timestamp>().ok()?.as_millisecond() - now.as_millisecond())
}

/// The failure to connect to a daemon.
fn unusable(failure: Failure, endpoint: &Endpoint, error: Transport) -> Failure {
    let failure = failure.because(innermost(&error));
    let failure = match &endpoint.origin {
        Origin::Variable => failure.hint("DOCKER_HOST chose this address; unset it to use the local daemon"),
        Origin::Context(name) => failure.hint(format!("the Docker context `{name}` chose this address")),
        Origin::Socket => failure,
    };
    let wants_tls =
        matches!(&error, Transport::DockerResponseServerError { message, .. } if message.contains("HTTPS server"));
    let failure = if wants_tls || matches!(error, Transport::UnsupportedURISchemeError { .. }) {
        failure.hint("only unix:// and tcp:// without TLS are supported; run this program on the daemon's own machine")
    } else {
        let remedy = failure.reason.entry().remedy;
        failure.hint(remedy)
    };
    failure.keeping(error)
}

/// The reason that a daemon could not be reached.
fn unreachable(error: &Transport, endpoint: &Endpoint) -> Reason {
    let kind = match error {
        Transport::SocketNotFoundError(_) => Some(ErrorKind::NotFound),
        Transport::UnsupportedURISchemeError { .. } if !endpoint.is_local() => return Reason::DockerRemote,
        Transport::UnsupportedURISchemeError { .. }
        | Transport::URLParseError { .. }
        | Transport::InvalidURIError { .. }
        // The daemon itself said so.
        | Transport::DockerResponseServerError { .. }
        | Transport::DockerStreamError { .. }
        // Something answers, and it is no Docker.
        | Transport::JsonDataError { .. }
        | Transport::JsonSerdeError { .. } => return Reason::Docker,
        Transport::RequestTimeoutError => Some(ErrorKind::TimedOut),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_leads_nowhere_is_passed_over_for_one_that_answers() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let folder = tempfile::tempdir().expect("a folder");
        let socket = |name: &str| {
            let host = format!("unix://{}", folder.path().join(name).display());
            Endpoint { host, origin: Origin::Socket }
        };
        // As an engine leaves it that is gone.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("gone")).expect("a socket"));
        let listener = tokio::net::UnixListener::bind(folder.path().join("answers")).expect("a socket");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await;
            }
        });
        let others = vec![socket("absent"), socket("answers")];
        let docker = Docker::connect_first(socket("gone"), others, None).await.expect("the last");
        assert_eq!(*docker.endpoint(), socket("answers"));
        let failure = Docker::connect_first(socket("gone"), vec![socket("absent")], None).await.expect_err("none");
        assert_eq!((failure.reason, failure.object), (Reason::DockerRefused, Some(socket("gone").host)));
    }

    #[test]
    fn each_way_not_to_reach_a_daemon_is_told_apart() {
        let io = |kind: ErrorKind| Transport::IOError { err: kind.into() };
        let local = Endpoint { host: "unix:///d.sock".into(), origin: Origin::Socket };
        for (error, reason) in [
            (Transport::SocketNotFoundError("/d.sock".into()), Reason::DockerAbsent),
            (io(ErrorKind::NotFound), Reason::DockerAbsent),
            (io(ErrorKind::PermissionDenied), Reason::DockerForbidden),
            (io(ErrorKind::ConnectionRefused), Reason::DockerRefused),
            (io(ErrorKind::HostUnreachable), Reason::DockerRefused),
            (io(ErrorKind::ConnectionReset), Reason::DockerLost),
            (Transport::RequestTimeoutError, Reason::DockerSilent),
            (Transport::UnsupportedURISchemeError { uri: "ssh://d".into() }, Reason::Docker),
        ] {
            assert_eq!(unreachable(&error, &local), reason, "{error:?}");
        }
    }
}
