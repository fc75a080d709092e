//! What Docker knows: the node's log, events, descriptions of all that belongs to the sandbox.

use std::time::SystemTime;

use futures::future::join_all;

use super::folder::FILE;
use super::source::{Content, Found, answer, ask};
use crate::cluster::{self, Belongings};
use crate::docker::Docker;
use crate::limits::EVIDENCE_SOURCE;
use crate::plan::{network_name, node_name};
use crate::run::Deadline;

/// All of it, from `since` on where time matters. `name` is the cluster's.
pub(super) async fn sources(docker: &Docker, name: &str, since: SystemTime, deadline: Deadline) -> Found {
    let things = async {
        let belongings = async { Ok(cluster::belongings(docker, name).await?) };
        match answer(deadline.min(EVIDENCE_SOURCE), belongings).await {
            Ok(belongings) => describe(docker, &belongings, deadline).await,
            Err(why) => Found::missing("what Docker has of the sandbox", why),
        }
    };
    let node = node_name(name);
    let (log, events, things, daemon) = tokio::join!(
        log(docker, &node, "node.log".to_owned(), deadline),
        events(docker, name, since, deadline),
        things,
        daemon(docker, deadline)
    );
    log.telling().and(events).and(things).and(daemon)
}

async fn log(docker: &Docker, container: &str, path: String, deadline: Deadline) -> Found {
    let what = format!("log of container {container}");
    let source = async { Ok(Found::file(path, what.clone(), docker.log_end(container, 2 * FILE).await?)) };
    ask(what.clone(), deadline, source).await
}

async fn events(docker: &Docker, name: &str, since: SystemTime, deadline: Deadline) -> Found {
    let network = network_name(name);
    let what = "Docker events of the sandbox, commands in the node aside (the daemon keeps the last 256 of all)";
    let source = async {
        let events = docker.events(since, |attributes| {
            let of_cluster = attributes.get("k3d.cluster").is_some_and(|cluster| cluster == name);
            let of_network = attributes.get("name").is_some_and(|name| *name == network);
            (of_cluster || of_network) && !attributes.contains_key("execID")
        });
        Ok(Found::file("docker/events.ndjson", what, Content::Lines(events.await?)))
    };
    ask(what, deadline, source).await
}

async fn daemon(docker: &Docker, deadline: Deadline) -> Found {
    let what = "what Docker says about itself";
    let source = async { Ok(Found::file("docker/daemon.json", what, docker.info_raw().await?)) };
    ask(what, deadline, source).await
}

async fn describe(docker: &Docker, belongings: &Belongings, deadline: Deadline) -> Found {
    let described = async |kind: &str, name: &str, called: &str| {
        let what = format!("{kind} {name} as Docker describes it");
        let source = async {
            let value = match kind {
                "container" => docker.inspect_raw_container(name).await?,
                "network" => docker.inspect_raw_network(called).await?,
                _ => docker.inspect_raw_volume(name).await?,
            };
            Ok(Found::file(format!("docker/{kind}-{name}.json"), what.clone(), value))
        };
        ask(what.clone(), deadline, source).await
    };
    let Belongings { containers, networks, volumes, mark } = belongings;
    let containers = containers.iter().map(|name| ("container", name, name));
    let networks = networks.iter().map(|network| ("network", &network.name, &network.id));
    let volumes = volumes.iter().chain(mark).map(|name| ("volume", name, name));
    let all = containers.chain(networks).chain(volumes);
    join_all(all.map(|(kind, name, called)| described(kind, name, called))).await.into_iter().collect()
}
