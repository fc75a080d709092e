//! Images that were built or pulled again under their names since pods started.

use flyte_sandbox::lifecycle;
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::Plan;
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::site::Host;
use flyte_sandbox::spec::Spec;
use flyte_sandbox::state::StateRoot;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::support::docker::{FakeDocker, World, node_with_api, run};
use crate::support::flyte::FakeFlyte;
use crate::support::stage::EVER;

const IMAGE: &str = "team/console:dev";

/// A Flyte whose console's pod runs what the node calls by this digest, and that was brought up for this plan.
async fn flyte(digest: &str) -> (FakeFlyte, Plan) {
    let flyte = FakeFlyte::start().await;
    let spec = Spec { name: "flyte".to_owned(), engine: None, ..flyte.spec.clone() };
    let rendered = render(&spec, Bundle::embedded(Release::default()).expect("built in")).expect("renders");
    let plan = Plan::new(spec, rendered).expect("a plan");
    let system = plan.spec.system_namespace();
    let text = |text: String| ByteString(text.into_bytes());
    let secret = json!({
        "metadata": { "name": "sandbox-inventory", "namespace": system },
        "data": {
            "digest": text(plan.digest.clone()), "objects": text("[]".to_owned()),
            "spec": text(serde_json::to_string(&plan.spec).expect("JSON")),
            "secretKey": text(plan.spec.storage.secret_key.expose().to_owned()),
        },
    });
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "flyteconsole-1f", "uid": "u", "controller": true});
    let pod = json!({
        "metadata": { "name": "flyteconsole-1f-x", "namespace": system, "ownerReferences": [owner] },
        "spec": { "containers": [{ "name": "flyteconsole", "image": IMAGE }] },
        "status": { "phase": "Running", "containerStatuses": [{
            "name": "flyteconsole", "image": IMAGE, "imageID": digest, "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-11-27T12:00:00Z" } } }] },
    });
    let list = |kind: &str, item: Value| json!({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": [item]});
    flyte.break_path("/api/v1/secrets", EVER, 200, &list("SecretList", secret).to_string());
    let pods = format!("/api/v1/namespaces/{system}/pods");
    flyte.break_path(&pods, EVER, 200, &list("PodList", pod).to_string());
    (flyte, plan)
}

/// A daemon with the node of that Flyte, and the image under this id; and what the node's containerd knows of it.
async fn docker(flyte: &FakeFlyte, id: &str, in_node: (&str, &str)) -> FakeDocker {
    let (container, kubeconfig) = node_with_api("flyte", flyte.spec.ports.api.expect("it has one"));
    let name = format!("docker.io/{IMAGE}");
    let listed = json!({"images": [{"id": in_node.0, "repoTags": [name], "repoDigests": []}]});
    let table = format!("REF TYPE DIGEST\n{name} application/vnd.oci.image.manifest.v1+json {}\n", in_node.1);
    FakeDocker::start(World {
        containers: vec![container],
        images: [(IMAGE.to_owned(), id.to_owned())].into_iter().filter(|(_, id)| !id.is_empty()).collect(),
        files: [kubeconfig].into(),
        commands: [
            ("crictl images -o json".to_owned(), listed.to_string()),
            ("ctr -n k8s.io images ls".to_owned(), table),
        ]
        .into(),
        ..World::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_runs_another_image_than_docker_has_is_told_by_status_and_plan() {
    let node = ("sha256:configuration", "sha256:manifest");
    for (what, runs, id, is_outdated) in [
        ("the same", "sha256:configuration", "sha256:configuration", false),
        ("the same, by its manifest", "sha256:configuration", "sha256:manifest", false),
        ("the same, by its name and manifest", "docker.io/team/console@sha256:manifest", "sha256:configuration", false),
        ("built again", "sha256:configuration", "sha256:newer", true),
        ("imported by a run that was killed then", "sha256:older", "sha256:configuration", true),
        ("nothing that Docker has any more", "sha256:configuration", "", false),
        ("nothing yet", "", "sha256:newer", false),
    ] {
        let (flyte, plan) = flyte(runs).await;
        let docker = docker(&flyte, id, node).await;
        let folder = tempfile::tempdir().expect("a folder");
        let variables = [("DOCKER_HOST".to_owned(), docker.host.clone())].into();
        let state = StateRoot::new(folder.path().to_owned());
        let host = Host { home: None, variables, state, program: "sandbox".into(), clients: Default::default() };
        let status = lifecycle::status(&plan, &host).await.expect("seen");
        let compared = lifecycle::compare(&plan, Vec::new(), &host, &run()).await.expect("seen").expect("there");
        assert_eq!(status.outdated, compared.outdated, "{what}");
        let named: Vec<_> = status.outdated.iter().map(|one| (one.object.name.as_str(), one.image.as_str())).collect();
        assert_eq!(named, if is_outdated { vec![("flyteconsole", IMAGE)] } else { vec![] }, "{what}");
    }
}
