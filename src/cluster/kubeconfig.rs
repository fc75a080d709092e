//! The kubeconfig of a cluster. k3s writes it inside the node, where the API is at `127.0.0.1:6443` and everything
//! is called `default`.

use serde_json::{Value, json};

use super::error::Error;
use super::forwarder;
use super::k3s_args::KUBECONFIG_PATH;
use crate::docker::Docker;
use crate::plan::{API_PORT, network_name, node_name};
use crate::yaml;

/// The kubeconfig of a running cluster, as seen from this host.
///
/// # Errors
/// [`Error::KubeconfigUnwritten`], [`Error::ApiUnpublished`], [`Error::Docker`].
pub async fn kubeconfig(docker: &Docker, cluster: &str) -> Result<String, Error> {
    let port = api_port(docker, cluster).await?;
    let unwritten = || Error::KubeconfigUnwritten { cluster: cluster.to_owned() };
    read(docker, cluster, port).await?.ok_or_else(unwritten)
}

/// Whether a kubeconfig names the API that this cluster's node publishes now.
///
/// # Errors
/// [`Error::ApiUnpublished`], [`Error::Docker`].
pub async fn is_of(docker: &Docker, cluster: &str, kubeconfig: &str) -> Result<bool, Error> {
    let address = format!("127.0.0.1:{}", api_port(docker, cluster).await?);
    let named = yaml::document(kubeconfig).unwrap_or_default();
    let server = named.pointer("/clusters/0/cluster/server").and_then(Value::as_str).unwrap_or_default();
    Ok(server.split_once("://").is_some_and(|(_, named)| named == address))
}

pub(super) async fn api_port(docker: &Docker, cluster: &str) -> Result<u16, Error> {
    let node = forwarder::node(docker, cluster).await?;
    let ports = node.map(|node| node.ports).unwrap_or_default();
    let port = ports.iter().find(|port| port.container == API_PORT).map(|port| port.host);
    port.ok_or_else(|| Error::ApiUnpublished { cluster: cluster.to_owned() })
}

/// Merges a kubeconfig into another one: entries of the same name are replaced, everything else stays. The current
/// context stays as well, if there is one.
///
/// # Errors
/// One of the two is not YAML.
pub fn merge_kubeconfig(theirs: &str, ours: &str) -> Result<String, yaml::YamlError> {
    let mut merged = match yaml::document(theirs)? {
        Value::Object(map) => Value::Object(map),
        _ => json!({"apiVersion": "v1", "kind": "Config"}),
    };
    let ours = yaml::document(ours)?;
    for list in ["clusters", "users", "contexts"] {
        let added = ours[list].as_array().cloned().unwrap_or_default();
        let mut kept = merged[list].as_array().cloned().unwrap_or_default();
        kept.retain(|entry| !added.iter().any(|new| new["name"] == entry["name"]));
        kept.extend(added);
        merged[list] = Value::Array(kept);
    }
    if merged["current-context"].as_str().is_none_or(str::is_empty) {
        merged["current-context"] = ours["current-context"].clone();
    }
    Ok(yaml::emit(&merged))
}

/// The kubeconfig of a cluster whose API is published on this port of 127.0.0.1; nothing until k3s has written it.
pub(super) async fn read(docker: &Docker, cluster: &str, api_port: u16) -> Result<Option<String>, Error> {
    let Some(bytes) = docker.read_file(&node_name(cluster), KUBECONFIG_PATH).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    // k3s does not write atomically: half a file is one that is not there yet.
    if text.trim().is_empty() || !text.contains("client-key-data") {
        return Ok(None);
    }
    rewrite(&text, cluster, api_port).map(Some)
}

/// The kubeconfig as seen from the host.
fn rewrite(text: &str, cluster: &str, api_port: u16) -> Result<String, Error> {
    let mut config = yaml::document(text).map_err(Error::KubeconfigSyntax)?;
    let server = config.pointer("/clusters/0/cluster/server").and_then(Value::as_str).unwrap_or_default();
    let scheme = if server.starts_with("http://") { "http" } else { "https" };
    let server = json!(format!("{scheme}://127.0.0.1:{api_port}"));
    let pointer = "/clusters/0/cluster/server";
    *config.pointer_mut(pointer).ok_or(Error::KubeconfigLacks(pointer))? = server;
    named(config, cluster)
}

/// A kubeconfig under the names that k3d gives: context `k3d-<name>`, user `admin@k3d-<name>`.
///
/// # Errors
/// [`Error::KubeconfigSyntax`], [`Error::KubeconfigLacks`].
pub fn kubeconfig_named(kubeconfig: &str, sandbox: &str) -> Result<String, Error> {
    named(yaml::document(kubeconfig).map_err(Error::KubeconfigSyntax)?, sandbox)
}

fn named(mut config: Value, sandbox: &str) -> Result<String, Error> {
    let name = network_name(sandbox);
    let user = format!("admin@{name}");
    let edits: [(&'static str, Value); 6] = [
        ("/clusters/0/name", json!(name)),
        ("/users/0/name", json!(user)),
        ("/contexts/0/name", json!(name)),
        ("/contexts/0/context/cluster", json!(name)),
        ("/contexts/0/context/user", json!(user)),
        ("/current-context", json!(name)),
    ];
    for (pointer, value) in edits {
        *config.pointer_mut(pointer).ok_or(Error::KubeconfigLacks(pointer))? = value;
    }
    Ok(yaml::emit(&config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    const WRITTEN: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: Q0E=\n    server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\ncurrent-context: default\nkind: Config\npreferences: {}\nusers:\n- name: default\n  user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n";

    #[test]
    fn names_and_address_are_the_hosts_and_credentials_stay() {
        insta::assert_snapshot!(rewrite(WRITTEN, "flyte", 6550).expect("rewritten"));
    }

    #[test]
    fn a_cluster_under_another_name_keeps_its_address_and_credentials() {
        let spare = rewrite(WRITTEN, "flyte-spare", 6550).expect("rewritten");
        let named = kubeconfig_named(&spare, "flyte").expect("named");
        assert_eq!(named, rewrite(WRITTEN, "flyte", 6550).expect("rewritten"));
        assert!(!named.contains("spare"), "{named}");
    }

    #[test]
    fn merging_keeps_what_is_there_and_the_current_context() {
        let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters: [{name: work, cluster: {server: https://work}}]\nusers: [{name: me, user: {}}]\ncontexts: [{name: work, context: {cluster: work, user: me}}]\n";
        let ours = rewrite(WRITTEN, "flyte", 6550).expect("rewritten");
        let merged = merge_kubeconfig(theirs, &ours).expect("merged");
        assert_eq!(merge_kubeconfig(&merged, &ours).expect("merged"), merged, "merging twice is merging once");
        let merged = yaml::document(&merged).expect("YAML");
        let names =
            |list: &str| merged[list].as_array().expect("a list").iter().map(|e| e["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names("clusters"), ["work", "k3d-flyte"]);
        assert_eq!(names("users"), ["me", "admin@k3d-flyte"]);
        assert_eq!(merged["current-context"], "work");
    }

    #[test]
    fn merging_into_nothing_makes_a_usable_file() {
        let ours = rewrite(WRITTEN, "flyte", 6550).expect("rewritten");
        let merged = yaml::document(&merge_kubeconfig("", &ours).expect("merged")).expect("YAML");
        assert_eq!((&merged["current-context"], &merged["kind"]), (&json!("k3d-flyte"), &json!("Config")));
    }

    #[test]
    fn rewriting_twice_is_rewriting_once() {
        let once = rewrite(WRITTEN, "flyte", 6550).expect("rewritten");
        assert_eq!(rewrite(&once, "flyte", 6550).expect("rewritten"), once);
    }

    #[test]
    fn a_file_without_a_cluster_is_a_failure_that_says_so() {
        let failure = Failure::from(rewrite("kind: Config\n", "flyte", 6550).expect_err("no cluster"));
        assert_eq!(failure.causes, ["it has no /clusters/0/cluster/server"]);
    }
}
