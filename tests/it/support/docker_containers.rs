//! What a Docker daemon in memory does to containers that are there. It refuses what a daemon refuses, in its words (moby
//! 20.10 `daemon/start.go`, `pause.go`, `unpause.go`, `kill.go`, `update.go`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::docker::{Shared, World, is_named, lock, missing, refuse, volumes_of};

/// States in which a container's processes are there.
const ALIVE: [&str; 3] = ["running", "paused", "restarting"];
/// States from which there is no way back.
const LEAVING: [&str; 2] = ["removing", "dead"];

fn is_in(container: &Value, states: &[&str]) -> bool {
    states.iter().any(|state| container["State"] == *state)
}

/// Changes a container's state, unless that is refused.
fn change(world: &Shared, name: &str, refused: impl Fn(&Value) -> Option<String>, state: &str) -> Response {
    let mut world = lock(world);
    let Some(found) = world.containers.iter_mut().find(|container| is_named(container, name)) else {
        return missing();
    };
    if let Some(words) = refused(found) {
        return refuse(StatusCode::CONFLICT, &words);
    }
    found["State"] = json!(state);
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn start(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let mut world = lock(&world);
    if let Some(words) = world.refused.get("start") {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, words);
    }
    let Some(at) = world.containers.iter().position(|container| is_named(container, &name)) else { return missing() };
    let found = &world.containers[at];
    if is_in(found, &["paused"]) {
        return refuse(StatusCode::CONFLICT, "cannot start a paused container, try unpause instead");
    }
    if is_in(found, &LEAVING) {
        return refuse(StatusCode::CONFLICT, "container is marked for removal and cannot be started");
    }
    if is_in(found, &["running", "restarting"]) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    // It makes no volume anew for a container that is there.
    let is_there = |name: &String| world.volumes.iter().any(|volume| volume["Name"] == name.as_str());
    if let Some(gone) = volumes_of(found).into_iter().find(|name| !is_there(name)) {
        return refuse(StatusCode::NOT_FOUND, &format!("get {gone}: no such volume"));
    }
    let of_api = |port: &&Value| port["PrivatePort"] == 6443;
    let api = world.containers[at]["Ports"]
        .as_array()
        .into_iter()
        .flatten()
        .find(of_api)
        .map(|port| port["PublicPort"].clone());
    let elsewhere = api.filter(|_| world.api_taken > 0);
    world.api_taken = world.api_taken.saturating_sub(1);
    let elsewhere = elsewhere.map(|port| format!("Bind for 127.0.0.1:{port} failed: port is already allocated"));
    if let Some(why) = elsewhere.or_else(|| taken_port(&world, at)) {
        let words = format!("driver failed programming external connectivity on endpoint {name} (1f): {why}");
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, &words);
    }
    let state = world.started.clone().unwrap_or_else(|| "running".to_owned());
    world.containers[at]["State"] = json!(state);
    StatusCode::NO_CONTENT.into_response()
}

/// Why the ports of the container at this place cannot be published.
fn taken_port(world: &World, at: usize) -> Option<String> {
    let ports = |container: &Value| -> Vec<u64> {
        container["Ports"].as_array().into_iter().flatten().filter_map(|port| port["PublicPort"].as_u64()).collect()
    };
    let others = world.containers.iter().enumerate().filter(|(other, one)| *other != at && is_in(one, &ALIVE));
    let others: Vec<_> = others.flat_map(|(_, container)| ports(container)).collect();
    ports(&world.containers[at]).into_iter().find_map(|port| {
        if others.contains(&port) {
            return Some(format!("Bind for 127.0.0.1:{port} failed: port is already allocated"));
        }
        let listens = world.listeners.iter().any(|listener| u64::from(*listener) == port);
        let words =
            format!("Error starting userland proxy: listen tcp4 127.0.0.1:{port}: bind: address already in use");
        listens.then_some(words)
    })
}

pub(super) async fn kill(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let refused = |found: &Value| {
        (!is_in(found, &ALIVE)).then(|| format!("Cannot kill container: {name}: Container is not running"))
    };
    change(&world, &name, refused, "exited")
}

pub(super) async fn pause(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    {
        let mut world = lock(&world);
        if let Some(left) = world.freezes_failing.checked_sub(1) {
            world.freezes_failing = left;
            let words = "Cannot pause container 1: OCI runtime pause failed: unable to freeze: unknown";
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, words);
        }
    }
    let refused = |found: &Value| {
        let is_paused = is_in(found, &["paused"]).then(|| format!("Container {name} is already paused"));
        is_paused.or_else(|| (!is_in(found, &["running"])).then(|| format!("Container {name} is not running")))
    };
    change(&world, &name, refused, "paused")
}

pub(super) async fn unpause(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let refused = |found: &Value| (!is_in(found, &["paused"])).then(|| format!("Container {name} is not paused"));
    change(&world, &name, refused, "running")
}

pub(super) async fn update(State(world): State<Shared>, Path(name): Path<String>, Json(body): Json<Value>) -> Response {
    let mut world = lock(&world);
    let Some(found) = world.containers.iter().find(|container| is_named(container, &name)) else { return missing() };
    if is_in(found, &LEAVING) {
        let words =
            format!("Cannot update container {name}: Container is marked for removal and cannot be \"update\".");
        return refuse(StatusCode::CONFLICT, &words);
    }
    world.updated.insert(name, body);
    Json(json!({ "Warnings": [] })).into_response()
}
