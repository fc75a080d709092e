//! The Kubernetes API in memory answers as a real one does.

use flyte_sandbox::kubernetes::client;
use flyte_sandbox::rehearsal::ApiServer;

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
