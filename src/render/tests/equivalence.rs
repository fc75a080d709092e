//! Upstream's set and ours become the same.

use super::*;
use crate::release::Release;
use crate::render::{Warning, changes, explain};

#[test]
fn upstreams_set_becomes_ours() {
    let Some(upstream) = upstream() else {
        eprintln!("upstream's manifests are not beside the project: nothing to compare with");
        return;
    };
    for spec in [
        Spec::default(),
        Spec { ports: crate::spec::Ports { dashboard: 31000, ..Spec::default().ports }, ..Spec::default() },
    ] {
        let theirs = rendered(&spec, upstream.clone());
        let ours = rendered(&spec, ours());
        assert_eq!(changes::between(&theirs.objects, &ours.objects), []);
        assert_eq!(theirs.images(), ours.images());
        // All that is told is that the pinned release runs, and not the one that upstream's file names.
        let others = theirs.warnings.iter().filter(|warning| !warning.message.contains("which is pinned"));
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&Warning>::new());
    }
}

#[test]
fn the_default_set_is_what_was_measured_to_work() {
    let output = rendered(&Spec::default(), ours());
    assert_eq!(output.objects.len(), 100);
    assert_eq!(output.warnings, []);
    insta::with_settings!({snapshot_path => "snapshots", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("default_set", crate::yaml::emit_documents(&output.objects));
    });
}

#[test]
fn every_release_is_rendered_without_a_warning_and_of_images_in_its_lock() {
    for flyte in Release::all() {
        let lock = crate::render::Lock::embedded(flyte).expect("the lock");
        let pinned: std::collections::BTreeSet<_> =
            lock.pins().map(|(_, pin)| pin).chain(lock.copilot()).map(|pin| pin.image.clone()).collect();
        let ports = crate::spec::Ports { registry: Some(5050), ..Spec::default().ports };
        let output = rendered(
            &Spec { ports, flyte, scheduler: flyte.facts().scheduler, ..Spec::default() },
            Bundle::embedded(flyte).expect("manifests"),
        );
        assert_eq!(output.images(), pinned, "{flyte}");
        assert_eq!(output.warnings, [], "{flyte}");
    }
}

/// The settings of each release, as its programs read them, and the permissions.
#[test]
fn what_differs_between_the_releases_is_what_was_measured_to_work() {
    let of = |flyte: Release| {
        let spec = Spec { projects: vec!["x".into()], flyte, ..Spec::default() };
        let output = rendered(&spec, Bundle::embedded(flyte).expect("manifests"));
        crate::yaml::emit_documents(&output.objects)
    };
    let [old, new] = ["0.15", "1.16"].map(|name| of(Release::of(name).expect("a release")));
    let difference = similar::TextDiff::from_lines(&old, &new);
    insta::with_settings!({snapshot_path => "snapshots", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("release_1_16", difference.unified_diff().context_radius(2).to_string());
    });
}

#[test]
fn what_every_release_renders_is_rendered_to_the_same_again() {
    for flyte in Release::all() {
        let spec = Spec { flyte, ..Spec::default() };
        let once = rendered(&spec, Bundle::embedded(flyte).expect("manifests"));
        let twice = rendered(&spec, bundle(&crate::yaml::emit_documents(&once.objects)));
        assert_eq!(changes::between(&once.objects, &twice.objects), [], "{flyte}");
    }
}

#[test]
fn explaining_changes_nothing_and_hides_nothing() {
    let input = bundle(include_str!("defective.yaml"));
    let (explained, changes) = explain(&Spec::default(), input.clone()).expect("a Flyte");
    assert_eq!(explained, rendered(&Spec::default(), input.clone()));
    let told = |transform: &str, name: &str| {
        let change = changes.iter().find(|change| change.transform == transform && change.object.name == name);
        change.unwrap_or_else(|| panic!("{transform} tells nothing of {name}")).what.clone()
    };
    assert_eq!(told("gateway", "flyte-contour-contour-certgen"), crate::render::What::Removed);
    assert_eq!(told("gateway", "gateway-config"), crate::render::What::Added);
    let paths = |what| match what {
        crate::render::What::Edited { paths } => paths,
        other => panic!("{other:?}"),
    };
    let moved = paths(told("namespace", "flyte-admin-config"));
    assert_eq!(moved, ["metadata.namespace", "data[storage.yaml].storage.connection.endpoint"]);
    let volume = paths(told("storage", "minio"));
    assert!(volume.iter().any(|path| path.ends_with("volumeMounts[0].mountPath")), "{volume:?}");
    // Whatever was there and is there no longer was told to be removed.
    for object in &input.objects {
        let left = explained.objects.iter().any(|one| one.is(object.kind(), object.name()));
        let told = changes.iter().any(|change| {
            change.what == crate::render::What::Removed
                && (change.object.kind.as_str(), change.object.name.as_str()) == (object.kind(), object.name())
        });
        assert!(left || told, "{} went without a word", object.reference());
    }
}

/// What every Kubernetes from v1.21 to v1.33 serves (Kubernetes' deprecation guide), and what the set itself defines.
const SERVED: &[&str] = &["v1", "apps/v1", "rbac.authorization.k8s.io/v1", "apiextensions.k8s.io/v1"];

#[test]
fn every_kubernetes_gets_the_same_objects_and_serves_all_of_them() {
    let current = Spec { kubernetes: "v1.33.13+k3s1".to_owned(), ..Spec::default() };
    let (old, new) = (rendered(&Spec::default(), ours()), rendered(&current, ours()));
    assert_eq!(old.objects, new.objects);
    let unserved = new.objects.iter().map(|object| object.value()["apiVersion"].as_str().unwrap_or_default());
    assert_eq!(unserved.filter(|version| !SERVED.contains(version)).collect::<Vec<_>>(), Vec::<&str>::new());
}
