//! What a Docker daemon in memory does with images.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use super::docker::{Shared, lock, missing, refuse};

pub(super) async fn pull(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut world = lock(&world);
    let platform = query.get("platform").filter(|platform| !platform.is_empty());
    let asked =
        platform.map_or_else(|| query["fromImage"].clone(), |platform| format!("{} {platform}", query["fromImage"]));
    world.pulled.push(asked);
    if let Some(words) = world.refused.get("pull") {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, words);
    }
    let wanted = &query["fromImage"];
    let login = headers.get("x-registry-auth").and_then(|value| login(value.as_bytes())).unwrap_or_default();
    world.logins.insert(wanted.clone(), login.clone());
    let host = wanted.split('/').next().unwrap_or_default();
    if world.private.get(host).is_some_and(|wanted| *wanted != login) {
        let words = "repository does not exist or may require 'docker login': denied: requested access is denied";
        return refuse(StatusCode::NOT_FOUND, &format!("pull access denied for {wanted}, {words}"));
    }
    let Some(id) = world.registry.get(wanted).cloned() else {
        return refuse(StatusCode::NOT_FOUND, &format!("manifest for {wanted} not found"));
    };
    world.images.insert(familiar(wanted).to_owned(), id);
    let lines = [
        json!({ "status": "Downloading", "id": "layer", "progressDetail": { "current": 5_000_000, "total": 10_000_000 } }),
        json!({ "status": "Pull complete", "id": "layer", "progressDetail": {} }),
    ];
    lines.map(|line| format!("{line}\n")).concat().into_response()
}

/// The login of a pull, without what it says nothing of. The daemon takes one that it cannot read for none.
fn login(header: &[u8]) -> Option<Value> {
    let mut login: Value = serde_json::from_slice(&URL_SAFE.decode(header).ok()?).ok()?;
    login.as_object_mut()?.retain(|_, value| !value.is_null());
    Some(login)
}

/// A name as the daemon keeps it.
fn familiar(name: &str) -> &str {
    name.trim_start_matches("docker.io/").trim_start_matches("library/")
}

pub(super) async fn save(State(world): State<Shared>) -> Vec<u8> {
    lock(&world).saved.clone()
}

/// Takes the images that the archive's list names; a request that ends before its body does takes none.
pub(super) async fn load(State(world): State<Shared>, archive: axum::body::Bytes) -> Response {
    let mut world = lock(&world);
    world.loads += 1;
    if world.stuck.contains("load") {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "there is no room");
    }
    let mut archive = tar::Archive::new(&archive[..]);
    let mut entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
    let list = entries.find(|entry| entry.path_bytes()[..] == *b"manifest.json").expect("a list");
    let list: Vec<Value> = serde_json::from_reader(list).expect("JSON");
    for image in list {
        let id = image["Config"].as_str().expect("a path").replace("blobs/sha256/", "sha256:");
        let name = image["RepoTags"][0].as_str().expect("a name");
        world.images.insert(familiar(name).to_owned(), id);
    }
    Json(json!({ "stream": "Loaded" })).into_response()
}

pub(super) async fn tag(
    State(world): State<Shared>,
    Path(rest): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut world = lock(&world);
    let name = rest.strip_suffix("/tag").map(familiar).unwrap_or_default();
    let Some(id) = world.images.get(name).cloned() else { return missing() };
    world.images.insert(familiar(&format!("{}:{}", query["repo"], query["tag"])).to_owned(), id);
    StatusCode::CREATED.into_response()
}

pub(super) async fn image(State(world): State<Shared>, Path(rest): Path<String>) -> Response {
    let world = lock(&world);
    let name = rest.strip_suffix("/json").map(familiar);
    let known = world.images.iter().find(|(known, _)| Some(familiar(known)) == name);
    match known {
        Some((name, id)) => {
            let digests: Vec<_> =
                world.digests.get(name).map(|digest| format!("{name}@{digest}")).into_iter().collect();
            Json(json!({ "Id": id, "Size": 1000, "RepoDigests": digests })).into_response()
        }
        None => missing(),
    }
}
