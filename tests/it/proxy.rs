//! The real binary where the environment names a proxy for everything: what it asks for is on this machine.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::ByteString;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::docker::{FakeDocker, World, node_with_api};
use crate::support::flyte::FakeFlyte;
use crate::support::stage::EVER;

const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// A proxy that counts who comes, and refuses all.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    });
    (address, asked)
}

/// A Flyte that is up, and the daemon that has its node.
async fn sandbox() -> (FakeFlyte, FakeDocker) {
    let flyte = FakeFlyte::start().await;
    let text = |text: String| ByteString(text.into_bytes());
    let spec = serde_json::to_string(&flyte.spec).expect("JSON");
    let secret = json!({
        "metadata": { "name": "sandbox-inventory", "namespace": flyte.spec.system_namespace() },
        "data": {
            "digest": text("d".to_owned()), "objects": text("[]".to_owned()), "spec": text(spec),
            "secretKey": text(flyte.spec.storage.secret_key.expose().to_owned()),
        },
    });
    let listed = json!({ "kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": [secret] });
    flyte.break_path("/api/v1/secrets", EVER, 200, &listed.to_string());

    let (container, kubeconfig) = node_with_api("flyte", flyte.spec.ports.api.expect("it has one"));
    let world = World { containers: vec![container], files: [kubeconfig].into(), ..World::default() };
    (flyte, FakeDocker::start(world).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_to_this_machine_goes_through_a_proxy() {
    let (_flyte, docker) = sandbox().await;
    let (proxy, asked) = proxy().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut smoke = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    smoke.arg("smoke").env_clear().envs(PROXIES.map(|name| (name, &proxy))).current_dir(folder.path());
    smoke.env("HOME", folder.path()).env("DOCKER_HOST", &docker.host);
    let output = tokio::task::spawn_blocking(move || smoke.output()).await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("17 of 17 checks"), "{said}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "{said}");
}
