//! Containers: list, inspect, logs, files, start, removal.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::time::{Duration, SystemTime};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerUpdateBody, PortBinding,
    PortSummaryTypeEnum, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};

use super::client::Docker;
use super::error::{Error, Kind, Request};
use super::kept::Size;
use crate::deadline::Deadline;
use crate::limits;

const PAUSE: Duration = Duration::from_millis(200);
/// Largest file that is read from a container, in bytes: a kubeconfig has 3 KB.
const FILE_SIZE: usize = 1 << 20;
/// Largest log tail, in bytes: 200 lines of k3s have 60 KB.
const LOG_SIZE: usize = 1 << 20;

/// The address that sandboxes publish ports on.
pub(crate) const LOOPBACK: &str = "127.0.0.1";
/// The share of the processors that a container has by default.
const CPU_SHARES: i64 = 1024;

/// The state of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Created and never started.
    Created,
    /// Running.
    Running,
    /// Exited, and waiting for its restart policy to start it again.
    Restarting,
    /// Exited.
    Exited,
    /// Frozen by the cgroup freezer.
    Paused,
    /// Being removed, or dead.
    #[default]
    Other,
}

/// The protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP or SCTP.
    Other,
}

/// A port of a container that is published on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The address on the host, such as `127.0.0.1`; empty, like `0.0.0.0`, for all of them.
    pub address: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// The port on the host.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
}

impl PublishedPort {
    /// A port of a container that is published on the loopback address, and nowhere else.
    #[must_use]
    pub fn on_loopback(host: u16, container: u16) -> Self {
        Self { address: LOOPBACK.to_owned(), protocol: Protocol::Tcp, host, container }
    }
}

/// The ports that a new container exposes, and where each is published.
pub(super) fn bindings(ports: &[PublishedPort]) -> (Vec<String>, HashMap<String, Option<Vec<PortBinding>>>) {
    let exposed = |port: &PublishedPort| format!("{}/tcp", port.container);
    let binding = |port: &PublishedPort| {
        let binding = PortBinding { host_ip: Some(port.address.clone()), host_port: Some(port.host.to_string()) };
        (exposed(port), Some(vec![binding]))
    };
    (ports.iter().map(exposed).collect(), ports.iter().map(binding).collect())
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, without the slash that the API puts before it.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: ContainerState,
    /// Its published ports; only of a running container.
    pub ports: Vec<PublishedPort>,
    /// The named volumes it mounts.
    pub volumes: Vec<String>,
}

/// The details of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Its state.
    pub state: ContainerState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Number of restarts by its restart policy.
    pub restarts: u64,
    /// Exit code of its last run.
    pub exit_code: i64,
    /// Whether its last run was killed for lack of memory.
    pub out_of_memory: bool,
    /// The daemon's error when it could not start it; mostly empty.
    pub error: String,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// Start of its current or last run; none if it never ran.
    pub started: Option<SystemTime>,
    /// The port bindings it was made with, whether it runs or not.
    pub ports: Vec<PublishedPort>,
    /// Arguments of its entrypoint.
    pub arguments: Vec<String>,
    /// The name of the image that it was made from.
    pub image: String,
    /// The id of its image.
    pub image_id: String,
    /// The name of the volume at each mounted path.
    pub mounts: BTreeMap<String, String>,
}

impl Docker {
    /// Creates a container without starting it. Its image is never pulled.
    pub(super) async fn create_container(&self, name: &str, body: ContainerCreateBody) -> Result<(), Error> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let request = Request::Create(Kind::Container, name.to_owned());
        let made = self.ask(request, limits::DOCKER_REQUEST, |client| client.create_container(Some(options), body));
        made.await.map(|_| ())
    }

    /// All containers, running or not, that carry every one of these labels (`key` or `key=value`).
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn containers(&self, labels: &[&str]) -> Result<Vec<Container>, Error> {
        let filters = if labels.is_empty() { HashMap::new() } else { HashMap::from([("label", labels.to_vec())]) };
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let request = Request::List(Kind::Container);
        let listed = self.ask(request, limits::DOCKER_REQUEST, |client| client.list_containers(Some(options))).await?;
        Ok(listed.into_iter().map(listed_container).collect())
    }

    /// The container of this name, if there is one.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn container(&self, name: &str) -> Result<Option<Inspected>, Error> {
        let request = Request::Inspect(Kind::Container, name.to_owned());
        let options = None::<InspectContainerOptions>;
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_container(name, options)).await {
            Ok(found) => Ok(Some(inspected(found))),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last lines of a container's output.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn logs(&self, name: &str, tail: usize) -> Result<Vec<String>, Error> {
        self.logs_since(name, tail, SystemTime::UNIX_EPOCH).await
    }

    /// The last lines of a container's output, of those written at this time or later, 1 MiB of them at most.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn logs_since(&self, name: &str, tail: usize, since: SystemTime) -> Result<Vec<String>, Error> {
        let seconds = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(seconds).unwrap_or(0))
            .tail(&tail.to_string())
            .build();
        let request = Request::Log(name.to_owned());
        let text = self.bytes(request, Size::End(LOG_SIZE), |client| client.logs(name, Some(options))).await?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| written(line, since)).map(str::to_owned).collect())
    }

    /// A file inside a container, running or not, if both are there.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also for one of more than 1 MiB.
    pub async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let request = Request::File { container: name.to_owned(), path: path.to_owned() };
        let archive =
            self.bytes(request, Size::Whole(FILE_SIZE), |client| client.download_from_container(name, Some(options)));
        match archive.await {
            Ok(archive) => Ok(first_file(&archive)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a container, unless it runs already.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn start_container(&self, name: &str) -> Result<(), Error> {
        let options = None::<StartContainerOptions>;
        let request = Request::Start(name.to_owned());
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.start_container(name, options)).await {
            Err(error) if !error.is_settled() || error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// Kills the processes of a running container. Its restart policy leaves it stopped.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn kill_container(&self, name: &str) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        let request = Request::Kill(name.to_owned());
        self.ask(request, limits::DOCKER_REQUEST, |client| client.kill_container(name, Some(options))).await
    }

    /// Freezes all processes of a running container; they keep their memory. On a busy machine the runtime may not catch those
    /// that others start meanwhile, and gives up: it is asked again.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn pause_container(&self, name: &str) -> Result<(), Error> {
        let patience = Deadline::fixed(limits::DOCKER_FREEZE);
        loop {
            let request = Request::Pause(name.to_owned());
            match self.ask(request, limits::DOCKER_REQUEST, |client| client.pause_container(name)).await {
                Err(error) if error.is_unfrozen() && !patience.has_passed() => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
    }

    /// Lets a frozen container run on.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn unpause_container(&self, name: &str) -> Result<(), Error> {
        let request = Request::Unpause(name.to_owned());
        self.ask(request, limits::DOCKER_REQUEST, |client| client.unpause_container(name)).await
    }

    /// Gives a container the usual share of the processors, and has the daemon restart it.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn make_usual(&self, name: &str) -> Result<(), Error> {
        let request = Request::Update(name.to_owned());
        let restarted = RestartPolicy { name: Some(RestartPolicyNameEnum::UNLESS_STOPPED), maximum_retry_count: None };
        let body = ContainerUpdateBody {
            cpu_shares: Some(CPU_SHARES),
            restart_policy: Some(restarted),
            ..ContainerUpdateBody::default()
        };
        self.ask(request, limits::DOCKER_REQUEST, |client| client.update_container(name, body)).await
    }

    /// Kills and removes a container with its anonymous volumes, unless it is gone or being removed.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn remove_container(&self, name: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let request = Request::Remove(Kind::Container, name.to_owned());
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.remove_container(name, Some(options))).await {
            Err(error) if !error.is_settled() => Err(error),
            _ => Ok(()),
        }
    }
}

/// The content of the first file of an archive: the archive API wraps a single file so.
fn first_file(archive: &[u8]) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut file = archive.entries().ok()?.flatten().find(|entry| entry.header().entry_type().is_file())?;
    let mut content = Vec::new();
    // An entry says itself how large it is, and may say so wrongly.
    file.read_to_end(&mut content).ok()?;
    (content.len() as u64 == file.size()).then_some(content)
}

fn state(word: &str) -> ContainerState {
    match word {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running,
        "restarting" => ContainerState::Restarting,
        "exited" => ContainerState::Exited,
        "paused" => ContainerState::Paused,
        _ => ContainerState::Other,
    }
}

fn listed_container(container: ContainerSummary) -> Container {
    let names = container.names.unwrap_or_default();
    let ports = container.ports.unwrap_or_default().into_iter().filter_map(|port| {
        Some(PublishedPort {
            address: port.ip.unwrap_or_default(),
            protocol: match port.typ {
                Some(PortSummaryTypeEnum::UDP | PortSummaryTypeEnum::SCTP) => Protocol::Other,
                _ => Protocol::Tcp,
            },
            host: port.public_port?,
            container: port.private_port,
        })
    });
    let mounts = container.mounts.unwrap_or_default();
    Container {
        id: container.id.unwrap_or_default(),
        name: names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        labels: container.labels.unwrap_or_default().into_iter().collect(),
        state: container.state.map_or(ContainerState::Other, |word| state(word.as_ref())),
        ports: ports.collect(),
        volumes: mounts.into_iter().filter_map(|mount| mount.name).collect(),
    }
}

/// A line without the time that the daemon puts before it, if it was written at this time or later. The daemon itself
/// counts in whole seconds.
fn written(line: &str, since: SystemTime) -> Option<&str> {
    let Some((stamp, text)) = line.split_once(' ') else { return Some(line) };
    match humantime::parse_rfc3339(stamp) {
        Ok(at) if at < since => None,
        Ok(_) => Some(text),
        Err(_) => Some(line),
    }
}

fn inspected(found: ContainerInspectResponse) -> Inspected {
    let status = found.state.unwrap_or_default();
    let bindings = found.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
    let mut ports: Vec<PublishedPort> = bindings
        .into_iter()
        .flat_map(|(container, bindings)| {
            let (port, protocol) = container.split_once('/').unwrap_or((&container, "tcp"));
            let container = port.parse().ok();
            let protocol = if protocol == "tcp" { Protocol::Tcp } else { Protocol::Other };
            bindings.unwrap_or_default().into_iter().filter_map(move |binding| {
                Some(PublishedPort {
                    address: binding.host_ip.unwrap_or_default(),
                    protocol,
                    host: binding.host_port?.parse().ok()?,
                    container: container?,
                })
            })
        })
        .collect();
    ports.sort_by_key(|port| (port.container, port.host));
    let mounts = found.mounts.unwrap_or_default().into_iter();
    let config = found.config.unwrap_or_default();
    Inspected {
        state: status.status.map_or(ContainerState::Other, |word| state(word.as_ref())),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        arguments: config.cmd.unwrap_or_default(),
        restarts: found.restart_count.and_then(|count| count.try_into().ok()).unwrap_or(0),
        exit_code: status.exit_code.unwrap_or(0),
        out_of_memory: status.oom_killed.unwrap_or(false),
        error: status.error.unwrap_or_default(),
        created: found.created.and_then(|at| humantime::parse_rfc3339(&at.to_string()).ok()),
        started: status.started_at.and_then(|at| humantime::parse_rfc3339(&at.to_string()).ok()),
        ports,
        image: config.image.unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        mounts: mounts.filter_map(|mount| Some((mount.destination?, mount.name?))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{first_file, written};

    fn archive(entries: &[(tar::EntryType, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, "kubeconfig.yaml", content.as_bytes()).expect("an entry");
        }
        archive.into_inner().expect("an archive")
    }

    #[test]
    fn the_file_behind_an_extended_header_is_found() {
        let extended = (tar::EntryType::XHeader, "21 path=kubeconfig.ya\n");
        let whole = archive(&[extended, (tar::EntryType::Regular, "apiVersion: v1")]);
        assert_eq!(first_file(&whole).as_deref(), Some(&b"apiVersion: v1"[..]));
        assert_eq!(first_file(&whole[..1024 + 512 + 4]), None, "half a file is none");
        assert_eq!(first_file(&archive(&[(tar::EntryType::Directory, "")])), None);
    }

    proptest::proptest! {
        #[test]
        fn no_archive_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2048)) {
            let found = first_file(&bytes);
            proptest::prop_assert!(found.is_none_or(|file| file.len() <= bytes.len()));
        }
    }

    #[test]
    fn what_an_earlier_life_wrote_within_the_same_second_is_left_out() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        for (line, kept) in [
            ("1970-01-01T00:00:01.499999999Z level=fatal", None),
            ("1970-01-01T00:00:01.500000000Z level=info msg=\"a b\"", Some("level=info msg=\"a b\"")),
            ("1970-01-01T00:00:02Z ", Some("")),
            ("a daemon that gives no time", Some("a daemon that gives no time")),
            ("", Some("")),
        ] {
            assert_eq!(written(line, since), kept, "{line:?}");
        }
    }
}
