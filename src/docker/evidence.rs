//! Inspections, log tails and events as the daemon gives them, for a person to read.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, LogsOptionsBuilder,
};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::client::Docker;
use super::error::{Error, Kind, Request};
use super::kept::Size;
use crate::limits;

/// Lines from the end of a log that are asked for.
const LINES: &str = "10000";
/// Events that are kept, the newest; the daemon itself remembers 256.
const EVENTS: usize = 1000;

impl Docker {
    /// The output of `docker inspect` for a container.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when there is none.
    pub async fn inspect_raw_container(&self, name: &str) -> Result<Value, Error> {
        let (request, options) = (inspect(Kind::Container, name), None::<InspectContainerOptions>);
        let found = self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_container(name, options));
        found.await.map(|found| json!(found))
    }

    /// The output of `docker inspect` for a network, by id or name.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when there is none.
    pub async fn inspect_raw_network(&self, network: &str) -> Result<Value, Error> {
        let (request, options) = (inspect(Kind::Network, network), None::<InspectNetworkOptions>);
        let found = self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_network(network, options));
        found.await.map(|found| json!(found))
    }

    /// The output of `docker inspect` for a volume.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when there is none.
    pub async fn inspect_raw_volume(&self, name: &str) -> Result<Value, Error> {
        let request = inspect(Kind::Volume, name);
        let found = self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_volume(name));
        found.await.map(|found| json!(found))
    }

    /// The output of `docker version` and `docker info`.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn info_raw(&self) -> Result<Value, Error> {
        let asked = self.ask(Request::Info, limits::DOCKER_REQUEST, |client| async {
            tokio::try_join!(client.version(), client.info())
        });
        asked.await.map(|(version, info)| json!({ "version": version, "info": info }))
    }

    /// The end of a container's output with the time of each line, `limit` bytes of it at most. What is not UTF-8 is
    /// marked as such.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also when there is no such container.
    pub async fn log_end(&self, name: &str, limit: usize) -> Result<String, Error> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail(LINES).build();
        let request = Request::Log(name.to_owned());
        let text = self.bytes(request, Size::End(limit), |client| client.logs(name, Some(options))).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Events from `since` until now, oldest first, that `wanted` selects by their attributes: labels, and `name`.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn events(
        &self,
        since: SystemTime,
        wanted: impl Fn(&HashMap<String, String>) -> bool,
    ) -> Result<Vec<Value>, Error> {
        // A moment in the daemon's future would be waited for.
        let ahead = self.about().await?.clock_ahead.unwrap_or_default();
        let [since, until] = [since, SystemTime::now()].map(|here| moment(by_another_clock(here, ahead)));
        let options = EventsOptionsBuilder::default().since(&since).until(&until).build();
        let mut events = self.stream(Request::Events, limits::DOCKER_REQUEST, |client| client.events(Some(options)));
        let mut kept = VecDeque::new();
        while let Some(event) = events.try_next().await? {
            let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
            if !attributes.is_some_and(&wanted) {
                continue;
            }
            if kept.len() == EVENTS {
                kept.pop_front();
            }
            kept.push_back(json!(event));
        }
        Ok(kept.into())
    }
}

fn inspect(kind: Kind, name: &str) -> Request {
    Request::Inspect(kind, name.to_owned())
}

/// A moment as a clock has it that is so many milliseconds ahead.
fn by_another_clock(moment: SystemTime, ahead: i64) -> SystemTime {
    let apart = Duration::from_millis(ahead.unsigned_abs());
    let there = if ahead < 0 { moment.checked_sub(apart) } else { moment.checked_add(apart) };
    there.unwrap_or(UNIX_EPOCH)
}

/// As the API takes a time: seconds and nanoseconds since 1970.
fn moment(time: SystemTime) -> String {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}
