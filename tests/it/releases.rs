//! What becomes of the Helm output of several Flyte releases: it is rendered, and what is not as the built-in manifests
//! have it is told by name.

use std::collections::BTreeSet;

use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::manifest::{Bundle, Object, Source};
use flyte_sandbox::render::{self, Component, Lock, RenderError, Rendered, What};
use flyte_sandbox::spec::{EngineKind, Spec};
use serde_json::{Value, json};

use crate::support::objects::{account, cluster_wide, config_map, deployment};
use crate::support::releases::{RELEASES, Release};

fn bundle(text: &str) -> Bundle {
    Bundle::parse("release.yaml", [Source { name: "release.yaml".to_owned(), text: text.to_owned() }])
        .expect("manifests")
}

fn rendered(release: &Release) -> Rendered {
    render::render(&Spec::default(), bundle(&release.manifests()))
        .unwrap_or_else(|error| panic!("{}: {error:?}", release.name))
}

fn release(name: &str) -> &'static Release {
    RELEASES.iter().find(|release| release.name == name).expect("a release")
}

/// A release with other objects than its own.
fn changed(release: &Release, change: impl FnOnce(&mut Vec<Value>)) -> Result<Rendered, RenderError> {
    let mut objects = release.objects();
    change(&mut objects);
    let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    render::render(&Spec::default(), bundle(&text))
}

fn told(rendered: &Rendered) -> String {
    rendered.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn what_a_release_has_otherwise_is_told_by_name() {
    for release in &RELEASES {
        insta::assert_snapshot!(format!("release_{}", release.name), told(&rendered(release)));
    }
}

#[test]
fn what_was_told_once_is_not_there_a_second_time() {
    for release in &RELEASES {
        let once = rendered(release);
        let text: String = once.objects.iter().map(|object| format!("---\n{}\n", object.value())).collect();
        let twice = render::render(&Spec::default(), bundle(&text)).expect("what was rendered");
        assert_eq!(twice.objects, once.objects, "{}", release.name);
    }
}

#[test]
fn whatever_the_release_nothing_has_permissions_in_the_whole_cluster_and_every_name_leads_somewhere() {
    for release in &RELEASES {
        let rendered = rendered(release);
        for object in &rendered.objects {
            assert!(!object.kind().starts_with("ClusterRole"), "{} of {}", object.reference(), release.name);
            assert!(!object.api_version().ends_with("beta1"), "{} of {}", object.reference(), release.name);
        }
        let dashboards = rendered.objects.iter().filter(|object| {
            object.kind() == "Deployment" && render::component_of(object) == Some(render::Component::Dashboard)
        });
        assert_eq!(dashboards.count(), 1, "{}", release.name);
        let missing = missing(&rendered.objects);
        assert_eq!(missing, [] as [String; 0], "{}", release.name);
    }
}

/// What objects name that is not there: found from the other side than the product does, by the fields that upstream uses.
fn missing(objects: &[Object]) -> Vec<String> {
    let there: BTreeSet<(&str, Option<&str>, &str)> =
        objects.iter().map(|object| (object.kind(), object.namespace(), object.name())).collect();
    let mut missing = Vec::new();
    for object in objects {
        let mut names = |kind: &str, name: &Value| {
            let name = name.as_str().unwrap_or_default();
            if !name.is_empty() && !there.contains(&(kind, object.namespace(), name)) {
                missing.push(format!("{} names {kind} {name}", object.reference()));
            }
        };
        let pod = object.pod_spec().unwrap_or(&Value::Null);
        names("ServiceAccount", &pod["serviceAccountName"]);
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            names("ConfigMap", &volume["configMap"]["name"]);
            names("Secret", &volume["secret"]["secretName"]);
            for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
                names("ConfigMap", &source["configMap"]["name"]);
            }
        }
        names("Role", &object.value()["roleRef"]["name"]);
        if let Some(selector) = object.get("/spec/selector").filter(|_| object.kind() == "Service") {
            let labels = |one: &Object| one.get("/spec/template/metadata/labels").cloned().unwrap_or_default();
            let selects =
                |one: &Object| selector.as_object().is_some_and(|all| all.iter().all(|(k, v)| labels(one)[k] == *v));
            if !objects.iter().any(|one| one.namespace() == object.namespace() && selects(one)) {
                missing.push(format!("{} selects no pods", object.reference()));
            }
        }
    }
    missing
}

#[test]
fn whatever_helm_calls_the_release_every_service_has_its_pods() {
    let text = release("v1_16").manifests();
    let renamed = text.replace(r#""app.kubernetes.io/instance":"flyte""#, r#""app.kubernetes.io/instance":"team-a""#);
    assert_ne!(text, renamed);
    let rendered = render::render(&Spec::default(), bundle(&renamed)).expect("a Flyte");
    assert_eq!(missing(&rendered.objects), [] as [String; 0]);
}

#[test]
fn the_store_of_a_later_release_serves_and_is_reached_with_the_sandboxs_credentials() {
    let mut spec = Spec::default();
    spec.storage.secret_key = flyte_sandbox::spec::Secret::new("of-this-sandbox");
    for release in &RELEASES {
        let rendered = render::render(&spec, bundle(&release.manifests())).expect("a Flyte");
        let minio = rendered.objects.iter().find(|object| object.is("Deployment", "minio")).expect("a store");
        let server = minio.containers().find(|container| container["name"] == "minio").expect("a server");
        assert_eq!(server["args"], json!(["server", "/data"]), "{}", release.name);
        let text: String = rendered.objects.iter().map(|object| object.value().to_string()).collect();
        assert!(!text.contains("miniostorage"), "{} still has upstream's credentials", release.name);
    }
}

#[test]
fn a_store_whose_image_the_spec_names_is_told_nothing() {
    let image = "ecr.flyte.org/bitnami/minio:2021.10.13-debian-10-r0";
    let mut spec = Spec::default();
    spec.images.insert("minio".to_owned(), image.parse().expect("an image"));
    let rendered = render::render(&spec, bundle(&release("v1_16").manifests())).expect("a Flyte");
    let minio = rendered.objects.iter().find(|object| object.is("Deployment", "minio")).expect("a store");
    assert!(minio.containers().all(|container| container.get("args").is_none()), "{}", minio.value());
    assert!(!told(&rendered).contains("bitnami/minio"), "{}", told(&rendered));
}

#[test]
fn the_images_of_a_release_run_when_the_spec_says_so_and_are_not_told_of() {
    let release = release("v1_16");
    let mut spec = Spec::default();
    for (component, tag) in
        ["flyteadmin", "flytepropeller", "datacatalog", "flyteconsole"].into_iter().zip(release.tags)
    {
        let image = format!("cr.flyte.org/flyteorg/{component}:{tag}").parse().expect("an image");
        spec.images.insert(component.to_owned(), image);
    }
    let rendered = render::render(&spec, bundle(&release.manifests())).expect("a Flyte");
    assert!(rendered.images().iter().any(|image| image.as_str() == "cr.flyte.org/flyteorg/flyteadmin:v1.16.0"));
    let pinned = told(&rendered).lines().filter(|line| line.contains("which is pinned")).count();
    // Postgres and Minio, which the spec leaves alone.
    assert_eq!(pinned, 2, "{}", told(&rendered));
}

#[test]
fn what_explain_says_is_left_out_is_what_is_warned_of() {
    for release in &RELEASES {
        let (rendered, changes) = render::explain(&Spec::default(), bundle(&release.manifests())).expect("a Flyte");
        let gone = changes.iter().filter(|change| {
            change.transform == "left-out" && change.what == What::Removed && change.object.kind != "ConfigMap"
        });
        let workloads = gone.filter(|change| matches!(change.object.kind.as_str(), "Deployment" | "CronJob"));
        for change in workloads {
            let warned = rendered.warnings.iter().any(|warning| warning.object == change.object);
            assert!(warned, "{} went without a word", change.object);
        }
    }
}

#[test]
fn settings_and_arguments_that_the_built_in_ones_have_otherwise_are_told_and_kept() {
    let rendered = changed(release("v1_16"), |objects| {
        for object in objects.iter_mut() {
            if (&object["kind"], &object["metadata"]["name"]) == (&json!("Deployment"), &json!("flytepropeller")) {
                object["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["flytepropeller", "--turbo"]);
            }
        }
    })
    .expect("a Flyte");
    let deviation = rendered.deviations.iter().find(|one| one.component.id() == "flytepropeller").expect("a deviation");
    assert_eq!(deviation.containers, ["flytepropeller"]);
    assert!(deviation.settings.iter().any(|path| path.starts_with("storage.connection")), "{:?}", deviation.settings);
    let kept = rendered.objects.iter().filter(|object| object.value().to_string().contains("--turbo")).count();
    assert_eq!(kept, Spec::default().workflow_namespaces().len());
}

#[test]
fn a_name_that_leads_nowhere_stops_a_component_and_is_told_of_others() {
    let failure = Failure::from(
        changed(release("v1_16"), |objects| {
            objects.retain(|one| one["metadata"]["name"] != "flyte-admin-clusters-config")
        })
        .expect_err("admin would never start"),
    );
    assert_eq!(failure.reason, Reason::Manifests);
    assert!(failure.object.as_deref().is_some_and(|object| object.ends_with("/flyteadmin")), "{failure}");
    assert!(
        failure.causes[0].contains("names the ConfigMap `flyte-admin-clusters-config`, which is not there"),
        "{failure}"
    );

    // A stranger's pods may wait for what comes later.
    let rendered = changed(release("v1_16"), |objects| {
        let words = json!(["cacheservice", "serve"]);
        let volumes = json!([{"name": "config", "configMap": {"name": "cacheservice-config"}}]);
        objects.push(deployment(
            "cacheservice",
            &[("cacheservice", "ghcr.io/flyteorg/cacheservice:v9", words)],
            volumes,
        ));
    })
    .expect("a Flyte");
    let line = "deployment 103020-flytepoc-dev/cacheservice names the ConfigMap `cacheservice-config`, which is not \
                there: its pods may not start";
    assert!(told(&rendered).contains(line), "{}", told(&rendered));
}

#[test]
fn a_scheduler_runs_where_it_is_asked_for_as_the_manifests_have_it_or_as_we_do() {
    let flyte = flyte_sandbox::release::Release::of("1.16").expect("a release");
    let of = |name: &str, scheduler: bool| {
        let spec = Spec { flyte, scheduler, network_policies: true, ..Spec::default() };
        render::render(&spec, bundle(&release(name).manifests())).expect("a Flyte")
    };
    let deployment = |rendered: &Rendered| {
        rendered.objects.iter().find(|one| one.is("Deployment", "flytescheduler")).map(|one| one.value().clone())
    };
    let dropped = "deployment flyte/flytescheduler is left out: no schedule starts a workflow";
    for (name, has_one) in [("v0_17", false), ("v1_16", true)] {
        let without = of(name, false);
        assert_eq!(deployment(&without), None, "{name}");
        assert!(!without.objects.iter().any(|one| one.name().contains("scheduler")), "{name}");
        assert_eq!(told(&without).contains(dropped), has_one, "{name}");
        let with = of(name, true);
        let pod = deployment(&with).expect("asked for")["spec"]["template"]["spec"].clone();
        let server = &pod["containers"][0];
        assert_eq!(server["image"], "cr.flyte.org/flyteorg/flytescheduler:v1.16.8", "{name}");
        assert_eq!(server["readinessProbe"]["httpGet"], json!({"path": "/healthcheck", "port": 10254}), "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let policies = with.objects.iter().filter(|one| one.kind() == "NetworkPolicy");
        let lets_in =
            |name: &str| policies.clone().find(|one| one.name() == name).expect("a policy").value().to_string();
        for reached in ["postgres", "flyteadmin"] {
            assert!(lets_in(reached).contains("flytescheduler"), "{reached}");
        }
    }
}

#[test]
fn on_an_attached_cluster_what_is_named_may_be_there_already() {
    let mut objects = release("v1_16").objects();
    objects.retain(|one| one["metadata"]["name"] != "flyte-admin-secrets");
    let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    let spec = Spec { engine: Some(EngineKind::Context), context: Some("team".to_owned()), ..Spec::default() };
    let rendered = render::render(&spec, bundle(&text)).expect("a Flyte");
    assert!(told(&rendered).contains("flyteadmin names the Secret `flyte-admin-secrets`"), "{}", told(&rendered));
}

#[test]
fn a_part_that_nobody_knows_is_kept_by_name_with_its_image_and_without_its_permissions() {
    let rendered = changed(release("v1_16"), |objects| {
        let words = json!(["cacheservice", "serve"]);
        objects.push(deployment(
            "cacheservice",
            &[("cacheservice", "ghcr.io/flyteorg/cacheservice:v9", words)],
            json!([]),
        ));
        objects.push(account("cacheservice"));
        objects.push(config_map("cacheservice-config", json!({})));
        objects.extend(cluster_wide("rbac.authorization.k8s.io/v1", "cacheservice", "cacheservice"));
    })
    .expect("a Flyte");
    let told = told(&rendered);
    for line in [
        "deployment 103020-flytepoc-dev/cacheservice is kept and runs ghcr.io/flyteorg/cacheservice:v9: it is no component \
         that a sandbox knows",
        "clusterrole cacheservice is left out: nothing in a sandbox has permissions in the whole cluster",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn the_single_binary_is_told_to_be_one() {
    let image = "cr.flyte.org/flyteorg/flyte-binary:v1.16.0";
    let one = deployment("flyte-binary", &[("flyte", image, json!(["start"]))], json!([]));
    let failure = Failure::from(render::render(&Spec::default(), bundle(&one.to_string())).expect_err("no parts"));
    assert!(failure.evidence.iter().any(|line| line.contains("Deployment flyte-binary is all of Flyte")), "{failure}");
}

#[test]
fn a_contour_that_stands_in_its_own_namespace_goes_as_a_whole() {
    let rendered = changed(release("v0_17"), |objects| {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "projectcontour"}}));
        for kind in ["ServiceAccount", "ConfigMap", "Service"] {
            let metadata = json!({"name": "contour", "namespace": "projectcontour"});
            objects.push(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}));
        }
    })
    .expect("a Flyte");
    assert!(rendered.objects.iter().all(|object| !object.value().to_string().contains("projectcontour")));
}

#[test]
fn manifests_of_kustomize_without_helms_labels_are_the_same_parts() {
    let components: Vec<&str> = render::Component::ALL.iter().map(|component| component.id()).collect();
    let rendered = changed(release("v0_17"), |objects| {
        for object in
            objects.iter_mut().filter(|one| one["metadata"]["name"].as_str().is_some_and(|n| components.contains(&n)))
        {
            if object["kind"] == "Deployment" && object["metadata"]["name"] == "flyteadmin" {
                let containers = &mut object["spec"]["template"]["spec"]["containers"];
                let command = ["flyteadmin", "--config", "/etc/flyte/config/*.yaml", "clusterresource", "run"];
                let goroutine = json!({"name": "sync-cluster-resources-goroutine", "image": "a", "command": command});
                containers.as_array_mut().expect("containers").push(goroutine);
            }
            object["metadata"].as_object_mut().expect("metadata").remove("labels");
        }
        let mut scraper = deployment("dashboard-metrics-scraper", &[("scraper", "scraper:1", Value::Null)], json!([]));
        scraper["metadata"]["namespace"] = json!("kubernetes-dashboard");
        objects.push(scraper);
    })
    .expect("a Flyte");
    let told = told(&rendered);
    assert!(!told.contains("no component that a sandbox knows"), "{told}");
    assert!(told.contains("flyteadmin runs without \"sync-cluster-resources-goroutine\""), "{told}");
    assert!(told.contains("kubernetes-dashboard/dashboard-metrics-scraper is left out"), "{told}");
    assert_eq!(missing(&rendered.objects), [] as [String; 0]);
}

#[test]
fn the_built_in_manifests_are_told_nothing_of_when_they_come_from_outside() {
    let text: String = Bundle::embedded(flyte_sandbox::release::Release::default())
        .expect("built in")
        .objects
        .iter()
        .map(|one| format!("---\n{}\n", one.value()))
        .collect();
    let rendered = render::render(&Spec::default(), bundle(&text)).expect("a Flyte");
    assert_eq!(rendered.warnings, []);
    assert_eq!(rendered.deviations, []);
    let lock = Lock::embedded(flyte_sandbox::release::Release::default()).expect("the lock");
    let of_all = lock.pins().filter(|(component, _)| *component != Component::Registry);
    assert_eq!(rendered.images(), of_all.map(|(_, pin)| pin.image.clone()).collect());
}
