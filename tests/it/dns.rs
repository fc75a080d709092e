//! The wait for CoreDNS against a Kubernetes API in memory.

use std::time::Duration;

use flyte_sandbox::cluster::wait_for_dns;
use flyte_sandbox::failure::Reason;
use flyte_sandbox::rehearsal::ApiServer;
use flyte_sandbox::run::{Deadline, Run};
use serde_json::{Value, json};

use crate::support::docker::run;
use crate::support::wait::until;

fn in_kube_system(kind: &str, version: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind,
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}});
    object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    object
}

/// CoreDNS with this many pods available.
fn coredns(available: u8) -> Value {
    let status = json!({"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available});
    let spec = json!({"selector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    in_kube_system("Deployment", "apps/v1", json!({"spec": spec, "status": status}))
}

/// k3s writes the names of nodes for CoreDNS when a node changes, and not where there is no ConfigMap yet.
#[tokio::test]
async fn a_node_is_touched_until_k3s_writes_the_hosts_that_coredns_waits_for_and_no_longer() {
    for has_hosts in [false, true] {
        let api = ApiServer::start(21).await.expect("a free port");
        let hosts = in_kube_system("ConfigMap", "v1", json!({"data": {"Corefile": ".", "NodeHosts": "10.0.0.2 n"}}));
        let bare = in_kube_system("ConfigMap", "v1", json!({"data": {"Corefile": "."}}));
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}));
        api.put(if has_hosts { hosts.clone() } else { bare });
        api.put(coredns(0));
        let touched = || {
            let objects = api.objects();
            let node = objects.iter().find(|object| object["kind"] == "Node").expect("there");
            node["metadata"]["annotations"]["sandbox.flyte/touched"].is_string()
        };
        let looked_twice = || api.requests().iter().filter(|request| request.contains("/pods")).count() >= 2;
        let k3s = async {
            match has_hosts {
                true => until("it is looked at twice", looked_twice).await,
                false => until("the node is touched", touched).await,
            }
            api.put(hosts.clone());
            api.put(coredns(1));
        };
        let client = flyte_sandbox::kubernetes::client(&api.kubeconfig()).expect("a client");
        let alone = run();
        let (waited, ()) = tokio::join!(wait_for_dns(&client, &alone), k3s);
        waited.expect("ready");
        assert_eq!(touched(), !has_hosts);
    }
}

/// As seen on a node that has no pause image and no network to pull it.
#[tokio::test]
async fn what_holds_corednss_pod_back_is_the_cause() {
    let api = ApiServer::start(21).await.expect("a free port");
    api.put(coredns(0));
    let waiting = json!([{"name": "coredns", "state": {"waiting": {"reason": "ContainerCreating"}}}]);
    api.put(in_kube_system("Pod", "v1", json!({"status": {"phase": "Pending", "containerStatuses": waiting}})));
    let said = "Failed to create pod sandbox: failed to get sandbox image \"rancher/pause:3.1\": failed to pull image";
    let about = json!({"kind": "Pod", "name": "coredns"});
    api.put(in_kube_system(
        "Event",
        "v1",
        json!({"involvedObject": about, "reason": "FailedCreatePodSandBox", "message": said}),
    ));
    let client = flyte_sandbox::kubernetes::client(&api.kubeconfig()).expect("a client");
    let run = Run { deadline: Deadline::after(Duration::from_millis(500)), ..run() };
    let failure = wait_for_dns(&client, &run).await.expect_err("no pod");
    assert_eq!(failure.reason, Reason::PodImage, "{failure:?}");
    assert_eq!(failure.what, "cluster DNS is not ready");
    assert_eq!(failure.object.as_deref(), Some("deployment kube-system/coredns"));
    assert_eq!(failure.causes.last(), Some(&format!("container coredns: ContainerCreating: {said}")));
}
