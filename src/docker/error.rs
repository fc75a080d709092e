//! A request that the Docker daemon did not fulfil.

use std::fmt;
use std::io;
use std::time::Duration;

use bollard::errors::Error as Transport;

use crate::failure::{Failure, Reason, find};
use crate::reason::Speaker;

/// A kind of object that the daemon has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// A request to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What the daemon says about itself.
    Info,
    /// What happened.
    Events,
    /// All objects of a kind, by label or name.
    List(Kind),
    /// One object, by name or id.
    Inspect(Kind, String),
    /// A new object of this name.
    Create(Kind, String),
    /// The end of an object, by name or id.
    Remove(Kind, String),
    /// The start of a container.
    Start(String),
    /// The end of a container's command.
    Wait(String),
    /// The end of a container's processes.
    Kill(String),
    /// A container frozen.
    Pause(String),
    /// A frozen container running on.
    Unpause(String),
    /// A container's settings changed.
    Update(String),
    /// A container's output.
    Log(String),
    /// What a container uses of the machine.
    Usage(String),
    /// A file inside a container.
    File {
        /// The container.
        container: String,
        /// Where it is in it.
        path: String,
    },
    /// A command inside a container.
    Exec {
        /// The container.
        container: String,
        /// The command and its arguments.
        command: String,
    },
    /// Another name for an image.
    Tag(String),
    /// An image from its registry.
    Pull(String),
    /// An archive of images out of the daemon.
    Save,
    /// An archive of images into the daemon.
    Load,
}

/// Why the daemon did not fulfil a request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It refused.
    #[error("{message} (status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// It broke off an answer that it had begun, with these words.
    #[error("{0}")]
    Aborted(String),
    /// No answer came within this time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// An answer began, and nothing more of it came for this time.
    #[error("nothing came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The answer has more than so many bytes.
    #[error("it is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// It ran a command and does not hand over what that writes.
    #[error("the daemon did not attach to the command")]
    Detached,
    /// It was not reached, or what came is no answer.
    #[error(transparent)]
    Transport(Transport),
}

/// A request that the Docker daemon did not fulfil, and why.
#[derive(Debug, thiserror::Error)]
#[error("{request}")]
pub struct Error {
    /// What was asked for.
    pub request: Request,
    /// Why it was not fulfilled.
    #[source]
    pub cause: Cause,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        })
    }
}

impl fmt::Display for Request {
    /// What could not be done, such as `cannot list containers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = |kind: &Kind| if *kind == Kind::Image { "an" } else { "a" };
        match self {
            Self::Info => f.write_str("cannot ask Docker about itself"),
            Self::Events => f.write_str("cannot ask for what happened on Docker"),
            Self::List(kind) => write!(f, "cannot list {kind}s"),
            Self::Inspect(kind, _) => write!(f, "cannot inspect {} {kind}", article(kind)),
            Self::Create(kind, _) => write!(f, "cannot create {} {kind}", article(kind)),
            Self::Remove(kind, _) => write!(f, "cannot remove {} {kind}", article(kind)),
            Self::Start(_) => f.write_str("cannot start a container"),
            Self::Wait(_) => f.write_str("a container's command failed"),
            Self::Kill(_) => f.write_str("cannot kill a container"),
            Self::Pause(_) => f.write_str("cannot freeze a container"),
            Self::Unpause(_) => f.write_str("cannot thaw a container"),
            Self::Update(_) => f.write_str("cannot change a container's settings"),
            Self::Log(_) => f.write_str("cannot read a container's log"),
            Self::Usage(_) => f.write_str("cannot read a container's memory"),
            Self::File { .. } => f.write_str("cannot read a file in a container"),
            Self::Exec { container, command } => write!(f, "cannot run `{command}` in {container}"),
            Self::Tag(_) => f.write_str("cannot tag an image"),
            Self::Pull(_) => f.write_str("cannot pull an image"),
            Self::Save => f.write_str("cannot save images out of Docker"),
            Self::Load => f.write_str("cannot load images into Docker"),
        }
    }
}

impl Request {
    /// The object that it is about, if it is about one.
    fn object(&self) -> Option<String> {
        match self {
            Self::Inspect(kind, name) | Self::Create(kind, name) | Self::Remove(kind, name) => {
                Some(format!("{kind} {name}"))
            }
            Self::Start(name)
            | Self::Wait(name)
            | Self::Kill(name)
            | Self::Pause(name)
            | Self::Unpause(name)
            | Self::Update(name)
            | Self::Log(name)
            | Self::Usage(name) => Some(format!("container {name}")),
            Self::File { container, path } => Some(format!("{container}:{path}")),
            Self::Tag(image) | Self::Pull(image) => Some(format!("image {image}")),
            Self::Info | Self::Events | Self::List(_) | Self::Exec { .. } | Self::Save | Self::Load => None,
        }
    }
}

impl Error {
    /// A request that failed on the way or at the daemon; `limit` is what it had.
    pub(super) fn new(request: Request, error: Transport, limit: Duration) -> Self {
        let cause = match error {
            Transport::DockerResponseServerError { status_code, message } => {
                Cause::Refused { status: status_code, message: message.trim().to_owned() }
            }
            Transport::DockerStreamError { error } => Cause::Aborted(error.trim().to_owned()),
            Transport::RequestTimeoutError => Cause::Silent(limit),
            error => Cause::Transport(error),
        };
        Self { request, cause }
    }

    /// Whether what was asked for happens inside a container, and so depends on its life.
    #[must_use]
    pub const fn is_inside_container(&self) -> bool {
        matches!(self.request, Request::Exec { .. } | Request::File { .. })
    }

    /// The port of the host that the daemon could not publish because somebody has it.
    #[must_use]
    pub fn taken_port(&self) -> Option<u16> {
        let Cause::Refused { message, .. } = &self.cause else { return None };
        // `Bind for 127.0.0.1:80 failed: port is …`, `listen tcp4 127.0.0.1:80: bind: address already in use`.
        let (before, _) = [" failed: port is already", ": bind: address already in use"]
            .iter()
            .find_map(|known| message.split_once(known))?;
        before.rsplit_once(':')?.1.parse().ok()
    }

    /// Whether the time for an answer was over.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::Silent(_) | Cause::Stalled(_))
    }

    /// Whether the daemon ended, or the way to it did.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(&self.cause, Cause::Transport(error) if is_lost(error))
    }

    /// Whether the daemon said that there is no such object.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self.cause, Cause::Refused { status: 404, .. })
    }

    /// Whether the runtime did not catch all processes of a container that it was to freeze (runc 1.1,
    /// `libcontainer/cgroups/fs/freezer.go`); it lets all of them run on then.
    pub(super) fn is_unfrozen(&self) -> bool {
        matches!(&self.cause, Cause::Refused { message, .. } if message.contains("unable to freeze"))
    }

    /// Whether the daemon said that what is asked for is so already, or is being done by somebody else.
    pub(super) fn is_settled(&self) -> bool {
        match &self.cause {
            Cause::Refused { status: 304 | 404, .. } => true,
            Cause::Refused { status: 409, message } => message.contains("already in progress"),
            _ => false,
        }
    }

    /// Why it failed. The daemon was there before: that the way to it is gone means that it ended.
    fn reason(&self) -> Reason {
        match (&self.request, &self.cause) {
            (Request::Create(Kind::Container, _), Cause::Refused { status: 404, .. }) => Reason::ImagesMissing,
            (Request::Pull(_), Cause::Stalled(_) | Cause::Silent(_)) => Reason::PullTimeout,
            (_, Cause::Silent(_) | Cause::Stalled(_)) => Reason::DockerSilent,
            _ if self.is_lost() => Reason::DockerLost,
            _ => Reason::Docker,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::new(error.reason(), error.request.to_string()).because_of(&error.cause);
        let failure = match error.request.object() {
            Some(object) => failure.on(object),
            None => failure,
        };
        let says = matches!(error.cause, Cause::Refused { .. } | Cause::Aborted(_));
        let failure =
            if says && failure.reason == Reason::Docker { failure.recognised(Speaker::Docker) } else { failure };
        // The daemon hands on what a registry said.
        let from_registry = says && failure.reason == Reason::Docker && matches!(error.request, Request::Pull(_));
        let failure = if from_registry { failure.recognised(Speaker::Registry) } else { failure };
        failure.keeping(error)
    }
}

fn is_lost(error: &Transport) -> bool {
    matches!(
        error,
        Transport::SocketNotFoundError(_) | Transport::HyperResponseError { .. } | Transport::HyperLegacyError { .. }
    ) || io_kind(error).is_some()
}

/// The kind of the first error of the operating system's among an error's sources.
pub(super) fn io_kind(error: &Transport) -> Option<io::ErrorKind> {
    // It does not name itself among its sources.
    if let Transport::IOError { err } = error {
        return Some(err.kind());
    }
    find::<io::Error>(error).map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(request: Request, status: u16, message: &str) -> Error {
        Error { request, cause: Cause::Refused { status, message: message.to_owned() } }
    }

    #[test]
    fn a_failure_of_the_daemons_is_still_known_by_what_was_asked_for() {
        let exec = Request::Exec { container: "node".into(), command: "true".into() };
        let failure = Failure::from(refused(exec, 409, "container node is not running"));
        assert_eq!(failure.to_string(), "cannot run `true` in node: container node is not running (status 409)");
        assert!(failure.source_as::<Error>().is_some_and(Error::is_inside_container));
        let failure = Failure::from(refused(Request::List(Kind::Volume), 500, "no"));
        assert!(failure.source_as::<Error>().is_some_and(|error| !error.is_inside_container()));
    }

    #[test]
    fn the_port_that_is_taken_is_read_from_the_daemons_words_and_no_other_number() {
        let start = || Request::Start("node".to_owned());
        for (words, port) in [
            ("driver failed: Bind for 127.0.0.1:31081 failed: port is already allocated", Some(31081)),
            ("Error starting proxy: listen tcp4 127.0.0.1:6550: bind: address already in use", Some(6550)),
            ("listen tcp6 [::1]:80: bind: address already in use", Some(80)),
            ("container 31081 is unhappy", None),
        ] {
            assert_eq!(refused(start(), 500, words).taken_port(), port, "{words}");
        }
        assert_eq!(Error { request: start(), cause: Cause::Silent(Duration::ZERO) }.taken_port(), None);
    }

    #[test]
    fn each_way_to_lose_a_daemon_has_its_reason() {
        let io = |kind: io::ErrorKind| Transport::IOError { err: kind.into() };
        let limit = Duration::from_secs(30);
        for (error, reason) in [
            (Transport::SocketNotFoundError("/d.sock".into()), Reason::DockerLost),
            (io(io::ErrorKind::NotFound), Reason::DockerLost),
            (io(io::ErrorKind::ConnectionRefused), Reason::DockerLost),
            (Transport::RequestTimeoutError, Reason::DockerSilent),
            (Transport::UnsupportedURISchemeError { uri: "ssh://d".into() }, Reason::Docker),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(Failure::from(Error::new(Request::Info, error, limit)).reason, reason, "{shown}");
        }
    }

    #[test]
    fn what_a_registry_said_through_the_daemon_is_recognised() {
        let denied = refused(Request::Pull("a:1".into()), 404, "pull access denied for a");
        assert_eq!(Failure::from(denied).reason, Reason::RegistryDenied);
        let stalled = Error { request: Request::Pull("a:1".into()), cause: Cause::Stalled(Duration::from_secs(60)) };
        assert_eq!(Failure::from(stalled).reason, Reason::PullTimeout);
    }
}
