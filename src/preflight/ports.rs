//! Ports of the host: free, or held by whom.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::finding::Finding;
use super::holder::{self, Process, Use};
use crate::cluster::OWNER_LABEL;
use crate::docker::{Container, Protocol, PublishedPort};
use crate::failure::Reason;
use crate::plan::{ClusterPlan, PortMapping};

/// How far from the wanted port the next free one is looked for first: 30081 becomes 31081.
const STEP: u16 = 1000;

/// What was seen of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// It could be bound.
    Free,
    /// Only the system's administrator may bind it.
    Privileged,
    /// This sandbox's own node publishes it.
    Ours,
    /// A container publishes it.
    Container { name: String, cluster: Option<String>, sandbox: Option<String> },
    /// A process listens on it, or has a connection from it.
    Process(Use),
    /// Docker holds it for a container that is just starting or ending.
    Passing,
    /// It could not be bound, and this machine does not say why.
    Taken,
}

/// Looks at a port by binding it on the address that it will be published on. A listener on all addresses is in the
/// way of that too. Containers are looked at besides: not every daemon holds a socket for what it publishes.
pub(super) fn look(port: u16, sandbox: &str, containers: &[Container]) -> Seen {
    let in_the_way = |published: &PublishedPort| {
        let address = ["", "0.0.0.0", "127.0.0.1"].contains(&published.address.as_str());
        address && published.protocol == Protocol::Tcp && published.host == port
    };
    let publishes = |container: &&Container| container.ports.iter().any(in_the_way);
    if let Some(container) = containers.iter().find(publishes) {
        let label = |key: &str| container.labels.get(key).cloned();
        return match label(OWNER_LABEL) {
            Some(owner) if owner == sandbox => Seen::Ours,
            owner => Seen::Container { name: container.name.clone(), cluster: label("k3d.cluster"), sandbox: owner },
        };
    }
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Seen::Free,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Seen::Privileged,
        Err(_) => match holder::user(port) {
            Some(Use { process: Some(process), .. }) if process.is_dockers() => Seen::Passing,
            Some(found) => Seen::Process(found),
            None => Seen::Taken,
        },
    }
}

/// All ports of the plan.
pub(super) fn findings(plan: &ClusterPlan, containers: &[Container]) -> Vec<Finding> {
    let api = plan.api_port.map(|port| PortMapping { host: port, node: 6443, purpose: "api".to_owned() });
    let wanted: Vec<PortMapping> = plan.ports.iter().cloned().chain(api).collect();
    let mut promised: Vec<u16> = wanted.iter().map(|mapping| mapping.host).collect();
    let mut found = Vec::new();
    for (index, mapping) in wanted.iter().enumerate() {
        let twice = wanted[..index].iter().find(|other| other.host == mapping.host);
        let seen = look(mapping.host, &plan.name, containers);
        let free = || alternative(mapping.host, &promised, &plan.name, containers);
        let finding = match twice {
            Some(other) => Finding::blocker(
                Reason::PortTaken,
                &check(mapping),
                format!("port {} is asked for twice, for {} and {}", mapping.host, other.purpose, mapping.purpose),
            )
            .hint(format!("`--port-{} {}` is free", mapping.purpose, free().unwrap_or(mapping.node))),
            None => {
                let free = if matches!(seen, Seen::Free | Seen::Ours) { None } else { free() };
                promised.extend(free);
                judge(mapping, &seen, free)
            }
        };
        found.push(finding);
    }
    found
}

fn check(mapping: &PortMapping) -> String {
    format!("port-{}", mapping.purpose)
}

fn judge(mapping: &PortMapping, seen: &Seen, free: Option<u16>) -> Finding {
    let (check, port) = (check(mapping), mapping.host);
    let taken = |by: &str| {
        Finding::blocker(Reason::PortTaken, &check, format!("port {port} ({}) is taken by {by}", mapping.purpose))
    };
    let finding = match seen {
        Seen::Free => return Finding::fine(&check, format!("port {port} is free")),
        Seen::Ours => return Finding::fine(&check, format!("port {port} is this sandbox's own")),
        Seen::Privileged => Finding::blocker(
            Reason::PortTaken,
            &check,
            format!("port {port} ({}) is for the system's administrator only", mapping.purpose),
        ),
        Seen::Container { sandbox: Some(name), .. } => {
            taken(&format!("the sandbox `{name}`")).hint(format!("`sandbox down --name {name}` frees it"))
        }
        Seen::Container { cluster: Some(name), .. } => {
            taken(&format!("the k3d cluster `{name}`")).hint(format!("`k3d cluster delete {name}` frees it"))
        }
        Seen::Container { name, .. } => {
            taken(&format!("the container `{name}`")).hint(format!("`docker stop {name}` frees it"))
        }
        Seen::Process(Use { listens: true, process: Some(Process { pid, command }), .. }) => {
            taken(&format!("process {pid} (`{command}`)")).hint(format!("`kill {pid}` frees it"))
        }
        Seen::Process(Use { listens: true, process: None, uid }) => {
            taken(&format!("a process of user {uid} that cannot be seen from here"))
                .hint(format!("`sudo ss -ltnp 'sport = :{port}'` names it"))
        }
        Seen::Process(Use { listens: false, process, uid }) => {
            let whose = match process {
                Some(Process { pid, command }) => format!("process {pid} (`{command}`)"),
                None => format!("user {uid}"),
            };
            let message = format!("port {port} ({}) is in use by a connection of {whose}", mapping.purpose);
            Finding::blocker(Reason::PortTaken, &check, message)
                .hint(format!("it is free when the connection ends; `sudo ss -tanp 'sport = :{port}'` shows it"))
        }
        Seen::Passing => taken("a container that is starting or ending").hint("`docker ps --all` shows which"),
        Seen::Taken => {
            let message =
                format!("port {port} ({}) cannot be bound, and nothing says by whom it is used", mapping.purpose);
            Finding::blocker(Reason::PortTaken, &check, message)
                .hint(format!("`sudo ss -tanp 'sport = :{port}'` shows it"))
        }
    };
    match free {
        Some(free) => finding.hint(format!("`--port-{} {free}` uses another port, free now", mapping.purpose)),
        None => finding,
    }
}

/// A port that is free, nobody else's in this plan, and easy to remember if one is.
fn alternative(port: u16, promised: &[u16], sandbox: &str, containers: &[Container]) -> Option<u16> {
    let round = (1..=5).filter_map(|times| port.checked_add(STEP * times));
    let near = (1..100).filter_map(|offset| port.checked_add(offset));
    round
        .chain(near)
        .find(|candidate| !promised.contains(candidate) && look(*candidate, sandbox, containers) == Seen::Free)
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
        ClusterPlan { name: "flyte".into(), node_image, ports, api_port: None, network_policies: false, store: None }
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
        let container = |sandbox: Option<&str>, cluster: Option<&str>| Seen::Container {
            name: "web".into(),
            cluster: cluster.map(Into::into),
            sandbox: sandbox.map(Into::into),
        };
        let process = |listens, pid: Option<u32>| {
            let process = pid.map(|pid| Process { pid, command: "nc".into() });
            Seen::Process(Use { listens, process, uid: 70 })
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
                "port 30084 (minio) is taken by a process of user 70 that cannot be seen from here",
                "`sudo ss -ltnp 'sport = :30084'` names it",
            ),
            (
                process(false, Some(7)),
                "port 30084 (minio) is in use by a connection of process 7 (`nc`)",
                "it is free when the connection ends; `sudo ss -tanp 'sport = :30084'` shows it",
            ),
            (
                process(false, None),
                "port 30084 (minio) is in use by a connection of user 70",
                "it is free when the connection ends; `sudo ss -tanp 'sport = :30084'` shows it",
            ),
            (
                Seen::Taken,
                "port 30084 (minio) cannot be bound, and nothing says by whom it is used",
                "`sudo ss -tanp 'sport = :30084'` shows it",
            ),
        ] {
            let finding = judge(&mapping(30084), &seen, Some(31084));
            assert_eq!((finding.check.as_str(), finding.severity), ("port-minio", Severity::Blocker));
            assert_eq!(finding.message, message);
            assert_eq!(finding.hints, [hint, "`--port-minio 31084` uses another port, free now"]);
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_in_the_way_and_the_way_out_is_free() {
        let socket = TcpListener::bind("0.0.0.0:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        assert!(!matches!(look(port, "flyte", &[]), Seen::Free));
        let free = alternative(port, &[port], "flyte", &[]).expect("a free port");
        assert_eq!(look(free, "flyte", &[]), Seen::Free);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_that_an_outgoing_connection_uses_is_told_as_that() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        let connection = std::net::TcpStream::connect(socket.local_addr().expect("address")).expect("connected");
        let port = connection.local_addr().expect("address").port();
        let finding = judge(&mapping(port), &look(port, "flyte", &[]), None);
        assert_eq!(finding.severity, Severity::Blocker);
        let us = format!("is in use by a connection of process {} ", std::process::id());
        assert!(finding.message.contains(&us), "{}", finding.message);
        assert!(finding.hints.iter().any(|hint| hint.contains("ss -tanp")), "{:?}", finding.hints);
    }

    #[test]
    fn a_published_port_counts_without_a_socket_and_our_own_is_fine() {
        let ours = [("k3d.cluster", "flyte"), (OWNER_LABEL, "flyte")];
        assert_eq!(look(1, "flyte", &[container(1, &ours)]), Seen::Ours);
        assert!(matches!(look(1, "other", &[container(1, &ours)]), Seen::Container { sandbox: Some(_), .. }));
    }

    #[test]
    fn a_port_asked_for_twice_is_a_blocker() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        drop(socket);
        let second = PortMapping { purpose: "console".into(), ..mapping(port) };
        let found = findings(&plan(vec![mapping(port), second]), &[]);
        assert_eq!(
            found.iter().map(|finding| finding.severity).collect::<Vec<_>>(),
            [Severity::Fine, Severity::Blocker]
        );
    }
}
