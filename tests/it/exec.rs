//! Commands in containers whose input nobody reads.

use axum::Router;
use axum::extract::Request;
use bytes::Bytes;
use flyte_sandbox::kubernetes::{self, Container, ExecError, Input, PodSelection, RunningContainer};
use flyte_sandbox::manifest::ObjectRef;
use flyte_sandbox::rehearsal::ApiServer;
use futures::{SinkExt, StreamExt};
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::channel;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::support::attached::{Socket, upgraded};
use crate::support::wait::HANG;

const NAMESPACE: &str = "103020-flytepoc-dev";

/// An API with one pod. As the real one does with a command that ends without reading, it tells how the command ended
/// and leaves what is sent where it is: the connection stays.
async fn api() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let api = ApiServer::at(&listener.local_addr().expect("bound").to_string(), 21);
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "postgres-0", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "postgres", "image": "i"}]},
        "status": {"containerStatuses": [{"name": "postgres", "ready": true, "restartCount": 0, "image": "i",
            "imageID": "", "state": {"running": {}}}]}}));
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    let app = Router::new().fallback(move |request: Request| {
        let api = api.clone();
        async move {
            match request.uri().path().ends_with("/exec") {
                true => upgraded(request, unread),
                false => api.respond(request).await,
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    client
}

/// Bytes that a command prints before it ends: more than the buffers between both ends hold, and in frames so small that as
/// much is sent meanwhile.
const PRINTED: usize = 32 << 20;

/// A command that took one frame of its input, printed a lot, and ended with 3.
async fn unread(mut socket: Socket) {
    let _first = socket.next().await;
    let piece = [&[1], &[b'o'; 1 << 12][..]].concat();
    for _ in 0..PRINTED >> 12 {
        if socket.send(Message::Binary(piece.clone().into())).await.is_err() {
            return;
        }
    }
    let status = json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 3",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
    for (channel, text) in [(2, "why\n".to_owned()), (3, status.to_string())] {
        let frame = [&[channel], text.as_bytes()].concat();
        if socket.send(Message::Binary(frame.into())).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

async fn postgres(client: &Client) -> RunningContainer {
    let pod = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        name: "postgres-0".to_owned(),
    };
    let inventory = kubernetes::Inventory {
        digest: None,
        spec: flyte_sandbox::spec::Spec::default(),
        objects: [(pod, None)].into(),
        tables: Default::default(),
        proven: true,
        mended: Default::default(),
    };
    let selection = PodSelection::named("postgres-0", client, &inventory).await.expect("there");
    kubernetes::running_container(client, &selection, "postgres").await.expect("it runs")
}

#[tokio::test]
async fn a_command_that_leaves_its_input_unread_ends_with_its_exit_code_and_its_output() {
    let client = api().await;
    let container = postgres(&client).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (command, input) = (["true".to_owned()], Input::Piped(tokio::io::repeat(b'0')));
    let run = kubernetes::attach(&client, &container, &command, input, &mut out, &mut err);
    let code = tokio::time::timeout(HANG, run).await.expect("it ends").expect("it ran");
    assert_eq!((code, out.len(), err), (3, PRINTED, b"why\n".to_vec()));
}

#[tokio::test]
async fn a_command_that_fails_before_it_has_read_its_input_says_why() {
    let client = api().await;
    let (sender, input) = channel(1);
    let feeder = tokio::spawn(async move { while sender.send(Bytes::from(vec![0; 1 << 16])).await.is_ok() {} });
    let container = Container::of(&client, NAMESPACE, "postgres-0", "postgres");
    let fed = container.feed(&["psql"], input, u64::MAX);
    let fed = tokio::time::timeout(HANG, fed).await.expect("it ends");
    let Err(ExecError::Failed { message, words }) = fed else { panic!("{fed:?}") };
    assert_eq!((message.as_str(), words), ("exit code 3", vec!["why".to_owned()]));
    tokio::time::timeout(HANG, feeder).await.expect("it ends").expect("nobody takes more");
}
