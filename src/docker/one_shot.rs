//! A container that runs one command on some volumes, and is removed.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::WaitContainerOptions;
use futures::StreamExt;

use super::client::Docker;
use super::container::{ContainerState, Inspected};
use super::error::{Cause, Error, Request};
use crate::limits;
use crate::manifest::ImageRef;

/// Lines of the command's output that are kept.
const LINES: usize = 20;

/// A container without a network that runs one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneShot {
    /// Its name.
    pub name: String,
    /// Its image, which the daemon must have.
    pub image: ImageRef,
    /// The command, in place of its image's entrypoint.
    pub command: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The volume at each path, and whether it may be written. One that is not there is made with the container's labels.
    pub mounts: Vec<(String, &'static str, bool)>,
    /// Whether it may do what root may.
    pub privileged: bool,
}

impl OneShot {
    fn request(&self) -> ContainerCreateBody {
        let labels: HashMap<_, _> = self.labels.clone().into_iter().collect();
        // Where a run is stopped, the daemon may still make a volume that the run has removed.
        let volume = MountVolumeOptions { labels: Some(labels.clone()), ..MountVolumeOptions::default() };
        let mount = |(source, target, writable): &(String, &str, bool)| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(source.clone()),
            target: Some((*target).to_owned()),
            read_only: Some(!writable),
            volume_options: Some(volume.clone()),
            ..Mount::default()
        };
        ContainerCreateBody {
            image: Some(self.image.to_string()),
            entrypoint: Some(self.command.clone()),
            cmd: Some(Vec::new()),
            labels: Some(labels),
            host_config: Some(HostConfig {
                mounts: Some(self.mounts.iter().map(mount).collect()),
                network_mode: Some("none".to_owned()),
                privileged: Some(self.privileged),
                // Files keep their owners, as in a node, where the daemon maps users.
                userns_mode: Some("host".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Docker {
    /// Creates the container without starting it; one of its name that an earlier run left is removed first.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker)
    pub async fn create_one_shot(&self, container: &OneShot) -> Result<(), Error> {
        self.remove_container(&container.name).await?;
        self.create_container(&container.name, container.request()).await
    }

    /// Starts a container and waits until its command has ended. The end of its output.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also where the command fails, with the end of its output.
    pub async fn run_to_end(&self, name: &str) -> Result<Vec<String>, Error> {
        self.start_container(name).await?;
        let request = Request::Wait(name.to_owned());
        let options = None::<WaitContainerOptions>;
        let mut ends = self.stream(request.clone(), limits::VOLUME_COPY, |client| client.wait_container(name, options));
        // An exit code above 0 is an error of the client's, and said by the container itself, too.
        let waited = ends.next().await;
        let (ended, lines) = tokio::try_join!(self.container(name), self.logs(name, LINES))?;
        match (ended, waited) {
            (Some(Inspected { state: ContainerState::Exited, exit_code: 0, .. }), _) => Ok(lines),
            (Some(Inspected { state: ContainerState::Exited, exit_code, .. }), _) => {
                let message = lines.last().cloned().unwrap_or_else(|| format!("exit code {exit_code}"));
                Err(Error { request, cause: Cause::Aborted(message) })
            }
            (_, Some(Err(error))) => Err(error),
            (..) => Err(Error { request, cause: Cause::Aborted("the container is gone".to_owned()) }),
        }
    }
}
