//! Who reaches whom where NetworkPolicies are asked for, as a controller would judge it.

use serde_json::{Map, json};

use super::*;
use crate::spec::EngineKind;

const SYSTEM: &str = "103020-flytepoc-dev";
const X: &str = "103020-flytepoc-x-d-dev";
const X_TEST: &str = "103020-flytepoc-x-t-dev";
const Y: &str = "103020-flytepoc-y-d-dev";

fn asked_for() -> Spec {
    Spec { network_policies: true, ..Spec::default() }
}

struct Pod {
    namespace: &'static str,
    labels: Value,
}

/// A pod of a Deployment, or one that propeller made for a task.
fn pod(rendered: &Rendered, name: &'static str) -> Pod {
    if let Some((_, namespace)) = name.split_once("task in ") {
        return Pod { namespace, labels: json!({"domain": "d-dev", "execution-id": "f1"}) };
    }
    let deployment = find(rendered, "Deployment", name);
    let labels = deployment.get("/spec/template/metadata/labels").expect("labels").clone();
    Pod { namespace: SYSTEM, labels }
}

/// Whether a label selector selects; what these policies do not use is not known here.
fn selects(selector: &Value, labels: &Value) -> bool {
    let known = |key: &str| ["matchLabels", "matchExpressions"].contains(&key);
    assert!(selector.as_object().expect("a selector").keys().all(|key| known(key)), "{selector}");
    let empty = Map::new();
    let wanted = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&empty);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|one| {
            assert_eq!(one["operator"], "In");
            let value = labels.get(one["key"].as_str().expect("a key"));
            value.is_some_and(|value| one["values"].as_array().expect("values").contains(value))
        })
}

fn reaches(rendered: &Rendered, from: &Pod, to: &Pod) -> bool {
    let here = |policy: &&Object| {
        policy.namespace() == Some(to.namespace)
            && selects(policy.get("/spec/podSelector").expect("a selector"), &to.labels)
    };
    let mut policies = all(rendered, "NetworkPolicy").filter(here).peekable();
    if policies.peek().is_none() {
        return true;
    }
    let lets_in = |peer: &Value| {
        let namespace = json!({"kubernetes.io/metadata.name": from.namespace});
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => selects(selector, &namespace),
            None => from.namespace == to.namespace,
        };
        namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, &from.labels))
    };
    policies.any(|policy| {
        assert_eq!(policy.get("/spec/policyTypes"), Some(&json!(["Ingress"])));
        let rules = policy.get("/spec/ingress").and_then(Value::as_array).expect("rules");
        rules.iter().any(|rule| rule["from"].as_array().expect("peers").iter().any(lets_in))
    })
}

/// Everybody that anything may ask for, and in the order of these, who reaches whom.
const WHO: [&str; 10] = [
    "flyteadmin",
    "datacatalog",
    "flytepropeller-x-d-dev",
    "flyteconsole",
    "kubernetes-dashboard",
    "gateway",
    "minio",
    "task in 103020-flytepoc-x-d-dev",
    "task in 103020-flytepoc-x-t-dev",
    "task in 103020-flytepoc-y-d-dev",
];

fn who_reaches(rendered: &Rendered, to: &'static str) -> Vec<&'static str> {
    let to = pod(rendered, to);
    WHO.into_iter().filter(|from| reaches(rendered, &pod(rendered, from), &to)).collect()
}

#[test]
fn pods_are_reached_by_those_who_have_business_with_them() {
    let tasks =
        ["task in 103020-flytepoc-x-d-dev", "task in 103020-flytepoc-x-t-dev", "task in 103020-flytepoc-y-d-dev"];
    for bundle in std::iter::once(ours()).chain(upstream()) {
        let rendered = rendered(&asked_for(), bundle);
        let admin = [&["flytepropeller-x-d-dev", "gateway"][..], &tasks].concat();
        for (to, from) in [
            ("postgres", &["flyteadmin", "datacatalog"][..]),
            ("datacatalog", &["flytepropeller-x-d-dev"]),
            ("flyteadmin", &admin),
            ("flyteconsole", &["gateway"]),
            ("flytepropeller-x-d-dev", &[]),
            ("minio", &WHO),
            ("gateway", &WHO),
            ("kubernetes-dashboard", &WHO),
            (tasks[0], &[tasks[0]]),
            (tasks[1], &[tasks[1]]),
            (tasks[2], &[tasks[2]]),
        ] {
            assert_eq!(who_reaches(&rendered, to), from, "who reaches {to}");
        }
    }
}

#[test]
fn nobody_who_did_not_ask_has_one() {
    let rendered = rendered(&Spec::default(), ours());
    assert_eq!(all(&rendered, "NetworkPolicy").count(), 0);
    assert!(!crate::yaml::emit_documents(&rendered.objects).contains("sandbox.flyte/component"));
}

#[test]
fn every_workflow_namespace_has_one_of_its_own() {
    let rendered = rendered(&asked_for(), ours());
    for namespace in [X, X_TEST, Y] {
        let there = all(&rendered, "NetworkPolicy").filter(|policy| policy.namespace() == Some(namespace));
        let there: Vec<_> = there.collect();
        assert_eq!(there.len(), 1, "{namespace}");
        assert_eq!(there[0].label(crate::flyte::labels::WORKFLOW_NAMESPACE), Some(namespace));
        assert_eq!(there[0].label(crate::flyte::labels::SANDBOX_NAME), Some("flyte"));
    }
}

#[test]
fn a_policy_that_came_in_is_kept_and_told_to_have_no_effect_unless_they_are_asked_for() {
    let mut bundle = ours();
    let mut theirs = Object::named("networking.k8s.io/v1", "NetworkPolicy", "theirs");
    theirs.set(&["metadata", "namespace"], "flyte");
    theirs.set(&["spec"], json!({"podSelector": {}}));
    bundle.objects.push(theirs);
    let given = Spec { engine: Some(EngineKind::Context), context: Some("team".to_owned()), ..Spec::default() };
    for (spec, told) in [(Spec::default(), true), (asked_for(), false), (given, false)] {
        let rendered = rendered(&spec, bundle.clone());
        assert_eq!(find(&rendered, "NetworkPolicy", "theirs").namespace(), Some(SYSTEM));
        let warned = rendered.warnings.iter().any(|warning| warning.to_string().contains("has no effect"));
        assert_eq!(warned, told, "{:?}", rendered.warnings);
    }
}
