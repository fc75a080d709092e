//! What the daemon has to say, for a person to read: descriptions as they are, the end of a log, what happened.

use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::errors::Error;
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, LogsOptionsBuilder,
};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{Docker, failed};
use crate::failure::{Failure, Reason};

/// Lines from the end of a log that are asked for.
const LINES: &str = "10000";
/// Events that are kept, the newest; the daemon itself remembers 256.
const EVENTS: usize = 1000;

impl Docker {
    /// A container as the daemon describes it.
    ///
    /// # Errors
    /// [`Reason::Docker`], also when there is none.
    pub async fn describe_container(&self, name: &str) -> Result<Value, Failure> {
        let found = self.client.inspect_container(name, None::<InspectContainerOptions>).await;
        described("container", name, found)
    }

    /// A network as the daemon describes it.
    ///
    /// # Errors
    /// [`Reason::Docker`], also when there is none.
    pub async fn describe_network(&self, name: &str) -> Result<Value, Failure> {
        described("network", name, self.client.inspect_network(name, None::<InspectNetworkOptions>).await)
    }

    /// A volume as the daemon describes it.
    ///
    /// # Errors
    /// [`Reason::Docker`], also when there is none.
    pub async fn describe_volume(&self, name: &str) -> Result<Value, Failure> {
        described("volume", name, self.client.inspect_volume(name).await)
    }

    /// The daemon as it describes itself: `version` and `info`.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn describe(&self) -> Result<Value, Failure> {
        let (version, info) = tokio::try_join!(self.client.version(), self.client.info())
            .map_err(|error| failed("cannot ask Docker about itself", &error))?;
        Ok(json!({ "version": version, "info": info }))
    }

    /// The end of a container's output with the time of each line, some `limit` bytes of it at most. What is not UTF-8
    /// is marked as such.
    ///
    /// # Errors
    /// [`Reason::Docker`], also when there is no such container.
    pub async fn log_end(&self, name: &str, limit: usize) -> Result<String, Failure> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail(LINES).build();
        let mut stream = std::pin::pin!(self.client.logs(name, Some(options)));
        let mut text = Vec::new();
        let broken = |error: Error| failed("cannot read a container's log", &error).on(format!("container {name}"));
        while let Some(chunk) = stream.try_next().await.map_err(broken)? {
            text.extend_from_slice(chunk.as_ref());
            if text.len() > 2 * limit {
                text.drain(..text.len() - limit);
            }
        }
        Ok(String::from_utf8_lossy(&text[text.len().saturating_sub(limit)..]).into_owned())
    }

    /// What happened on the daemon from `since` until now, oldest first, of what `wanted` chooses by an event's
    /// attributes: labels, and `name`.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn events(
        &self,
        since: SystemTime,
        wanted: impl Fn(&HashMap<String, String>) -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let (since, until) = (moment(since), moment(SystemTime::now()));
        let options = EventsOptionsBuilder::default().since(&since).until(&until).build();
        let mut stream = std::pin::pin!(self.client.events(Some(options)));
        let mut kept = VecDeque::new();
        while let Some(event) =
            stream.try_next().await.map_err(|error| failed("cannot ask for what happened on Docker", &error))?
        {
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

fn described(kind: &str, name: &str, found: Result<impl Serialize, Error>) -> Result<Value, Failure> {
    let failure = || Failure::new(Reason::Docker, format!("cannot inspect a {kind}")).on(format!("{kind} {name}"));
    let found =
        found.map_err(|error| failed(&format!("cannot inspect a {kind}"), &error).on(format!("{kind} {name}")))?;
    serde_json::to_value(found).map_err(|error| failure().caused_by(error))
}

/// As the API takes a time: seconds and nanoseconds since 1970.
fn moment(time: SystemTime) -> String {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}
