//! Access to the cluster, as text. k3s writes it inside the node, where the API is at `127.0.0.1:6443` and everything
//! is called `default`.

use serde_json::{Value, json};

use super::plan::{network_name, node_name};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::yaml;

/// k3d tells k3s to write its kubeconfig here (`K3S_KUBECONFIG_OUTPUT`).
const PATH: &str = "/output/kubeconfig.yaml";

/// The kubeconfig of a cluster whose API is published on this port of 127.0.0.1; nothing until k3s has written it.
pub(super) async fn read(docker: &Docker, cluster: &str, api_port: u16) -> Result<Option<String>, Failure> {
    let Some(bytes) = docker.read_file(&node_name(cluster), PATH).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    // k3s does not write atomically: half a file is one that is not there yet.
    if text.trim().is_empty() || !text.contains("client-key-data") {
        return Ok(None);
    }
    rewrite(&text, cluster, api_port).map(Some)
}

/// The kubeconfig as seen from the host, under the names that k3d gives: context `k3d-<name>`, user `admin@k3d-<name>`.
fn rewrite(text: &str, cluster: &str, api_port: u16) -> Result<String, Failure> {
    let unusable = || Failure::new(Reason::ClusterNotReady, "cannot use the node's kubeconfig").on(PATH);
    let mut config = yaml::document(text).map_err(|error| unusable().caused_by(&error))?;
    let name = network_name(cluster);
    let user = format!("admin@{name}");
    let edits: [(&str, Value); 7] = [
        ("/clusters/0/cluster/server", json!(format!("https://127.0.0.1:{api_port}"))),
        ("/clusters/0/name", json!(name)),
        ("/users/0/name", json!(user)),
        ("/contexts/0/name", json!(name)),
        ("/contexts/0/context/cluster", json!(name)),
        ("/contexts/0/context/user", json!(user)),
        ("/current-context", json!(name)),
    ];
    for (pointer, value) in edits {
        *config.pointer_mut(pointer).ok_or_else(|| unusable().because(format!("it has no {pointer}")))? = value;
    }
    Ok(yaml::emit(&config))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: Q0E=\n    server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\ncurrent-context: default\nkind: Config\npreferences: {}\nusers:\n- name: default\n  user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n";

    #[test]
    fn names_and_address_are_the_hosts_and_credentials_stay() {
        insta::assert_snapshot!(rewrite(WRITTEN, "flyte", 6550).expect("rewritten"));
    }

    #[test]
    fn rewriting_twice_is_rewriting_once() {
        let once = rewrite(WRITTEN, "flyte", 6550).expect("rewritten");
        assert_eq!(rewrite(&once, "flyte", 6550).expect("rewritten"), once);
    }

    #[test]
    fn a_file_without_a_cluster_is_a_failure_that_says_so() {
        let failure = rewrite("kind: Config\n", "flyte", 6550).expect_err("no cluster");
        assert_eq!(failure.causes, ["it has no /clusters/0/cluster/server"]);
    }
}
