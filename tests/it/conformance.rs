//! The Kubernetes API in memory answers as a real one does.

use flyte_sandbox::kubernetes::client;
use flyte_sandbox::rehearsal::ApiServer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ResourceExt};
use serde_json::json;

use crate::support::conformance;

#[tokio::test]
async fn the_double_answers_as_kubernetes_does() {
    let double = ApiServer::start(21).await.expect("a free port");
    let client = client(&double.kubeconfig()).expect("a client");
    let mut differences = Vec::new();
    for ask in conformance::all() {
        differences.extend(ask.differences(&ask.send(&client).await));
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Of several fields that it does not know an API names any one: its maps have no order.
#[tokio::test]
async fn a_row_that_is_refused_for_an_unknown_field_has_one() {
    let double = ApiServer::start(21).await.expect("a free port");
    let client = client(&double.kubeconfig()).expect("a client");
    double.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "conformance"}}));
    let mut looked_at = 0;
    for ask in conformance::without_the_unknown_field() {
        let answer = ask.send(&client).await;
        let message = answer.message();
        assert!(!message.contains("not declared") && !message.contains("not found"), "{message}");
        looked_at += 1;
    }
    assert!(looked_at > 9, "{looked_at} rows");
}

/// What is served goes by the minor version: a kind that has gone, and one that is not there yet, are not found.
#[tokio::test]
async fn the_double_serves_the_kinds_of_its_version() {
    for (minor, version, is_served) in [
        (21, "policy/v1beta1", true),
        (33, "policy/v1beta1", false),
        (21, "autoscaling/v2", false),
        (33, "autoscaling/v2", true),
        (21, "coordination.k8s.io/v1", true),
    ] {
        let double = ApiServer::start(minor).await.expect("a free port");
        let client = client(&double.kubeconfig()).expect("a client");
        let listed = client.list_api_group_resources(version).await;
        assert_eq!(listed.is_ok(), is_served, "{version} 1.{minor}");
    }
    let double = ApiServer::start(21).await.expect("a free port");
    let groups = client(&double.kubeconfig()).expect("a client").list_api_groups().await.expect("groups").groups;
    let policy: Vec<_> = groups.iter().filter(|group| group.name == "policy").collect();
    let versions: Vec<&str> = policy.iter().flat_map(|one| &one.versions).map(|one| one.version.as_str()).collect();
    assert_eq!((policy.len(), versions), (1, vec!["v1", "v1beta1"]), "a group stands once");
}

/// The limit is the client's; what it reads page by page is what is there.
#[tokio::test]
async fn the_pages_of_a_list_are_the_whole_list() {
    let double = ApiServer::start(21).await.expect("a free port");
    for namespace in ["a", "b"] {
        for number in 0..5 {
            double.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": format!("c{number}"), "namespace": namespace, "labels": {"of": namespace}}}));
        }
    }
    let maps: Api<ConfigMap> = Api::all(client(&double.kubeconfig()).expect("a client"));
    for (labels, left_of_the_first) in [("", Some(7)), ("of=b", None)] {
        let (mut seen, mut pages, mut parameters) = (Vec::new(), 0, ListParams::default().labels(labels).limit(3));
        loop {
            let page = maps.list(&parameters).await.expect("a page");
            assert!(page.items.len() <= 3);
            if pages == 0 {
                assert_eq!(page.metadata.remaining_item_count, left_of_the_first);
            }
            pages += 1;
            seen.extend(page.items.iter().map(|map| format!("{}/{}", map.namespace().expect("one"), map.name_any())));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        let whole = maps.list(&ListParams::default().labels(labels)).await.expect("a list");
        let whole = whole.items.iter().map(|map| format!("{}/{}", map.namespace().expect("one"), map.name_any()));
        assert_eq!((seen, pages), (whole.collect(), if labels.is_empty() { 4 } else { 2 }));
    }
}
