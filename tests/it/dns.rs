//! The wait for CoreDNS against a Kubernetes API in memory.

use flyte_sandbox::cluster::wait_for_dns;
use flyte_sandbox::rehearsal::ApiServer;
use serde_json::{Value, json};

use crate::support::docker::run;
use crate::support::wait::until;

/// k3s writes the names of nodes for CoreDNS when a node changes, and not where there is no ConfigMap yet.
#[tokio::test]
async fn a_node_is_touched_until_k3s_writes_the_hosts_that_coredns_waits_for_and_no_longer() {
    for has_hosts in [false, true] {
        let api = ApiServer::start(21).await.expect("a free port");
        let in_kube_system = |kind: &str, version: &str, more: Value| {
            let mut object = json!({"apiVersion": version, "kind": kind,
                "metadata": {"name": "coredns", "namespace": "kube-system"}});
            object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            object
        };
        let hosts = in_kube_system("ConfigMap", "v1", json!({"data": {"Corefile": ".", "NodeHosts": "10.0.0.2 n"}}));
        let bare = in_kube_system("ConfigMap", "v1", json!({"data": {"Corefile": "."}}));
        let coredns = |ready: u8| in_kube_system("Deployment", "apps/v1", json!({"status": {"readyReplicas": ready}}));
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
