//! What cannot be rendered is told, and what cannot be placed too.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::failure::{Failure, Reason};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, namespace: flyte}
spec: {template: {spec: {containers: [{name: nginx, image: 'nginx:1', env: [{name: A, value: minio.flyte}]}]}}}
";

fn with(extra: &str) -> Bundle {
    let mut bundle = ours();
    bundle.objects.extend(super::bundle(extra).objects);
    bundle
}

fn warnings(extra: &str) -> Vec<String> {
    let output = rendered(&Spec::default(), with(extra));
    output.warnings.iter().map(|warning| format!("{} {}", warning.object, warning.message)).collect()
}

#[test]
fn what_is_no_flyte_is_told_by_what_it_lacks_and_has() {
    let error = render(&Spec::default(), bundle(DEPLOYMENT)).expect_err("no Flyte");
    let failure = Failure::from(error);
    assert_eq!(failure.reason, Reason::Manifests);
    assert!(failure.causes[0].contains("no Deployment flyteadmin"), "{failure}");
    assert!(failure.causes[0].contains("no CustomResourceDefinition flyteworkflows.flyte.lyft.com"), "{failure}");
    assert_eq!(failure.evidence, ["found instead: Deployment nginx"]);
}

#[test]
fn a_workload_of_nobodys_is_kept_moved_and_told() {
    let told = warnings(DEPLOYMENT);
    assert_eq!(
        told,
        ["deployment 103020-flytepoc-dev/nginx is kept and runs nginx:1: it is no component that a sandbox knows"]
    );
    let output = rendered(&Spec::default(), with(DEPLOYMENT));
    let nginx = find(&output, "Deployment", "nginx");
    assert!(nginx.value().to_string().contains("minio.103020-flytepoc-dev"));
}

#[test]
fn permissions_beyond_the_sandbox_are_left_out_and_told() {
    let told = warnings("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}}");
    assert_eq!(told, ["clusterrole all is left out: nothing in a sandbox has permissions in the whole cluster"]);
}

#[test]
fn a_role_of_nobodys_is_kept_and_told() {
    let told = warnings("{apiVersion: rbac.authorization.k8s.io/v1beta1, kind: Role, metadata: {name: r}, rules: []}");
    assert_eq!(told, ["role 103020-flytepoc-dev/r is kept, though no component of Flyte needs it"]);
}

#[test]
fn an_ingress_that_leads_elsewhere_is_left_out_and_told() {
    let ingress = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: flyte},
        spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: nginx}}}]}}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: nginx, namespace: flyte}, spec: {selector: {a: b}, ports: [{port: 80}]}}
";
    assert_eq!(
        warnings(ingress),
        ["ingress flyte/i is left out: no ingress controller runs in the sandbox, so it does not lead to nginx"]
    );
}

#[test]
fn a_namespace_that_something_lives_in_is_kept_and_told() {
    let told = warnings(
        "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: other}}",
    );
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("namespace other is kept"), "{told:?}");
}

#[test]
fn what_would_break_an_invariant_is_told_with_its_place() {
    for (object, path, why) in [
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a.yaml: 'a: [{b: 10302-flytepoc-x}]'}}",
            "data[a.yaml].a[0].b",
            "still has the mistyped owner id `10302-`",
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: nowhere}}",
            "metadata.namespace",
            "is `nowhere`, which is not a namespace of this sandbox",
        ),
        (
            "{apiVersion: authentication.k8s.io/v1beta1, kind: TokenReview, metadata: {name: s}}",
            "apiVersion",
            "is authentication.k8s.io/v1beta1, which Kubernetes no longer serves",
        ),
    ] {
        match render(&Spec::default(), with(object)) {
            Err(RenderError::Invariant { path: at, why: told, .. }) => {
                assert_eq!((at.as_str(), told.as_str()), (path, why))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_workflow_namespaces_of_one_name_are_told() {
    let mut spec = Spec { projects: vec!["a".to_owned(), "a-b".to_owned()], ..Spec::default() };
    let domain = |id: &str| crate::spec::Domain { id: id.to_owned(), name: id.to_owned() };
    spec.domains = vec![domain("b-c"), domain("c")];
    let error = render(&spec, ours()).expect_err("a-b-c twice");
    assert!(error.to_string().contains("is that of another object too"), "{error}");
}

#[test]
fn a_configuration_that_is_not_yaml_is_told_with_its_file() {
    let mut bundle = ours();
    for object in bundle.objects.iter_mut().filter(|object| object.is("ConfigMap", "flyte-admin-config")) {
        object.set(&["data", "db.yaml"], "database: [");
    }
    let failure = Failure::from(render(&Spec::default(), bundle).expect_err("not YAML"));
    assert_eq!(failure.object.as_deref(), Some("configmap flyte/flyte-admin-config"));
    assert!(failure.causes[0].contains("`db.yaml`"), "{failure}");
}

/// The places of a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                places(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_shape_of_an_object_stops_rendering_with_a_panic(
        object in any::<proptest::sample::Index>(),
        place in any::<proptest::sample::Index>(),
        strange in proptest::sample::select(vec![json!("x"), json!(["x", 1]), json!({"x": []}), json!(1), json!([[]])]),
    ) {
        let mut bundle = ours();
        let object = object.index(bundle.objects.len());
        let object = &mut bundle.objects[object];
        let mut found = Vec::new();
        places(object.value(), "", &mut found);
        found.retain(|place| place.starts_with("/spec") || place.starts_with("/data") || place.starts_with("/metadata/l"));
        if let Some(place) = found.get(place.index(found.len().max(1))) {
            *object.get_mut(place).expect("a place") = strange;
        }
        // Either way: what makes no sense is for Kubernetes to refuse.
        match render(&Spec::default(), bundle) {
            Ok(output) => prop_assert!(!output.objects.is_empty()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
