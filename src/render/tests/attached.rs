//! Objects rendered for an attached cluster, compared with those for a node.

use super::*;
use crate::spec::EngineKind;

fn attached() -> Spec {
    Spec { engine: Some(EngineKind::Context), context: Some("team".to_owned()), ..Spec::default() }
}

/// The objects as on an attached cluster: nothing cluster-scoped, no NodePorts, and its own `default` accounts.
fn reduced(mut objects: Vec<Object>) -> Vec<Object> {
    objects.retain(|object| object.namespace().is_some() && !object.is("ServiceAccount", "default"));
    for service in objects.iter_mut().filter(|object| object.kind() == "Service") {
        if service.get("/spec/type").is_some_and(|kind| kind == "NodePort") {
            service.set(&["spec", "type"], "ClusterIP");
        }
        for port in service.get_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.shift_remove("nodePort");
            }
        }
    }
    objects
}

fn without_data(mut objects: Vec<Object>) -> Vec<Object> {
    objects.retain(|object| !["postgres", "minio"].iter().any(|name| object.is("Deployment", name)));
    objects
}

#[test]
fn an_attached_cluster_gets_the_same_without_cluster_scoped_objects() {
    for bundle in std::iter::once(ours()).chain(upstream()) {
        let ours = rendered(&Spec::default(), bundle.clone()).objects;
        let theirs = rendered(&attached(), bundle).objects;
        assert!(ours.len() > theirs.len());
        // The node's data volume is our own node's.
        assert!(theirs.iter().all(|object| !object.value().to_string().contains("hostPath")));
        let (theirs, ours) = (without_data(theirs), without_data(reduced(ours)));
        assert_eq!(theirs, ours);
    }
}

#[test]
fn what_else_is_the_whole_clusters_is_left_out_with_a_warning() {
    let mut bundle = ours();
    bundle.objects.push(Object::named("scheduling.k8s.io/v1", "PriorityClass", "important"));
    let rendered = rendered(&attached(), bundle);
    assert!(rendered.objects.iter().all(|object| object.kind() != "PriorityClass"));
    let warned =
        rendered.warnings.iter().any(|warning| warning.to_string().contains("priorityclass important is left out"));
    assert!(warned, "{:?}", rendered.warnings);
}
