//! Preflight against a Docker daemon in memory and real sockets.

use std::net::TcpListener;

use flyte_sandbox::cluster::Engine;
use flyte_sandbox::docker::Docker;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::images::RequiredImage;
use flyte_sandbox::manifest::ImageRef;
use flyte_sandbox::plan::{ClusterPlan, PortMapping};
use flyte_sandbox::preflight::{self, Finding, blockers};
use flyte_sandbox::report::Severity;

use serde_json::json;

use crate::support::docker::{FakeDocker, World, node};

fn plan(name: &str, port: u16) -> ClusterPlan {
    ClusterPlan {
        name: name.into(),
        node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![PortMapping { host: port, node: 30081, purpose: "console".into() }],
        api_port: None,
        network_policies: false,
        yields: false,
        store: None,
    }
}

async fn findings(docker: &Docker, engine: Result<&Engine, &Failure>, plan: &ClusterPlan) -> Vec<Finding> {
    let seen = preflight::look(docker, &plan.name, &plan.node_image).await.expect("Docker answers");
    preflight::findings(Ok((docker.endpoint(), &seen)), engine, plan, 6)
}

fn no_k3d() -> Failure {
    Failure::new(Reason::K3d, "k3d is not installed").hint("install it")
}

fn severity(findings: &[Finding], check: &str) -> Option<Severity> {
    findings.iter().find(|finding| finding.check == check).map(|finding| finding.severity)
}

#[tokio::test]
async fn everything_in_the_way_is_told_at_once() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("address").port();
    let fake = FakeDocker::start(World { containers: vec![node("flyte", None, "running")], ..World::default() }).await;
    let docker = fake.connect().await;
    let found = findings(&docker, Err(&no_k3d()), &plan("flyte", port)).await;
    for check in ["k3d", "name", "port-console"] {
        assert_eq!(severity(&found, check), Some(Severity::Blocker), "{check}: {found:?}");
    }
    assert_eq!(severity(&found, "docker"), Some(Severity::Fine));
    assert_eq!(blockers(&found).expect_err("three blockers").causes.len(), 3);
}

#[tokio::test]
async fn without_k3d_nothing_is_looked_for_in_one() {
    let fake = FakeDocker::start(World::default()).await;
    let found = findings(&fake.connect().await, Ok(&Engine::Docker), &plan("flyte", 1)).await;
    assert_eq!((severity(&found, "engine"), severity(&found, "k3d")), (Some(Severity::Fine), None));
}

#[tokio::test]
async fn the_ports_of_the_sandbox_itself_are_not_in_its_way_but_in_anothers() {
    let fake =
        FakeDocker::start(World { containers: vec![node("flyte", Some("flyte"), "running")], ..World::default() })
            .await;
    let docker = fake.connect().await;
    let own = findings(&docker, Err(&no_k3d()), &plan("flyte", 30081)).await;
    assert_eq!(severity(&own, "port-console"), Some(Severity::Fine));
    let other = findings(&docker, Err(&no_k3d()), &plan("second", 30081)).await;
    let finding = other.iter().find(|finding| finding.check == "port-console").expect("looked at");
    assert_eq!(finding.message, "port 30081 (console) is taken by the sandbox `flyte`");
}

#[tokio::test]
async fn what_is_published_for_another_protocol_or_on_another_address_is_not_in_the_way() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("address").port();
    drop(socket);
    for (address, protocol, severity_then) in [
        ("0.0.0.0", "udp", Severity::Fine),
        ("192.0.2.7", "tcp", Severity::Fine),
        ("127.0.0.2", "tcp", Severity::Fine),
        ("::1", "tcp", Severity::Fine),
        ("127.0.0.1", "tcp", Severity::Blocker),
        ("0.0.0.0", "tcp", Severity::Blocker),
        ("", "tcp", Severity::Blocker),
    ] {
        let mut other = node("other", None, "running");
        other["Ports"] = json!([{ "IP": address, "PrivatePort": 53, "PublicPort": port, "Type": protocol }]);
        let fake = FakeDocker::start(World { containers: vec![other], ..World::default() }).await;
        let found = findings(&fake.connect().await, Err(&no_k3d()), &plan("flyte", port)).await;
        assert_eq!(severity(&found, "port-console"), Some(severity_then), "{address}/{protocol}: {found:?}");
    }
}

#[tokio::test]
async fn a_virtual_machine_tells_of_itself_and_nothing_here_is_taken_for_its() {
    let memory = json!(2_063_597_568_u64);
    for (info, product, blocked, told) in [
        (
            vec![("OperatingSystem", json!("Docker Desktop")), ("KernelVersion", json!("6.10.14-linuxkit"))],
            " of Docker Desktop,",
            &[][..],
            "",
        ),
        (
            vec![("Name", json!("colima")), ("KernelVersion", json!("6.8.0-50-generic")), ("MemTotal", memory)],
            " of Colima,",
            &[("memory", "`colima stop`, then `colima start --memory 6`")],
            "",
        ),
        (
            vec![
                ("KernelVersion", json!("6.15.11-orbstack-00539")),
                ("SystemTime", json!("2020-01-01T00:00:00+02:00")),
            ],
            " of OrbStack,",
            &[("clock", "set the one that is wrong; `orb restart docker` sets a virtual machine's")],
            "",
        ),
        (
            vec![("SecurityOptions", json!(["name=seccomp", "name=rootless"]))],
            "",
            &[("docker", "docs/portability.md has what runs where")],
            "rootless",
        ),
        (vec![], "Docker 20.10.24, API 1.41, at tcp://", &[], ""),
    ] {
        let fake = FakeDocker::start(World { info: info.into_iter().collect(), ..World::default() }).await;
        let found = findings(&fake.connect().await, Ok(&Engine::Docker), &plan("flyte", 1)).await;
        let blockers: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Blocker).collect();
        let seen: Vec<_> = blockers
            .iter()
            .map(|one| (one.check.as_str(), one.hints.last().map_or("", |hint| hint.as_str())))
            .collect();
        // Port 1 is nobody's to bind but root's.
        let seen: Vec<_> = seen.into_iter().filter(|(check, _)| *check != "port-console").collect();
        assert_eq!(seen, blocked, "{found:?}");
        let docker = found.iter().find(|finding| finding.check == "docker").expect("looked at");
        assert!(docker.message.contains(product) && docker.message.contains(told), "{docker:?}");
        // Its disk is not this machine's, and without the node's image nobody has looked.
        let is_vm = product.starts_with(" of ");
        assert_eq!(severity(&found, "inotify").is_none(), is_vm, "{found:?}");
    }
}

#[tokio::test]
async fn without_docker_the_ports_are_looked_at_all_the_same() {
    let down = Failure::new(Reason::Docker, "Docker does not answer").hint("start it");
    let found = preflight::findings(Err(&down), Err(&no_k3d()), &plan("flyte", 1), 6);
    assert_eq!(severity(&found, "docker"), Some(Severity::Blocker));
    assert!(severity(&found, "port-console").is_some());
}

#[tokio::test]
async fn images_of_another_processor_and_a_proxy_that_docker_lacks_are_found_before_a_pull() {
    let wanted = |image: &str, architectures: &[&str]| RequiredImage {
        architectures: architectures.iter().map(|one| (*one).to_owned()).collect(),
        ..image.parse::<ImageRef>().expect(image).into()
    };
    let all = [wanted("here:1", &["amd64"]), wanted("absent:1", &["amd64"]), wanted("unknown:1", &[])];
    let variables = [("HTTP_PROXY".to_owned(), "http://proxy.example:3128".to_owned())].into();
    // No kernel here has an emulator for this one.
    for (own, proxied, processor, proxy) in
        [("x86_64", false, None, Some(Severity::Warning)), ("s390x", true, None, Some(Severity::Fine))]
    {
        let proxied = if proxied { "http://daemons.example:3128" } else { "" };
        let fake = FakeDocker::start(World {
            images: [("here:1".to_owned(), "sha256:1".to_owned())].into(),
            info: [("Architecture", json!(own)), ("HttpProxy", json!(proxied))].into(),
            ..World::default()
        })
        .await;
        let docker = fake.connect().await;
        let node_image = plan("flyte", 1).node_image;
        let look = preflight::look(&docker, "flyte", &node_image);
        let (seen, here) = tokio::join!(look, preflight::look_for_images(&docker, &all));
        let (seen, here) = (seen.expect("Docker answers"), here.expect("Docker answers"));
        let found = preflight::images(&seen, &all, &here, &variables);
        let seen = found.iter().find(|finding| finding.check == "processor");
        match own {
            "x86_64" => assert_eq!(seen.map(|finding| finding.severity), processor, "{found:?}"),
            // The one that is here is not known to be foreign.
            _ => assert!(seen.expect("a finding").message.ends_with("are for amd64 only: absent:1"), "{found:?}"),
        }
        assert_eq!(severity(&found, "proxy"), proxy, "{found:?}");
    }
}
