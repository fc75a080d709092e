//! What lets a node that starts again be as it was: where data is, and how long a lost DNS query is waited for.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::spec::EngineKind;

/// The built-in manifests with one server's Deployment edited.
fn with(name: &str, edit: impl FnOnce(&mut Object)) -> Bundle {
    let mut bundle = ours();
    edit(bundle.objects.iter_mut().find(|object| object.is("Deployment", name)).expect("it is there"));
    bundle
}

fn volume<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> &'a Value {
    let volumes = find(rendered, kind, name).pod_spec().expect("a pod")["volumes"].as_array().expect("volumes");
    let on_node: Vec<_> = volumes.iter().filter(|volume| volume.get("hostPath").is_some()).collect();
    assert_eq!(on_node.len(), 1, "{volumes:?}");
    on_node[0]
}

fn server<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> &'a Value {
    find(rendered, kind, name).containers().find(|one| one["name"] == name).expect("a server")
}

fn path(name: &str) -> Value {
    json!({"path": format!("/var/lib/sandbox/{name}"), "type": "DirectoryOrCreate"})
}

#[test]
fn whatever_volume_the_data_had_it_is_a_folder_of_the_node() {
    let claim = json!({"name": "mine", "persistentVolumeClaim": {"claimName": "database"}});
    let cases: [(&str, Value, Value); 4] = [
        ("a claim", json!([{"name": "mine", "mountPath": "/var/lib/postgresql/data"}]), json!([claim])),
        ("a folder above", json!([{"name": "mine", "mountPath": "/var/lib/postgresql/"}]), json!([claim])),
        ("none", Value::Null, Value::Null),
        (
            "another one beside",
            json!([{"name": "conf", "mountPath": "/etc/postgres"}]),
            json!([{"name": "conf", "emptyDir": {}}]),
        ),
    ];
    for (case, mounts, volumes) in cases {
        let bundle = with("postgres", |object| {
            object.set(&["spec", "template", "spec", "volumes"], volumes);
            for one in object.containers_mut("containers") {
                one["volumeMounts"] = mounts.clone();
            }
        });
        let rendered = rendered(&Spec::default(), bundle);
        let volume = volume(&rendered, "Deployment", "postgres");
        assert_eq!(volume["hostPath"], path("postgres"), "{case}");
        let server = server(&rendered, "Deployment", "postgres");
        let mounts = server["volumeMounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).expect("mounted");
        let data = server["env"].as_array().expect("variables").iter().find(|one| one["name"] == "PGDATA");
        let data = data.map_or("/var/lib/postgresql/data", |one| one["value"].as_str().expect("text"));
        let mount = mount["mountPath"].as_str().expect("a path").trim_end_matches('/');
        assert!(data.strip_prefix(mount).is_some_and(|rest| rest.starts_with('/')), "{case}: {data} in {mount}");
    }
}

#[test]
fn no_claim_is_left_that_nothing_would_bind() {
    let mut bundle = with("minio", |object| {
        let claim = json!([{"name": "minio-storage", "persistentVolumeClaim": {"claimName": "buckets"}}]);
        object.set(&["spec", "template", "spec", "volumes"], claim);
    });
    for name in ["buckets", "other"] {
        let mut claim = Object::named("v1", "PersistentVolumeClaim", name);
        claim.set(&["metadata", "namespace"], "flyte");
        bundle.objects.push(claim);
    }
    let rendered = rendered(&Spec::default(), bundle);
    let claims: Vec<_> = all(&rendered, "PersistentVolumeClaim").map(Object::name).collect();
    assert_eq!(claims, [] as [&str; 0]);
}

#[test]
fn a_server_with_a_user_of_its_own_is_given_its_folder() {
    let bundle = with("minio", |object| {
        object.set(&["spec", "template", "spec", "securityContext"], json!({"runAsUser": 1000, "fsGroup": 2000}));
    });
    let rendered = rendered(&Spec::default(), bundle);
    let pod = find(&rendered, "Deployment", "minio").pod_spec().expect("a pod");
    let first = &pod["initContainers"][0];
    assert_eq!(first["command"], json!(["chown", "1000:2000", "/data"]));
    assert_eq!(first["securityContext"]["runAsUser"], 0);
    assert_eq!(pod["initContainers"][1]["name"], "create-bucket");
}

#[test]
fn two_servers_never_write_to_one_folder() {
    let rendered = rendered(&Spec::default(), ours());
    for name in ["postgres", "minio"] {
        let strategy = find(&rendered, "Deployment", name).get("/spec/strategy/type");
        assert_eq!(strategy, Some(&json!("Recreate")), "{name}");
    }
}

/// Postgres' start, on a data directory that is there already, where the image has these programs beside its entrypoint.
fn start(at: &Path, programs: &[&str]) -> Command {
    let rendered = rendered(&Spec::default(), ours());
    let script = server(&rendered, "Deployment", "postgres")["command"][2].as_str().expect("a script");
    let (bin, data) = (at.join("bin"), at.join("pgdata"));
    fs::create_dir_all(&bin).expect("a folder");
    fs::create_dir_all(&data).expect("a folder");
    fs::write(data.join("PG_VERSION"), "10").expect("a file");
    for program in programs {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        let found = found.iter().find(|path| path.exists()).expect("a program of this machine");
        symlink(found, bin.join(program)).expect("a link");
    }
    let entrypoint = bin.join("docker-entrypoint.sh");
    fs::write(&entrypoint, "#!/bin/sh\necho served\n").expect("a file");
    fs::set_permissions(&entrypoint, Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script.replace("/var/lib/postgresql/data", at.to_str().expect("text")), "postgres"]);
    command.env("PATH", bin).env("PGDATA", data);
    command
}

#[test]
fn a_postgres_waits_for_the_end_of_the_one_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = start(folder.path(), &["flock"]);
    let before = fs::File::create(folder.path().join("lock")).expect("a file");
    before.lock().expect("nobody has it");
    let mut after = command.stdout(Stdio::piped()).spawn().expect("a shell");
    let (sender, said) = std::sync::mpsc::channel();
    let mut out = after.stdout.take().expect("its output");
    std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).expect("text");
        sender.send(text).expect("the test waits");
    });
    assert!(said.recv_timeout(Duration::from_millis(300)).is_err(), "two servers would write to one folder");
    drop(before);
    assert_eq!(said.recv_timeout(Duration::from_secs(30)).expect("it starts then"), "served\n");
    assert!(after.wait().expect("an end").success());
}

#[test]
fn a_postgres_that_cannot_lock_its_data_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = start(folder.path(), &[]).output().expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(told.contains("the program `flock`") && told.contains("it would destroy the data"), "{told}");
}

#[test]
fn a_start_of_its_own_and_another_image_are_left_as_they_are() {
    let own = with("postgres", |object| {
        for one in object.containers_mut("containers") {
            one["command"] = json!(["my-start"]);
        }
    });
    assert_eq!(server(&rendered(&Spec::default(), own), "Deployment", "postgres")["command"], json!(["my-start"]));
    let image = "docker.io/bitnami/postgresql:10".parse().expect("an image");
    let spec = Spec { images: [("postgres".to_owned(), image)].into(), ..Spec::default() };
    assert!(server(&rendered(&spec, ours()), "Deployment", "postgres").get("command").is_none());
}

#[test]
fn on_an_attached_cluster_no_folder_of_its_nodes_is_used() {
    let spec = Spec { engine: Some(EngineKind::Context), context: Some("team".to_owned()), ..Spec::default() };
    for object in rendered(&spec, ours()).objects {
        assert!(!object.value().to_string().contains("hostPath"), "{}", object.reference());
    }
}

#[test]
fn on_an_attached_cluster_data_is_on_claims_of_the_storage_class_or_that_it_is_lost_is_told() {
    let without = Spec { engine: Some(EngineKind::Context), context: Some("team".to_owned()), ..Spec::default() };
    let told: Vec<_> = rendered(&without, ours()).warnings.iter().map(ToString::to_string).collect();
    for server in ["minio", "postgres"] {
        let said = |line: &&String| line.contains(server) && line.contains("its data goes with its pod");
        assert_eq!(told.iter().filter(said).count(), 1, "{told:?}");
    }
    let with_class = Spec { storage_class: Some("fast".to_owned()), ..without };
    let as_user = with("postgres", |object| {
        object.set(&["spec", "template", "spec", "securityContext"], json!({"runAsUser": 999}));
    });
    let rendered = rendered(&with_class, as_user);
    assert_eq!(rendered.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    for server in ["minio", "postgres"] {
        let claim = find(&rendered, "PersistentVolumeClaim", &format!("{server}-data"));
        assert_eq!(claim.get("/spec/storageClassName"), Some(&json!("fast")));
        assert_eq!(claim.namespace(), Some(with_class.system_namespace().as_str()));
        let workload = find(&rendered, "Deployment", server);
        let volumes = workload.pod_spec().expect("a pod")["volumes"].to_string();
        assert!(volumes.contains(&format!(r#"{{"claimName":"{server}-data"}}"#)), "{volumes}");
        assert_eq!(workload.get("/spec/strategy/type"), Some(&json!("Recreate")));
    }
    let pod = find(&rendered, "Deployment", "postgres").pod_spec().expect("a pod");
    assert_eq!(pod.pointer("/securityContext/fsGroup"), Some(&json!(999)));
    assert!(pod.get("initContainers").is_none(), "{pod}");
}

#[test]
fn lost_lookups_are_repeated_soon() {
    let rendered = rendered(&Spec::default(), ours());
    let pod = find(&rendered, "Deployment", "flyteadmin").pod_spec().expect("a pod");
    assert_eq!(pod.pointer("/dnsConfig/options/0"), Some(&json!({"name": "timeout", "value": "1"})));
}
