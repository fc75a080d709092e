//! What holds for every valid spec.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::spec::{Domain, Ports, Secret, Storage};

/// Ids that YAML 1.1 readers take for something else than text when they are not quoted.
const TRAPS: [&str; 12] = ["y", "n", "on", "off", "no", "yes", "true", "null", "1e3", "0x1f", "012", "1"];

fn id() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(&TRAPS[..]).prop_map(str::to_owned), "[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,3})?"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![id(), "[a-zA-Z0-9:#{}'\"!&*%@ -]{3,12}"]
}

prop_compose! {
    fn spec()(
        appid in "[0-9]{5,6}|10302",
        system_project in "[a-z]{1,8}",
        env in "[a-z]{1,4}",
        projects in proptest::collection::btree_set(id(), 1..3),
        domains in proptest::collection::btree_set(id(), 1..3),
        dashboard in 1024_u16..,
        (bucket, access_key, secret_key) in ("[a-z][a-z0-9-]{2,10}", text(), text()),
    ) -> Spec {
        let domain = |id: String| Domain { name: id.to_uppercase(), id };
        Spec {
            name: "sandbox".to_owned(),
            appid, system_project, env,
            projects: projects.into_iter().collect(),
            domains: domains.into_iter().map(domain).collect(),
            ports: Ports { dashboard, ..Spec::default().ports },
            storage: Storage { bucket, access_key, secret_key: Secret::new(secret_key), ..Spec::default().storage },
            ..Spec::default()
        }
    }
}

/// Specs whose namespaces all differ; others are refused before they are rendered.
fn valid() -> impl Strategy<Value = Spec> {
    spec().prop_filter("one namespace for two", |spec| {
        let workflows = spec.workflow_namespaces();
        let names: BTreeSet<String> =
            workflows.iter().map(|one| one.name.clone()).chain([spec.system_namespace()]).collect();
        names.len() == workflows.len() + 1
    })
}

fn input() -> impl Strategy<Value = Bundle> {
    any::<bool>().prop_map(|own| if own { ours() } else { bundle(include_str!("defective.yaml")) })
}

/// The names under a key of a reference, anywhere in a pod.
fn references<'a>(value: &'a Value, keys: &[(&str, &str)], found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                for (_, field) in keys.iter().filter(|(reference, _)| reference == key) {
                    found.extend(inner.get(*field).and_then(Value::as_str));
                }
                references(inner, keys, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, keys, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rendering_what_is_rendered_changes_nothing(spec in valid(), input in input()) {
        let once = rendered(&spec, input);
        let again = Bundle { origin: "rendered".to_owned(), objects: once.objects.clone(), ..Bundle::default() };
        prop_assert_eq!(rendered(&spec, again).objects, once.objects);
    }

    #[test]
    fn rendering_what_was_rendered_for_another_spec_is_rendering(one in valid(), other in valid(), input in input()) {
        let Ok(first) = render(&one, input.clone()) else { return Ok(()) };
        let again = Bundle { origin: "rendered".to_owned(), objects: first.objects, ..Bundle::default() };
        // What one spec named may be what the other must not name.
        prop_assume!(one.appid != "10302");
        let (again, direct) = (rendered(&other, again), rendered(&other, input));
        prop_assert_eq!(crate::render::changes::between(&again.objects, &direct.objects), vec![]);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        spec in valid(),
        (input, shuffled) in input().prop_flat_map(|input| (Just(input.clone()), Just(input.objects).prop_shuffle())),
    ) {
        let shuffled = Bundle { origin: "shuffled".to_owned(), objects: shuffled, ..Bundle::default() };
        prop_assert_eq!(rendered(&spec, shuffled), rendered(&spec, input));
    }

    #[test]
    fn every_reference_leads_to_an_object(spec in valid(), input in input()) {
        let output = rendered(&spec, input);
        let exists = |kind: &str, namespace: Option<&str>, name: &str| {
            output.objects.iter().any(|object| object.is(kind, name) && object.namespace() == namespace)
        };
        for object in &output.objects {
            let namespace = object.namespace();
            prop_assert!(namespace.is_none_or(|namespace| exists("Namespace", None, namespace)), "{}", object.reference());
            if let Some(pod) = object.pod_spec() {
                for (kind, keys) in [
                    ("ConfigMap", &[("configMap", "name"), ("configMapRef", "name"), ("configMapKeyRef", "name")][..]),
                    ("Secret", &[("secret", "secretName"), ("secretKeyRef", "name")]),
                ] {
                    let mut names = BTreeSet::new();
                    references(pod, keys, &mut names);
                    for name in names {
                        prop_assert!(exists(kind, namespace, name), "{}: {kind} {name}", object.reference());
                    }
                }
                let account = pod.get("serviceAccountName").and_then(Value::as_str);
                prop_assert!(account.is_none_or(|name| exists("ServiceAccount", namespace, name)), "{account:?}");
                let template = object.get("/spec/template/metadata/labels").and_then(Value::as_object);
                let selector = object.get("/spec/selector/matchLabels").and_then(Value::as_object);
                let (template, selector) = (template.expect("labels"), selector.expect("a selector"));
                prop_assert!(selector.iter().all(|(key, value)| template.get(key) == Some(value)));
            }
            if object.kind() == "RoleBinding" {
                let role = object.get("/roleRef/name").and_then(Value::as_str).expect("a role");
                prop_assert!(exists("Role", namespace, role));
                let subject = |field: &str| object.get(&format!("/subjects/0/{field}")).and_then(Value::as_str);
                prop_assert!(exists("ServiceAccount", subject("namespace"), subject("name").expect("a subject")));
            }
        }
    }

    #[test]
    fn nothing_of_the_namespace_it_came_from_is_left(spec in valid(), input in input()) {
        let output = rendered(&spec, input);
        for object in &output.objects {
            let text = object.value().to_string();
            prop_assert!(!text.contains(".flyte.svc") && !text.contains("minio.flyte:"), "{}", text);
            prop_assert!(!text.contains("namespace: flyte\\n") && !text.contains("\"namespace\":\"flyte\""), "{}", text);
            prop_assert!(!text.contains("flytesnacks"), "{}", text);
            prop_assert!(!matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding"));
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(spec in valid(), input in input()) {
        let output = rendered(&spec, input);
        let text = crate::yaml::emit_documents(&output.objects);
        prop_assert_eq!(&bundle(&text).objects, &output.objects);
        let domains = setting(&output, "flyte-admin-config", &["domains"]).expect("domains");
        let ids: Vec<&str> = domains.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
        let expected: Vec<&str> = spec.domains.iter().map(|domain| domain.id.as_str()).collect();
        prop_assert_eq!(ids, expected);
        let key = setting(&output, "datacatalog-config", &["storage", "connection", "secret-key"]);
        prop_assert_eq!(key, Some(Value::from(spec.storage.secret_key.expose())));
        let mut containers = find(&output, "Deployment", "flyteadmin").containers();
        prop_assert!(containers.all(|one| one["name"] != "seed-projects"), "admin would restart for a project");
    }
}

#[test]
fn every_object_and_pod_carries_the_sandbox_and_no_selector_does() {
    let spec = Spec { name: "other".to_owned(), ..Spec::default() };
    let output = rendered(&spec, ours());
    for object in &output.objects {
        assert_eq!(object.label("app.kubernetes.io/managed-by"), Some("sandbox"), "{}", object.reference());
        assert_eq!(object.label("sandbox.flyte/name"), Some("other"), "{}", object.reference());
        if object.pod_spec().is_some() {
            let labels = object.get("/spec/template/metadata/labels").expect("labels");
            assert_eq!(labels["sandbox.flyte/name"], "other");
        }
        let selector = object.get("/spec/selector").map(Value::to_string).unwrap_or_default();
        assert!(!selector.contains("sandbox.flyte/name") && !selector.contains("managed-by"), "{selector}");
    }
}

#[test]
fn the_images_of_a_spec_go_before_the_pinned_ones_and_stay() {
    let mut spec = Spec::default();
    spec.images.insert("flyteadmin".to_owned(), "local/admin-patched:1".parse().expect("an image"));
    spec.images.insert("postgres".to_owned(), "local/database:2".parse().expect("an image"));
    let once = rendered(&spec, ours());
    let images: BTreeSet<String> = find(&once, "Deployment", "flyteadmin")
        .containers()
        .filter_map(|one| one["image"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(images, BTreeSet::from(["local/admin-patched:1".to_owned(), "local/database:2".to_owned()]));
    assert_eq!(once.warnings, []);
    let back = rendered(
        &Spec::default(),
        Bundle { origin: "rendered".to_owned(), objects: once.objects, ..Bundle::default() },
    );
    assert_eq!(back.objects, rendered(&Spec::default(), ours()).objects);
}
