//! Volumes and networks.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::client::{Docker, failed, is_absent, timely};
use crate::failure::Failure;

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
    pub async fn volumes(&self, label: &str) -> Result<Vec<Volume>, Failure> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = timely(self.client.list_volumes(Some(options))).await;
        let listed = listed.map_err(|error| failed("cannot list volumes", &error))?.volumes.unwrap_or_default();
        let volume = |volume: bollard::models::Volume| Volume {
            name: volume.name,
            labels: volume.labels.into_iter().collect(),
            created: volume.created_at.map(|at| at.to_string()).unwrap_or_default(),
            mountpoint: volume.mountpoint,
        };
        Ok(listed.into_iter().map(volume).collect())
    }

    /// Makes a volume; one of that name that is there already is left as it is.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn create_volume(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), Failure> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        timely(self.client.create_volume(request))
            .await
            .map_err(|error| failed("cannot make a volume", &error).on(format!("volume {name}")))?;
        Ok(())
    }

    /// Removes a volume; that it is not there is as good.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), Failure> {
        match timely(self.client.remove_volume(name, None::<RemoveVolumeOptions>)).await {
            Err(error) if !is_absent(&error) => {
                Err(failed("cannot remove a volume", &error).on(format!("volume {name}")))
            }
            _ => Ok(()),
        }
    }

    /// The networks of exactly this name.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn networks(&self, name: &str) -> Result<Vec<Network>, Failure> {
        let filters = HashMap::from([("name", vec![name])]);
        let options = bollard::query_parameters::ListNetworksOptionsBuilder::default().filters(&filters).build();
        let listed = timely(self.client.list_networks(Some(options))).await;
        let listed = listed.map_err(|error| failed("cannot list networks", &error))?;
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

    /// Makes a network of its own bridge.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn create_network(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), Failure> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        timely(self.client.create_network(request))
            .await
            .map_err(|error| failed("cannot make a network", &error).on(format!("network {name}")))?;
        Ok(())
    }

    /// Removes a network by id or name; that it is not there is as good.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when a container is attached to it.
    pub async fn remove_network(&self, network: &str) -> Result<(), Failure> {
        match timely(self.client.remove_network(network)).await {
            Err(error) if !is_absent(&error) => {
                Err(failed("cannot remove a network", &error).on(format!("network {network}")))
            }
            _ => Ok(()),
        }
    }
}
