//! A sandbox on a node of its own: a Docker daemon, a Kubernetes API, a database and a Minio in memory.

use flyte_sandbox::kubernetes::{client, find_within, save};
use flyte_sandbox::lifecycle::up;
use flyte_sandbox::site::Host;
use flyte_sandbox::spec::EngineKind;
use flyte_sandbox::state::StateRoot;
use serde_json::json;
use tempfile::TempDir;

use super::attached::{AttachedCluster, options, run};
use super::docker::{FakeDocker, World, node_with_api, volume};

/// A sandbox whose cluster is its own, as far as can be told, and the machine that it is on.
pub(crate) struct OnNode {
    pub(crate) cluster: AttachedCluster,
    pub(crate) docker: FakeDocker,
    pub(crate) host: Host,
    _folder: TempDir,
}

impl OnNode {
    pub(crate) async fn start() -> Self {
        let cluster = AttachedCluster::start().await;
        let (run, _events) = run();
        up(cluster.request(), &cluster.host, options(), &run).await.expect("brought up");
        let client = client(&cluster.api.kubeconfig()).expect("a client");
        let system = &cluster.spec.system_namespace();
        let mut inventory = find_within(&client, system).await.expect("readable").expect("kept");
        inventory.spec.engine = Some(EngineKind::Docker);
        save(&client, system, &inventory, &run).await.expect("kept");
        cluster.own();
        cluster.allow_commands();
        let name = cluster.spec.name.as_str();
        let (mut container, kubeconfig) = node_with_api(name, cluster.port());
        let data = format!("k3d-{name}-data");
        container["Mounts"] = json!([{ "Type": "volume", "Name": data, "Destination": "/var/lib/sandbox" }]);
        let labels =
            json!({ "app": "k3d", "k3d.cluster": name, "sandbox.flyte/owner": name, "sandbox.flyte/data": "{}" });
        let world = World {
            containers: vec![container],
            volumes: vec![volume(&data, labels, "2026-01-01T00:00:00Z")],
            images: [(cluster.spec.node_image.to_string(), "sha256:node".to_owned())].into(),
            files: [kubeconfig].into(),
            ..World::default()
        };
        let docker = FakeDocker::start(world).await;
        let folder = tempfile::tempdir().expect("a folder");
        let variables = [("DOCKER_HOST".to_owned(), docker.host.clone())].into();
        let state = StateRoot::new(folder.path().to_owned());
        let host = Host { home: None, variables, state, program: "none".into(), clients: Default::default() };
        Self { cluster, docker, host, _folder: folder }
    }
}
