//! What is left for tasks, what they are given, and where their images come from.

use serde_json::{Value, json};

use super::*;
use crate::render::component::{Component, component_of};
use crate::spec::{Ports, Resources, Tasks};
use crate::yaml;

/// The settings of admin about tasks.
fn given(spec: &Spec, bundle: Bundle) -> Value {
    let rendered = rendered(spec, bundle);
    let texts =
        rendered.objects.iter().filter(|object| object.kind() == "ConfigMap" && object.name().contains("admin"));
    let text = texts.filter_map(|object| object.get("/data/task_resource_defaults.yaml")?.as_str()).next();
    yaml::document(text.expect("there")).expect("YAML")["task_resources"].clone()
}

fn resources(cpu: Option<&str>, memory: Option<&str>) -> Resources {
    Resources { cpu: cpu.map(str::to_owned), memory: memory.map(str::to_owned) }
}

fn spec(defaults: Resources, limits: Resources) -> Spec {
    Spec { tasks: Tasks { defaults, limits, ..Tasks::default() }, ..Spec::default() }
}

#[test]
fn a_registry_is_there_where_it_is_asked_for_on_the_port_that_is_published() {
    let with = |registry| Spec { ports: Ports { registry, ..Spec::default().ports }, ..Spec::default() };
    let ours_of = |objects: &[Object]| -> Vec<Object> {
        objects.iter().filter(|object| component_of(object) == Some(Component::Registry)).cloned().collect()
    };
    for bundle in std::iter::once(ours()).chain(upstream()) {
        assert_eq!(ours_of(&rendered(&with(None), bundle.clone()).objects), []);
        let made = ours_of(&rendered(&with(Some(5055)), bundle).objects);
        let [settings, server] = &made[..] else { panic!("{made:?}") };
        let text = settings.get("/data/config.yml").and_then(Value::as_str).expect("settings");
        assert_eq!(yaml::document(text).expect("YAML")["http"]["addr"], ":5055");
        let pod = server.pod_spec().expect("a pod");
        assert_eq!(pod["hostNetwork"], true);
        assert_eq!(pod["containers"][0]["readinessProbe"]["httpGet"], json!({"path": "/v2/", "port": 5055}));
        let folder = json!({"path": "/var/lib/sandbox/image-registry", "type": "DirectoryOrCreate"});
        assert_eq!(pod["volumes"][1], json!({"name": "images", "hostPath": folder}));
        assert_eq!(pod["containers"][0]["image"], "registry:3.0.0");
    }
}

#[test]
fn a_task_that_names_nothing_has_the_memory_that_pandas_needs() {
    for bundle in std::iter::once(ours()).chain(upstream()) {
        let given = given(&Spec::default(), bundle);
        assert_eq!((&given["defaults"]["cpu"], &given["defaults"]["memory"]), (&json!("100m"), &json!("500Mi")));
        assert_eq!(given["limits"]["memory"], "8Gi");
    }
}

#[test]
fn what_a_spec_says_of_tasks_holds_and_no_default_is_above_its_limit() {
    let table = [
        (resources(Some("1"), Some("1Gi")), resources(Some("4"), Some("2Gi")), ["1", "1Gi", "4", "2Gi"]),
        (resources(None, None), resources(None, Some("300Mi")), ["100m", "300Mi", "2", "300Mi"]),
        (resources(Some("3"), Some("16Gi")), resources(None, None), ["3", "16Gi", "3", "16Gi"]),
    ];
    for (defaults, limits, wanted) in table {
        let given = given(&spec(defaults, limits), ours());
        let found = [
            &given["defaults"]["cpu"],
            &given["defaults"]["memory"],
            &given["limits"]["cpu"],
            &given["limits"]["memory"],
        ];
        let found = found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        assert_eq!(found, wanted);
    }
}

#[test]
fn manifests_that_give_tasks_more_are_kept() {
    let admin = include_str!("../../../sandbox/releases/0.15/manifests/flyteadmin.yaml")
        .replace("memory: 200Mi\n        storage", "memory: 900Mi\n        storage");
    let source = Source { name: "admin".to_owned(), text: admin };
    let mut bundle = ours();
    let brought = Bundle::parse("test", [source]).expect("manifests");
    let is_there = |object: &Object| brought.objects.iter().any(|other| other.reference() == object.reference());
    bundle.objects.retain(|object| !is_there(object));
    bundle.objects.extend(brought.objects.clone());
    assert_eq!(given(&Spec::default(), bundle)["defaults"]["memory"], "900Mi");
}

/// Thousandths of a processor that each component's own container asks for.
fn asked(spec: &Spec) -> Vec<(String, u32)> {
    let rendered = rendered(spec, ours());
    let mut all = Vec::new();
    for object in rendered.objects.iter().filter(|object| object.kind() == "Deployment") {
        let component = component_of(object).expect("one of ours");
        let own = object.containers().find(|container| container["name"] == component.id()).expect("its container");
        let cpu = own["resources"]["requests"]["cpu"].as_str().and_then(|cpu| cpu.strip_suffix('m')?.parse().ok());
        all.push((component.id().to_owned(), cpu.expect("thousandths")));
    }
    all
}

#[test]
fn admin_and_what_it_needs_have_more_of_the_processors_than_a_task() {
    let asked = asked(&Spec::default());
    for component in ["flyteadmin", "postgres", "minio", "gateway"] {
        let (_, share) = asked.iter().find(|(name, _)| name == component).expect(component);
        assert!(*share >= 100, "{component} asks for {share}m");
    }
    // CoreDNS asks for 100m.
    let all: u32 = asked.iter().map(|(_, share)| share).sum();
    assert!(all + 100 < 1000 - 100, "{all}m: a machine with one processor has no room for a task");
}

#[test]
fn many_projects_leave_room_for_tasks() {
    let projects: Vec<_> = (0..20).map(|at| format!("p{at}")).collect();
    let all: u32 = asked(&Spec { projects, ..Spec::default() }).iter().map(|(_, share)| share).sum();
    assert!(all < 1500, "{all}m");
}
