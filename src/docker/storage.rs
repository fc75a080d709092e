//! Volumes and networks.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::client::Docker;
use super::error::{Error, Kind, Request};
use crate::limits;

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, RFC 3339; empty where the daemon does not say.
    pub created: String,
    /// Where its files are, on the daemon's machine.
    pub mountpoint: String,
}

impl From<bollard::models::Volume> for Volume {
    fn from(volume: bollard::models::Volume) -> Self {
        Self {
            name: volume.name,
            labels: volume.labels.into_iter().collect(),
            created: volume.created_at.map(|at| at.to_string()).unwrap_or_default(),
            mountpoint: volume.mountpoint,
        }
    }
}

impl Volume {
    /// Whether the daemon has its name, and its folder is gone.
    #[must_use]
    pub fn lacks_files(&self) -> bool {
        // The time of its making is that of the folder.
        self.created.starts_with("0001-01-01")
    }

    /// How long ago it was made; none where the daemon does not say.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(humantime::parse_rfc3339(&self.created).ok()?).ok()
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its id; names need not be unique.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The host's own address in it, where the daemon says.
    pub gateway: Option<String>,
}

impl Docker {
    /// The volumes that carry this label (`key` or `key=value`).
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn volumes(&self, label: &str) -> Result<Vec<Volume>, Error> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let request = Request::List(Kind::Volume);
        let listed = self.ask(request, limits::DOCKER_REQUEST, |client| client.list_volumes(Some(options))).await?;
        Ok(listed.volumes.unwrap_or_default().into_iter().map(Volume::from).collect())
    }

    /// The volume of this name, if there is one.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, Error> {
        let request = Request::Inspect(Kind::Volume, name.to_owned());
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_volume(name)).await {
            Ok(found) => Ok(Some(found.into())),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a volume, unless there is one of this name.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn create_volume(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        let request = Request::Create(Kind::Volume, name.to_owned());
        self.ask(request, limits::DOCKER_REQUEST, |client| client.create_volume(body)).await.map(|_| ())
    }

    /// Removes a volume, if there is one of this name.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let request = Request::Remove(Kind::Volume, name.to_owned());
        let options = None::<RemoveVolumeOptions>;
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.remove_volume(name, options)).await {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// The networks of exactly this name.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn networks(&self, name: &str) -> Result<Vec<Network>, Error> {
        let filters = HashMap::from([("name", vec![name])]);
        let options = bollard::query_parameters::ListNetworksOptionsBuilder::default().filters(&filters).build();
        let request = Request::List(Kind::Network);
        let listed = self.ask(request, limits::DOCKER_REQUEST, |client| client.list_networks(Some(options))).await?;
        let gateway = |network: &bollard::models::Network| {
            let configs = network.ipam.as_ref()?.config.as_ref()?;
            configs.iter().filter_map(|config| config.gateway.clone()).find(|address| !address.contains(':'))
        };
        let network = |network: bollard::models::Network| Network {
            gateway: gateway(&network),
            name: network.name.unwrap_or_default(),
            id: network.id.unwrap_or_default(),
            labels: network.labels.unwrap_or_default().into_iter().collect(),
        };
        // The daemon's filter matches parts of names.
        Ok(listed.into_iter().map(network).filter(|network| network.name == name).collect())
    }

    /// Creates a bridge network.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn create_network(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        let request = Request::Create(Kind::Network, name.to_owned());
        self.ask(request, limits::DOCKER_REQUEST, |client| client.create_network(body)).await.map(|_| ())
    }

    /// Removes a network by its id, if it still exists.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when a container is attached to it.
    pub async fn remove_network(&self, network: &Network) -> Result<(), Error> {
        let request = Request::Remove(Kind::Network, network.name.clone());
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.remove_network(&network.id)).await {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }
}
