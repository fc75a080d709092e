//! Commands inside a container of the Docker daemon in memory: each writes what the test has for it, and ends.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::docker::{Shared, lock, missing};

/// Names a command, if the container is there. Its words are the id, in hexadecimal.
pub(super) async fn create(
    State(world): State<Shared>,
    Path(container): Path<String>,
    Json(options): Json<Value>,
) -> Response {
    let name = format!("/{container}");
    if !lock(&world).containers.iter().any(|one| one["Names"][0] == name.as_str()) {
        return missing();
    }
    let words = options["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    let id: String = words.join(" ").bytes().map(|byte| format!("{byte:02x}")).collect();
    (StatusCode::CREATED, Json(json!({ "Id": id }))).into_response()
}

/// Runs it. A command that the test has nothing for writes nothing.
pub(super) async fn start(State(world): State<Shared>, Path(id): Path<String>, request: Request) -> Response {
    let bytes = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).expect("an id"));
    let command = String::from_utf8(bytes.collect()).expect("words");
    let output = lock(&world).commands.get(&command).cloned().unwrap_or_default();
    tokio::spawn(async move {
        let Ok(stream) = hyper::upgrade::on(request).await else { return };
        let mut stream = TokioIo::new(stream);
        // A frame of standard output: its kind, three bytes of nothing, and its length.
        let length = u32::try_from(output.len()).expect("short").to_be_bytes();
        let frame = [&[1, 0, 0, 0][..], &length, output.as_bytes()].concat();
        let _ = stream.write_all(&frame).await;
        let _ = stream.shutdown().await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "Upgrade"), (UPGRADE, "tcp")]).into_response()
}

pub(super) async fn inspect() -> Json<Value> {
    Json(json!({ "ExitCode": 0, "Running": false }))
}
