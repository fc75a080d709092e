//! The connection, and what the daemon says about itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;

use super::endpoint::{Endpoint, Origin, sockets};
use crate::failure::{Failure, Reason};

/// A daemon that is up answers within milliseconds; one that does not within this time is not up.
const ANSWER: Duration = Duration::from_secs(2);

/// A connection to a Docker daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) client: bollard::Docker,
    endpoint: Endpoint,
}

/// What a daemon says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Such as `20.10.24`.
    pub version: String,
    /// The newest API version it speaks, such as `1.41`.
    pub api: String,
    /// The oldest API version it speaks.
    pub min_api: String,
    /// 1 or 2; 0 where it does not say.
    pub cgroup: u8,
    /// The host's memory in bytes.
    pub memory: u64,
    /// Processors.
    pub cpus: u64,
    /// Where it keeps images and volumes, on its own machine.
    pub root: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
}

impl Docker {
    /// Connects to the daemon that the environment chooses, see [`Endpoint::find`].
    ///
    /// # Errors
    /// [`Reason::Docker`] with the ways to get a daemon running, and the other sockets there are.
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
    /// [`Reason::Docker`] when it does not answer within two seconds.
    pub async fn connect_to(endpoint: Endpoint) -> Result<Self, Failure> {
        let failure = |endpoint: &Endpoint| Failure::new(Reason::Docker, "Docker does not answer").on(&endpoint.host);
        let client = bollard::Docker::connect_with_host(&endpoint.host)
            .map_err(|error| unusable(failure(&endpoint), &endpoint, &error))?;
        match tokio::time::timeout(ANSWER, client.version()).await {
            Ok(Ok(_)) => Ok(Self { client, endpoint }),
            Ok(Err(error)) => Err(unusable(failure(&endpoint), &endpoint, &error)),
            Err(_) => Err(failure(&endpoint)
                .because(format!("no answer within {} s", ANSWER.as_secs()))
                .hint("`docker version` should answer at once; restart Docker if it does not")),
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
        let (version, info) = tokio::try_join!(self.client.version(), self.client.info())
            .map_err(|error| failed("cannot ask Docker about itself", &error))?;
        Ok(About {
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            min_api: version.min_api_version.unwrap_or_default(),
            cgroup: info.cgroup_version.and_then(|version| version.to_string().parse().ok()).unwrap_or(0),
            memory: info.mem_total.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
            cpus: info.ncpu.and_then(|count| count.try_into().ok()).unwrap_or(0),
            root: info.docker_root_dir.unwrap_or_default(),
            system: info.operating_system.unwrap_or_default(),
        })
    }
}

fn unusable(failure: Failure, endpoint: &Endpoint, error: &Error) -> Failure {
    let failure = match &endpoint.origin {
        Origin::Variable => failure.hint("DOCKER_HOST chose this address; unset it to use the local daemon"),
        Origin::Context(name) => failure.hint(format!("the Docker context `{name}` chose this address")),
        Origin::Socket => failure,
    };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    let failure = failure.because(&text);
    if text.contains("ermission denied") {
        failure.hint("join the group that may use it: `sudo usermod -aG docker $USER`, then log in again")
    } else if matches!(error, Error::UnsupportedURISchemeError { .. }) {
        failure.hint("only unix:// and tcp:// without TLS are supported; run this program on the daemon's own machine")
    } else {
        failure.hint("start it: `sudo systemctl start docker`, or open Docker Desktop, Colima or OrbStack")
    }
}

/// A call to the daemon that failed.
pub(super) fn failed(what: &str, error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            Failure::new(Reason::Docker, what).because(format!("{} (status {status_code})", message.trim()))
        }
        Error::DockerStreamError { error } => Failure::new(Reason::Docker, what).because(error.trim()),
        error => Failure::new(Reason::Docker, what).caused_by(error),
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
