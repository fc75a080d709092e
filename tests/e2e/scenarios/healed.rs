//! What is broken in a sandbox that runs: named by `status` and `plan`, mended by `up`.
//!
//! `tests/it/healed.rs` has what the Kubernetes API alone decides; here are its own records of who owns what, a database
//! that is gone, and an image that was built again under its tag.

use super::Scenario;
use crate::support::docker::docker;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::applied;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[("a_broken_sandbox_is_named_by_status_and_mended_by_up", of_breaks)];

const SYSTEM: &str = "103020-flytepoc-dev";
const MINIO: &str = "minio/minio:RELEASE.2020-12-16T05-05-17Z";

fn of_breaks() {
    let sandbox = Sandbox::new("healed", &Ground::find(Wish::Real, Major::Five));
    let args = ["--profile", "minimal", "--project", "x", "--engine", "docker"];
    if sandbox.ground.is_real() {
        let image = format!("{}/minio:built-here", sandbox.name);
        let first = build(&image, 1);
        let own = format!("minio={image}");
        mended(&sandbox, &[&args[..], &["--image", &own]].concat(), &image);
        sandbox.run(&["down"]).exits(0);
        docker(&["rmi", &image, &first]);
    } else {
        sandbox.up(&args).exits(0);
        println!("NOT HERE: an API that records who owns what, and a database; tests/it/healed.rs has the double's");
        sandbox.run(&["down"]).exits(0);
    }
    sandbox.assert_gone();
}

/// Builds an image under this tag that differs from its other builds in a label only; its id.
fn build(image: &str, number: u32) -> String {
    // By its name the tests beside this one know it for a test's.
    let container = image.replace(['/', ':'], "-");
    docker(&["create", "--name", &container, MINIO]);
    let id = docker(&["commit", "--change", &format!("LABEL build={number}"), &container, image]);
    docker(&["rm", "--volumes", &container]);
    id.trim().to_owned()
}

fn mended(sandbox: &Sandbox, args: &[&str], image: &str) {
    sandbox.up(args).exits(0);
    let kubectl = |args: &[&str]| docker(&[&["exec", &sandbox.node(), "kubectl", "-n", SYSTEM], args].concat());
    let status = || sandbox.run(&[&["status"], args].concat());
    status().exits(0).says("would change nothing");

    let patch = |object: &str, body: &str| kubectl(&["patch", object, "--type", "merge", "-p", body]);
    // Not admin's: its pods would be replaced, and the propellers' with them.
    patch("configmap/gateway-config", r#"{"data":{"envoy.yaml":"admin: {}"}}"#);
    patch("role/flytepropeller-leader-x", r#"{"rules":[]}"#);
    kubectl(&["set", "image", "deployment/flyteconsole", "flyteconsole=nowhere.invalid/other"]);
    kubectl(&["scale", "deployment/gateway", "--replicas=0"]);
    for object in ["secret/flyte-storage-x", "service/flyteadmin", "deployment/datacatalog"] {
        kubectl(&["delete", object]);
    }
    build(image, 2);
    let edited = [
        format!("configmap {SYSTEM}/gateway-config: .data"),
        format!("role {SYSTEM}/flytepropeller-leader-x: .rules"),
        format!(r#"deployment {SYSTEM}/flyteconsole: .spec.template.spec.containers[name="flyteconsole"].image"#),
        format!("deployment {SYSTEM}/gateway: .spec.replicas"),
    ];
    let gone = ["secret", "service", "deployment"].into_iter().zip(["flyte-storage-x", "flyteadmin", "datacatalog"]);
    let gone: Vec<_> = gone.map(|(kind, name)| format!("{kind} {SYSTEM}/{name}")).collect();
    let seen = status().exits(5).says("`sandbox up` mends it");
    let planned = sandbox.run(&[&["plan"], args].concat()).exits(0);
    for edit in &edited {
        assert!(seen.out.contains(edit), "{edit}: {}", seen.out);
        assert!(planned.out.contains(edit), "{edit}: {}", planned.out);
    }
    assert!(gone.iter().all(|object| seen.out.contains(&format!("{object}: not there any more"))), "{}", seen.out);
    let outdated = format!("deployment {SYSTEM}/minio: its pods run another image than {image}");
    assert!(seen.out.contains(&outdated), "{}", seen.out);
    assert!(planned.out.contains(&format!("restart {outdated}")), "{}", planned.out);
    let events = sandbox.up(args).exits(0).events();
    let (id, runs) =
        (docker(&["inspect", "-f", "{{.Id}}", image]), "jsonpath={.items[0].status.containerStatuses[0].imageID}");
    let running = kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=minio", "-o", runs]);
    assert_eq!(running.trim(), id.trim(), "the image that was built last runs");
    let changed = applied(&events, "changed");
    for edit in &edited {
        assert!(changed.iter().any(|object| edit.starts_with(object)), "{edit}: {changed:?}");
    }
    let created = applied(&events, "created");
    assert!(gone.iter().all(|object| created.contains(&object.as_str())), "{created:?}");
    status().exits(0).says("would change nothing");

    let database = |statement: &str| {
        let psql = ["exec", "deployment/postgres", "--", "psql", "-U", "postgres", "-d", "flyte_development", "-c"];
        kubectl(&[&psql[..], &[statement]].concat());
    };
    database("drop schema public cascade; create schema public");
    for bucket in ["my-s3-bucket", "my-s3-bucket-x"] {
        kubectl(&["exec", "deployment/minio", "--", "rm", "-rf", &format!("/data/{bucket}")]);
    }
    let seen = status().exits(5).says("`sandbox up` mends it");
    let lacking = ["bucket my-s3-bucket ", "bucket my-s3-bucket-x ", "table flyte_development.task_executions is gone"];
    assert!(lacking.iter().all(|one| seen.out.contains(one)), "{}", seen.out);
    sandbox.up(args).exits(0).says("migrated again");
    status().exits(0).says("would change nothing");

    // Written down as made: admin's own migrations would not make it again.
    database("drop table projects");
    status().exits(5).says("table flyte_development.projects is gone");
    sandbox.up(args).exits(0).says("table flyte_development.projects is gone");
    status().exits(0).says("would change nothing");
}
