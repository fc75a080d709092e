//! Containers: list, inspect, logs, files, start, removal.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures::TryStreamExt;

use super::client::{Docker, failed, flowing, is_absent, is_settled, timely};
use super::tar::first_file;
use crate::failure::{Failure, Reason};

/// For one file of a container, in bytes: a kubeconfig has 3 KB.
const ARCHIVE_LIMIT: usize = 1 << 20;

/// What a container is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Up.
    Running,
    /// Ended, and about to be started again by its restart policy.
    Restarting,
    /// Ended.
    Exited,
    /// Frozen, going away or broken.
    #[default]
    Other,
}

/// A port of a container that is published on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The address on the host, such as `127.0.0.1` or `0.0.0.0`.
    pub address: String,
    /// The port on the host.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
}

/// A container as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, without the slash that the API puts before it.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: ContainerState,
    /// Its published ports; only of a running container.
    pub ports: Vec<PublishedPort>,
    /// The named volumes it mounts.
    pub volumes: Vec<String>,
}

/// A container as inspected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// What it is doing.
    pub state: ContainerState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How often its restart policy has started it again.
    pub restarts: u64,
    /// What it exited with the last time.
    pub exit_code: i64,
    /// Whether the kernel killed it for lack of memory the last time.
    pub out_of_memory: bool,
    /// Why the daemon could not start it; mostly empty.
    pub error: String,
    /// When its present life began, or its last; none where it never ran.
    pub started: Option<SystemTime>,
    /// The port bindings it was made with, whether it runs or not.
    pub ports: Vec<PublishedPort>,
    /// What its entrypoint is told.
    pub arguments: Vec<String>,
    /// The id of its image.
    pub image_id: String,
    /// The name of the volume at each mounted path.
    pub mounts: BTreeMap<String, String>,
}

impl Docker {
    /// All containers, running or not, that carry every one of these labels (`key` or `key=value`).
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn containers(&self, labels: &[&str]) -> Result<Vec<Container>, Failure> {
        let filters = if labels.is_empty() { HashMap::new() } else { HashMap::from([("label", labels.to_vec())]) };
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = timely(self.client.list_containers(Some(options))).await;
        Ok(listed
            .map_err(|error| failed("cannot list containers", &error))?
            .into_iter()
            .map(listed_container)
            .collect())
    }

    /// The container of this name, if there is one.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn container(&self, name: &str) -> Result<Option<Inspected>, Failure> {
        match timely(self.client.inspect_container(name, None::<InspectContainerOptions>)).await {
            Ok(found) => Ok(Some(inspected(found))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("cannot inspect a container", &error).on(format!("container {name}"))),
        }
    }

    /// The last lines of a container's output.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn logs(&self, name: &str, tail: usize) -> Result<Vec<String>, Failure> {
        self.logs_since(name, tail, SystemTime::UNIX_EPOCH).await
    }

    /// The last lines of a container's output, of those written at this time or later.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn logs_since(&self, name: &str, tail: usize, since: SystemTime) -> Result<Vec<String>, Failure> {
        let seconds = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(seconds).unwrap_or(0))
            .tail(&tail.to_string())
            .build();
        let mut text = Vec::new();
        let mut stream = std::pin::pin!(flowing(self.client.logs(name, Some(options))));
        while let Some(chunk) = stream
            .try_next()
            .await
            .map_err(|error| failed("cannot read a container's log", &error).on(format!("container {name}")))?
        {
            text.extend_from_slice(chunk.as_ref());
        }
        Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| written(line, since)).map(str::to_owned).collect())
    }

    /// A file inside a container, running or not, if both are there.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn read_file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut archive = Vec::new();
        let mut stream = std::pin::pin!(flowing(self.client.download_from_container(name, Some(options))));
        loop {
            match stream.try_next().await {
                Ok(Some(chunk)) if archive.len() + chunk.len() > ARCHIVE_LIMIT => {
                    return Err(Failure::new(Reason::Docker, "cannot read a file in a container")
                        .on(format!("{name}:{path}"))
                        .because(format!("it is larger than {} MiB", ARCHIVE_LIMIT >> 20)));
                }
                Ok(Some(chunk)) => archive.extend_from_slice(&chunk),
                Ok(None) => return Ok(first_file(&archive).map(<[u8]>::to_vec)),
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => {
                    return Err(failed("cannot read a file in a container", &error).on(format!("{name}:{path}")));
                }
            }
        }
    }

    /// Starts a container; that it runs already is as good.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn start_container(&self, name: &str) -> Result<(), Failure> {
        match timely(self.client.start_container(name, None::<StartContainerOptions>)).await {
            Err(error) if !is_settled(&error) || is_absent(&error) => {
                Err(failed("cannot start a container", &error).on(format!("container {name}")))
            }
            _ => Ok(()),
        }
    }

    /// Kills and removes a container with its anonymous volumes; that it is gone or going is as good.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn remove_container(&self, name: &str) -> Result<(), Failure> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match timely(self.client.remove_container(name, Some(options))).await {
            Err(error) if !is_settled(&error) => {
                Err(failed("cannot remove a container", &error).on(format!("container {name}")))
            }
            _ => Ok(()),
        }
    }
}

fn state(word: &str) -> ContainerState {
    match word {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running,
        "restarting" => ContainerState::Restarting,
        "exited" => ContainerState::Exited,
        _ => ContainerState::Other,
    }
}

fn listed_container(container: ContainerSummary) -> Container {
    let names = container.names.unwrap_or_default();
    let ports = container.ports.unwrap_or_default().into_iter().filter_map(|port| {
        Some(PublishedPort {
            address: port.ip.unwrap_or_default(),
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
            let container = container.split('/').next().and_then(|port| port.parse().ok());
            bindings.unwrap_or_default().into_iter().filter_map(move |binding| {
                Some(PublishedPort {
                    address: binding.host_ip.unwrap_or_default(),
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
        started: status.started_at.and_then(|at| humantime::parse_rfc3339(&at.to_string()).ok()),
        ports,
        image_id: found.image.unwrap_or_default(),
        mounts: mounts.filter_map(|mount| Some((mount.destination?, mount.name?))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::written;

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
