//! Findings about host ports: free, or the process or container that uses them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use super::finding::Finding;
use super::holder::{self, Forwarder, PortUse, Process};
use crate::cluster::OWNER_LABEL;
use crate::docker::{Container, Protocol, PublishedPort};
use crate::failure::Reason;
use crate::limits::PORT_ACCEPTS;
use crate::plan::{ClusterPlan, PortMapping};

/// The distance to the alternative port that is tried first: 31081 for 30081.
const STEP: u16 = 1000;

/// The state of a host port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PortState {
    /// Free.
    Free,
    /// Only root may bind it.
    Privileged,
    /// Published by this sandbox's node.
    Ours,
    /// Published by another container.
    Container { name: String, cluster: Option<String>, sandbox: Option<String> },
    /// Used by a process, as a listener or for a connection.
    Process(PortUse),
    /// Held by Docker for a container that it does not list with the port: one that is starting or stopping, or any where
    /// the list is not asked for.
    Passing,
    /// Held by a product's forwarder: for a container of its Docker, or for one that is gone by now.
    Forwarded { name: &'static str, context: Option<&'static str> },
    /// In use, by an unknown process.
    Taken,
}

/// The state of a port, by binding it on the address that it will be published on, which a listener on all addresses
/// prevents too. Containers are listed as well: not every daemon holds a socket for the ports that it publishes.
pub(super) fn probe(port: u16, sandbox: &str, containers: &[Container]) -> PortState {
    let in_the_way = |published: &PublishedPort| {
        let address = ["", "0.0.0.0", "127.0.0.1"].contains(&published.address.as_str());
        address && published.protocol == Protocol::Tcp && published.host == port
    };
    let publishes = |container: &&Container| container.ports.iter().any(in_the_way);
    if let Some(container) = containers.iter().find(publishes) {
        let label = |key: &str| container.labels.get(key).cloned();
        return match label(OWNER_LABEL) {
            Some(owner) if owner == sandbox => PortState::Ours,
            owner => {
                PortState::Container { name: container.name.clone(), cluster: label("k3d.cluster"), sandbox: owner }
            }
        };
    }
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(own) => {
            drop(own);
            if is_accepted(port) { held(port) } else { PortState::Free }
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => PortState::Privileged,
        Err(_) => held(port),
    }
}

fn held(port: u16) -> PortState {
    let forwards = |found: &PortUse| found.process.as_ref().and_then(|process| process.forwards);
    match holder::port_use(port) {
        Some(found) => match forwards(&found) {
            Some(Forwarder::Engine) => PortState::Passing,
            Some(Forwarder::Product { name, context }) => PortState::Forwarded { name, context },
            None => PortState::Process(found),
        },
        None => PortState::Taken,
    }
}

/// Whether somebody accepts connections to a port that can be bound: where macOS' listener has all addresses, one of them can be
/// bound beside it.
fn is_accepted(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, PORT_ACCEPTS).is_ok_and(|stream| {
        // The kernel may have given the connection this very port, and then it is with itself.
        stream.local_addr().is_ok_and(|own| own != address)
    })
}

/// Whether it is known who holds a port where Docker does not answer. A container, of this sandbox or of another, is not:
/// a process of Docker's holds its port, and only root may see which process that is.
const fn is_known_without_docker(seen: &PortState) -> bool {
    !matches!(
        seen,
        PortState::Passing
            | PortState::Forwarded { .. }
            | PortState::Taken
            | PortState::Process(PortUse { process: None, .. })
    )
}

/// Whether a product's forwarder holds a port of a plan that no container publishes.
pub(super) fn is_forwarded(plan: &ClusterPlan, containers: &[Container]) -> bool {
    let mut ports = plan.ports.iter().map(|mapping| mapping.host).chain(plan.api_port);
    ports.any(|port| matches!(probe(port, &plan.name, containers), PortState::Forwarded { .. }))
}

/// The findings about all ports of a plan. Without `containers`, where Docker does not answer, a port that one of them may
/// hold is left out.
pub(super) fn findings(plan: &ClusterPlan, containers: Option<&[Container]>) -> Vec<Finding> {
    let is_known = |seen: &PortState| containers.is_some() || is_known_without_docker(seen);
    let containers = containers.unwrap_or_default();
    let api = plan.api_port.map(|port| PortMapping { host: port, node: 6443, purpose: "api".to_owned() });
    let wanted: Vec<PortMapping> = plan.ports.iter().cloned().chain(api).collect();
    let mut promised: Vec<u16> = wanted.iter().map(|mapping| mapping.host).collect();
    let mut found = Vec::new();
    for (index, mapping) in wanted.iter().enumerate() {
        let twice = wanted[..index].iter().find(|other| other.host == mapping.host);
        let seen = probe(mapping.host, &plan.name, containers);
        let free = || alternative(mapping.host, &promised, &plan.name, containers);
        let finding = match twice {
            Some(other) => Finding::blocker(
                Reason::PortTaken,
                &check(mapping),
                format!("port {} is configured twice, for {} and {}", mapping.host, other.purpose, mapping.purpose),
            )
            .hint(format!("`--port-{} {}` is free", mapping.purpose, free().unwrap_or(mapping.node))),
            None if !is_known(&seen) => continue,
            None => {
                let free = if matches!(seen, PortState::Free | PortState::Ours) { None } else { free() };
                promised.extend(free);
                finding_of(mapping, &seen, free)
            }
        };
        found.push(finding);
    }
    found
}

fn check(mapping: &PortMapping) -> String {
    format!("port-{}", mapping.purpose)
}

fn finding_of(mapping: &PortMapping, seen: &PortState, free: Option<u16>) -> Finding {
    let (check, port) = (check(mapping), mapping.host);
    let taken = |by: &str| {
        Finding::blocker(Reason::PortTaken, &check, format!("port {port} ({}) is taken by {by}", mapping.purpose))
    };
    let finding = match seen {
        PortState::Free => return Finding::fine(&check, format!("port {port} is free")),
        PortState::Ours => return Finding::fine(&check, format!("port {port} is published by this sandbox")),
        PortState::Privileged => Finding::blocker(
            Reason::PortTaken,
            &check,
            format!("port {port} ({}) may be bound by root only", mapping.purpose),
        ),
        PortState::Container { sandbox: Some(name), .. } => {
            taken(&format!("the sandbox `{name}`")).hint(format!("`sandbox down --name {name}` frees it"))
        }
        PortState::Container { cluster: Some(name), .. } => {
            taken(&format!("the k3d cluster `{name}`")).hint(format!("`k3d cluster delete {name}` frees it"))
        }
        PortState::Container { name, .. } => {
            taken(&format!("the container `{name}`")).hint(format!("`docker stop {name}` frees it"))
        }
        PortState::Process(PortUse { listens: true, process: Some(Process { pid, command, .. }), .. }) => {
            taken(&format!("process {pid} (`{command}`)")).hint(format!("`kill {pid}` frees it"))
        }
        PortState::Process(PortUse { listens: true, process: None, uid }) => {
            taken(&format!("a process of user {uid}")).hint(format!("`{}` names it", holders(port)))
        }
        PortState::Process(PortUse { listens: false, process, uid }) => {
            let whose = match process {
                Some(Process { pid, command, .. }) => format!("process {pid} (`{command}`)"),
                None => format!("user {uid}"),
            };
            let message = format!("port {port} ({}) is in use by a connection of {whose}", mapping.purpose);
            Finding::blocker(Reason::PortTaken, &check, message)
                .hint(format!("the port is free when the connection closes; `{}` shows it", users(port)))
        }
        PortState::Passing => taken("Docker, for a container").hint("`docker ps --all` shows which"),
        PortState::Forwarded { name, context } => taken(&format!("{name}, for a container")).hint(match context {
            Some(context) => format!("`docker --context {context} ps` shows which"),
            None => "`docker context ls` names its context, and `docker --context NAME ps` shows which".to_owned(),
        }),
        PortState::Taken => {
            let message = format!("port {port} ({}) is in use by an unknown process", mapping.purpose);
            Finding::blocker(Reason::PortTaken, &check, message).hint(format!("`{}` shows it", users(port)))
        }
    };
    match free {
        Some(free) => finding.hint(format!("`--port-{} {free}` uses a free port", mapping.purpose)),
        None => finding,
    }
}

/// The command that lists the processes that listen on a port.
fn holders(port: u16) -> String {
    match cfg!(target_os = "macos") {
        true => format!("sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"),
        false => format!("sudo ss -ltnp 'sport = :{port}'"),
    }
}

/// The command that lists all that use a port.
fn users(port: u16) -> String {
    match cfg!(target_os = "macos") {
        true => format!("sudo lsof -nP -iTCP:{port}"),
        false => format!("sudo ss -tanp 'sport = :{port}'"),
    }
}

/// A free port that this plan does not use yet, easy to remember if possible.
fn alternative(port: u16, promised: &[u16], sandbox: &str, containers: &[Container]) -> Option<u16> {
    let round = (1..=5).filter_map(|times| port.checked_add(STEP * times));
    let near = (1..100).filter_map(|offset| port.checked_add(offset));
    round
        .chain(near)
        .find(|candidate| !promised.contains(candidate) && probe(*candidate, sandbox, containers) == PortState::Free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::ContainerState;
    use crate::report::Severity;

    fn mapping(host: u16) -> PortMapping {
        PortMapping { host, node: 30084, purpose: "minio".into() }
    }

    fn plan(ports: Vec<PortMapping>) -> ClusterPlan {
        let node_image = "rancher/k3s:v1.21.2-k3s1".parse().expect("image");
        ClusterPlan {
            name: "flyte".into(),
            node_image,
            kubernetes: (1, 21),
            ports,
            api_port: None,
            network_policies: false,
            yields: false,
            store: None,
        }
    }

    fn container(port: u16, labels: &[(&str, &str)]) -> Container {
        Container {
            id: "1".into(),
            name: "web".into(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            state: ContainerState::Running,
            ports: vec![PublishedPort {
                address: "0.0.0.0".into(),
                protocol: Protocol::Tcp,
                host: port,
                container: 80,
            }],
            volumes: vec![],
        }
    }

    #[test]
    fn whoever_holds_a_port_is_named_with_the_command_that_frees_it() {
        let container = |sandbox: Option<&str>, cluster: Option<&str>| PortState::Container {
            name: "web".into(),
            cluster: cluster.map(Into::into),
            sandbox: sandbox.map(Into::into),
        };
        let process = |listens, pid: Option<u32>| {
            let process = pid.map(|pid| Process { pid, command: "nc".into(), forwards: None });
            PortState::Process(PortUse { listens, process, uid: 70 })
        };
        for (seen, message, hint) in [
            (container(None, None), "port 30084 (minio) is taken by the container `web`", "`docker stop web` frees it"),
            (
                container(None, Some("dev")),
                "port 30084 (minio) is taken by the k3d cluster `dev`",
                "`k3d cluster delete dev` frees it",
            ),
            (
                container(Some("other"), Some("other")),
                "port 30084 (minio) is taken by the sandbox `other`",
                "`sandbox down --name other` frees it",
            ),
            (process(true, Some(7)), "port 30084 (minio) is taken by process 7 (`nc`)", "`kill 7` frees it"),
            (
                process(true, None),
                "port 30084 (minio) is taken by a process of user 70",
                "`sudo ss -ltnp 'sport = :30084'` names it",
            ),
            (
                process(false, Some(7)),
                "port 30084 (minio) is in use by a connection of process 7 (`nc`)",
                "the port is free when the connection closes; `sudo ss -tanp 'sport = :30084'` shows it",
            ),
            (
                process(false, None),
                "port 30084 (minio) is in use by a connection of user 70",
                "the port is free when the connection closes; `sudo ss -tanp 'sport = :30084'` shows it",
            ),
            (
                PortState::Passing,
                "port 30084 (minio) is taken by Docker, for a container",
                "`docker ps --all` shows which",
            ),
            (
                PortState::Forwarded { name: "OrbStack", context: Some("orbstack") },
                "port 30084 (minio) is taken by OrbStack, for a container",
                "`docker --context orbstack ps` shows which",
            ),
            (
                PortState::Forwarded { name: "Lima", context: None },
                "port 30084 (minio) is taken by Lima, for a container",
                "`docker context ls` names its context, and `docker --context NAME ps` shows which",
            ),
            (
                PortState::Taken,
                "port 30084 (minio) is in use by an unknown process",
                "`sudo ss -tanp 'sport = :30084'` shows it",
            ),
        ] {
            let finding = finding_of(&mapping(30084), &seen, Some(31084));
            assert_eq!((finding.check.as_str(), finding.severity), ("port-minio", Severity::Blocker));
            assert_eq!(finding.message, message);
            assert_eq!(finding.hints, [hint, "`--port-minio 31084` uses a free port"]);
        }
    }

    #[test]
    fn without_docker_only_a_holder_that_is_known_is_told() {
        let process = |process| PortState::Process(PortUse { listens: true, process, uid: 0 });
        for (seen, told) in [
            (PortState::Free, true),
            (PortState::Privileged, true),
            (process(Some(Process { pid: 7, command: "nc".into(), forwards: None })), true),
            (process(None), false),
            (PortState::Passing, false),
            (PortState::Forwarded { name: "Lima", context: None }, false),
            (PortState::Taken, false),
        ] {
            assert_eq!(is_known_without_docker(&seen), told, "{seen:?}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_in_the_way_and_the_way_out_is_free() {
        let socket = TcpListener::bind("0.0.0.0:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        assert!(!matches!(probe(port, "flyte", &[]), PortState::Free));
        let free = alternative(port, &[port], "flyte", &[]).expect("a free port");
        assert_eq!(probe(free, "flyte", &[]), PortState::Free);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_of_an_outgoing_connection_is_reported_as_such() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        let connection = std::net::TcpStream::connect(socket.local_addr().expect("address")).expect("connected");
        let port = connection.local_addr().expect("address").port();
        let finding = finding_of(&mapping(port), &probe(port, "flyte", &[]), None);
        assert_eq!(finding.severity, Severity::Blocker);
        let us = format!("is in use by a connection of process {} ", std::process::id());
        assert!(finding.message.contains(&us), "{}", finding.message);
        assert!(finding.hints.iter().any(|hint| hint.contains("ss -tanp")), "{:?}", finding.hints);
    }

    #[test]
    fn a_published_port_counts_without_a_socket_and_our_own_is_fine() {
        let ours = [("k3d.cluster", "flyte"), (OWNER_LABEL, "flyte")];
        assert_eq!(probe(1, "flyte", &[container(1, &ours)]), PortState::Ours);
        assert!(matches!(probe(1, "other", &[container(1, &ours)]), PortState::Container { sandbox: Some(_), .. }));
    }

    #[test]
    fn a_port_asked_for_twice_is_a_blocker() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        drop(socket);
        let second = PortMapping { purpose: "console".into(), ..mapping(port) };
        let found = findings(&plan(vec![mapping(port), second]), Some(&[]));
        assert_eq!(
            found.iter().map(|finding| finding.severity).collect::<Vec<_>>(),
            [Severity::Fine, Severity::Blocker]
        );
    }
}
