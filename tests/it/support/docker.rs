//! A Docker daemon in memory: what the tests put in is what it has. It speaks as much of the Engine API (1.41) as
//! this program asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use flyte_sandbox::docker::{Docker, Endpoint, Origin};
use flyte_sandbox::report::Reporter;
use flyte_sandbox::run::{Deadline, Run};
use serde_json::{Value, json};

use super::docker_containers;
use super::docker_exec;
use super::docker_images::{image, load, pull, save, tag};

/// What the daemon has.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Containers as `GET /containers/json` lists them.
    pub(crate) containers: Vec<Value>,
    /// Volumes as `GET /volumes` lists them.
    pub(crate) volumes: Vec<Value>,
    /// Networks as `GET /networks` lists them.
    pub(crate) networks: Vec<Value>,
    /// Ids of local images by reference.
    pub(crate) images: BTreeMap<String, String>,
    /// The digests of images that came from a registry, by reference.
    pub(crate) digests: BTreeMap<String, String>,
    /// What it says about itself besides what every daemon does.
    pub(crate) info: BTreeMap<&'static str, Value>,
    /// Images that a registry has, ids by canonical reference.
    pub(crate) registry: BTreeMap<String, String>,
    /// The logins that registries want, by their host; the others want none.
    pub(crate) private: BTreeMap<String, Value>,
    /// The login that came with each pull, by what was pulled; null where none came that the daemon can read.
    pub(crate) logins: BTreeMap<String, Value>,
    /// How many nodes in a row find the port of their API taken, by what only the daemon's machine knows.
    pub(crate) api_taken: usize,
    /// What was pulled, in order, with the platform where one was asked for.
    pub(crate) pulled: Vec<String>,
    /// What `docker save` writes, whatever it is asked for.
    pub(crate) saved: Vec<u8>,
    /// How often something was loaded.
    pub(crate) loads: usize,
    /// Names of things whose removal is refused, and `load` where that is.
    pub(crate) stuck: BTreeSet<String>,
    /// Networks that another client is removing: Docker knows no such network where it is asked to remove one of them, and
    /// lists it this many times more.
    pub(crate) leaving: BTreeMap<String, usize>,
    /// Networks that another client is making: Docker lists them, and knows none of the name where it is asked to remove
    /// one, this many times more.
    pub(crate) coming: BTreeMap<String, usize>,
    /// Container logs by name.
    pub(crate) logs: BTreeMap<String, String>,
    /// What a container is doing once it was started, such as `restarting`; `running` where absent.
    pub(crate) started: Option<String>,
    /// What making a network, starting a container, or pulling an image is refused with.
    pub(crate) refused: BTreeMap<&'static str, String>,
    /// How many of the next freezes of a container fail in the runtime.
    pub(crate) freezes_failing: usize,
    /// How many of the next inspections of a container are refused.
    pub(crate) inspections_refused: usize,
    /// What is on volumes, by name; a container that copies from one to another copies it.
    pub(crate) content: BTreeMap<String, String>,
    /// The nodes' states while a container's command ran that somebody waited for.
    pub(crate) beside: Vec<Value>,
    /// Whether the commands of such containers fail.
    pub(crate) commands_fail: bool,
    /// Whether they do not end.
    pub(crate) commands_hang: bool,
    /// Files in containers, by `container:path`.
    pub(crate) files: BTreeMap<String, String>,
    /// What commands in containers write to standard output, by their words.
    pub(crate) commands: BTreeMap<String, String>,
    /// Ports of the machine that a program outside Docker listens on.
    pub(crate) listeners: BTreeSet<u16>,
    /// The bodies of the requests that made containers, by name.
    pub(crate) created: BTreeMap<String, Value>,
    /// The bodies of the requests that changed containers, by name.
    pub(crate) updated: BTreeMap<String, Value>,
    /// What `GET /events` has.
    pub(crate) events: Vec<Value>,
    /// Whether `GET /events` never answers.
    pub(crate) events_hang: bool,
}

pub(super) type Shared = Arc<Mutex<World>>;

/// A running daemon; it ends with the test's runtime.
pub(crate) struct FakeDocker {
    world: Shared,
    /// What `DOCKER_HOST` is to be.
    pub(crate) host: String,
}

impl FakeDocker {
    /// Starts a daemon that has this.
    pub(crate) async fn start(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let host = format!("tcp://{}", listener.local_addr().expect("address"));
        let app = router(world.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
        Self { world, host }
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> Docker {
        let endpoint = Endpoint { host: self.host.clone(), origin: Origin::Variable };
        Docker::connect_to(endpoint).await.expect("the fake daemon answers")
    }

    /// What it has now.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("lock")
    }
}

/// A run that nobody listens to.
pub(crate) fn run() -> Run {
    let (report, _) = Reporter::channel();
    Run {
        report,
        deadline: Deadline::after(Duration::from_secs(30)),
        cancel: tokio_util::sync::CancellationToken::new(),
    }
}

/// A container of a k3d cluster, made by the sandbox of this name if there is one.
pub(crate) fn node(cluster: &str, owner: Option<&str>, state: &str) -> Value {
    let mut labels = json!({ "app": "k3d", "k3d.cluster": cluster, "k3d.role": "server" });
    if let Some(owner) = owner {
        labels["sandbox.flyte/owner"] = json!(owner);
    }
    json!({
        "Id": format!("id-{cluster}"), "Names": [format!("/k3d-{cluster}-server-0")], "Labels": labels, "State": state,
        "Ports": [{ "IP": "127.0.0.1", "PrivatePort": 30081, "PublicPort": 30081, "Type": "tcp" }], "Mounts": [],
    })
}

/// A running node whose API answers on this port of the machine, and its kubeconfig as a file in it.
pub(crate) fn node_with_api(sandbox: &str, port: u16) -> (Value, (String, String)) {
    let mut container = node(sandbox, Some(sandbox), "running");
    container["Ports"] = json!([{ "IP": "127.0.0.1", "PrivatePort": 6443, "PublicPort": port, "Type": "tcp" }]);
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: default,
        clusters: [{name: default, cluster: {server: 'http://127.0.0.1:6443'}}],
        contexts: [{name: default, context: {cluster: default, user: default}}],
        users: [{name: default, user: {}}]} # no client-key-data";
    (container, (format!("k3d-{sandbox}-server-0:/output/kubeconfig.yaml"), kubeconfig.to_owned()))
}

fn router(world: Shared) -> Router {
    Router::new()
        .route("/_ping", get(async || "OK"))
        .route(
            "/version",
            get(async || Json(json!({ "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12" }))),
        )
        .route("/info", get(info))
        .route("/containers/json", get(containers))
        .route("/containers/create", post(create_container))
        .route("/containers/{name}/json", get(container))
        .route("/containers/{name}/start", post(docker_containers::start))
        .route("/containers/{name}/kill", post(docker_containers::kill))
        .route("/containers/{name}/pause", post(docker_containers::pause))
        .route("/containers/{name}/unpause", post(docker_containers::unpause))
        .route("/containers/{name}/update", post(docker_containers::update))
        .route("/containers/{name}/wait", post(wait_for_container))
        .route("/containers/{name}/logs", get(logs))
        .route("/containers/{name}/archive", get(file))
        .route("/containers/{name}/exec", post(docker_exec::create))
        .route("/exec/{id}/start", post(docker_exec::start))
        .route("/exec/{id}/json", get(docker_exec::inspect))
        .route("/events", get(events))
        .route("/containers/{name}", delete(remove_container))
        .route("/volumes", get(volumes))
        .route("/volumes/create", post(create_volume))
        .route("/volumes/{name}", get(volume_named).delete(remove_volume))
        .route("/networks", get(networks))
        .route("/networks/create", post(create_network))
        .route("/networks/{name}", get(network_named).delete(remove_network))
        .route("/images/create", post(pull))
        .route("/images/get", get(save))
        .route("/images/load", post(load))
        .route("/images/{*rest}", get(image).post(tag))
        .with_state(world)
}

pub(super) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("lock")
}

pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

pub(super) fn missing() -> Response {
    refuse(StatusCode::NOT_FOUND, "no such object")
}

async fn info(State(world): State<Shared>) -> Json<Value> {
    let mut info = json!({
        "CgroupVersion": "1", "MemTotal": 17_179_869_184_u64, "NCPU": 2, "DockerRootDir": "/nowhere",
        "OperatingSystem": "Fake",
    });
    for (name, value) in &lock(&world).info {
        info[*name] = value.clone();
    }
    Json(info)
}

/// Whether an object passes the `label` filter of a query.
fn labelled(object: &Value, query: &HashMap<String, String>) -> bool {
    let filters: Value = query.get("filters").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut wanted = filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str);
    wanted.all(|label| match label.split_once('=') {
        Some((key, value)) => object["Labels"][key] == value,
        None => object["Labels"].get(label).is_some(),
    })
}

async fn containers(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Json<Vec<Value>> {
    Json(lock(&world).containers.iter().filter(|container| labelled(container, &query)).cloned().collect())
}

pub(super) fn is_named(container: &Value, name: &str) -> bool {
    container["Names"][0] == format!("/{name}")
}

async fn container(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let mut world = lock(&world);
    if let Some(left) = world.inspections_refused.checked_sub(1) {
        world.inspections_refused = left;
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the daemon is starting");
    }
    let Some(found) = world.containers.iter().find(|container| is_named(container, &name)) else { return missing() };
    let bindings = found["Ports"].as_array().into_iter().flatten().map(|port| {
        let binding = json!([{ "HostIp": port["IP"], "HostPort": port["PublicPort"].to_string() }]);
        (format!("{}/tcp", port["PrivatePort"]), binding)
    });
    Json(json!({
        "Id": found["Id"], "Name": found["Names"][0], "RestartCount": 0, "Image": "sha256:node",
        "State": { "Status": found["State"], "ExitCode": found["ExitCode"].as_i64().unwrap_or(1), "StartedAt": found["StartedAt"] },
        "Config": { "Labels": found["Labels"], "Env": found["Env"], "Image": found["Image"], "Cmd": found["Arguments"] },
        "HostConfig": { "PortBindings": bindings.collect::<serde_json::Map<_, _>>() },
        "Mounts": found["Mounts"],
    }))
    .into_response()
}

/// As the daemon does: an image that is not here is not pulled, and ports are bound only by starting.
async fn create_container(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    Json(request): Json<Value>,
) -> Response {
    let mut world = lock(&world);
    let image = request["Image"].as_str().expect("an image");
    if !world.images.contains_key(image) {
        return refuse(StatusCode::NOT_FOUND, &format!("No such image: {image}"));
    }
    let bindings = request["HostConfig"]["PortBindings"].as_object().into_iter().flatten();
    let ports = bindings.map(|(port, bindings)| {
        let number = |text: &str| text.parse::<u16>().expect("a port");
        json!({
            "IP": bindings[0]["HostIp"], "PrivatePort": number(port.trim_end_matches("/tcp")),
            "PublicPort": number(bindings[0]["HostPort"].as_str().expect("a port")), "Type": "tcp",
        })
    });
    let ports: Vec<Value> = ports.collect();
    let name = format!("/{}", query["name"]);
    if world.containers.iter().any(|container| container["Names"][0] == name.as_str()) {
        return refuse(StatusCode::CONFLICT, &format!("Conflict. The container name \"{name}\" is already in use"));
    }
    let binds = request["HostConfig"]["Binds"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let bound = binds.map(|bind| bind.split(':').collect::<Vec<_>>());
    let bound = bound.map(|bind| (bind[0].to_owned(), bind[1].to_owned(), json!({})));
    let mounted = request["HostConfig"]["Mounts"].as_array().into_iter().flatten().map(|mount| {
        let text = |key: &str| mount[key].as_str().expect("text").to_owned();
        (text("Source"), text("Target"), mount["VolumeOptions"]["Labels"].clone())
    });
    let all: Vec<_> = bound.chain(mounted).collect();
    // A volume that nobody has made is made.
    for (name, _, labels) in &all {
        if !world.volumes.iter().any(|volume| volume["Name"] == name.as_str()) {
            world.volumes.push(volume(name, labels.clone(), "2026-01-01T00:00:00Z"));
        }
    }
    let mounts = all.iter().map(|(name, at, _)| json!({ "Type": "volume", "Name": name, "Destination": at }));
    let mounts: Vec<Value> = mounts.collect();
    world.containers.push(json!({
        "Id": "made", "Names": [name], "Labels": request["Labels"], "State": "created", "Ports": ports, "Mounts": mounts,
        "Image": image, "Arguments": request["Cmd"], "HostConfig": { "NetworkMode": request["HostConfig"]["NetworkMode"] },
    }));
    world.created.insert(query["name"].clone(), request);
    (StatusCode::CREATED, Json(json!({ "Id": "made", "Warnings": [] }))).into_response()
}

/// The volumes that a container mounts.
pub(super) fn volumes_of(container: &Value) -> Vec<String> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    mounts.filter_map(|mount| mount["Name"].as_str().map(str::to_owned)).collect()
}

/// The end of a container's command, which copies what is on one volume to another.
async fn wait_for_container(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let hangs = {
        let mut world = lock(&world);
        let nodes = world.containers.iter().filter(|one| one["Labels"]["k3d.role"] == "server");
        let states: Vec<_> = nodes.map(|node| node["State"].clone()).collect();
        world.beside.extend(states);
        world.commands_hang
    };
    if hangs {
        return std::future::pending().await;
    }
    let mut world = lock(&world);
    let code = i32::from(world.commands_fail);
    let Some(found) = world.containers.iter_mut().find(|container| is_named(container, &name)) else {
        return missing();
    };
    (found["State"], found["ExitCode"]) = (json!("exited"), json!(code));
    let at = |path: &str| {
        let mounts = found["Mounts"].as_array().into_iter().flatten();
        let mount = mounts.into_iter().find(|mount| mount["Destination"] == path);
        mount.and_then(|mount| mount["Name"].as_str()).map(str::to_owned)
    };
    if let (0, Some(from), Some(to)) = (code, at("/from"), at("/to")) {
        let content = world.content.get(&from).cloned().unwrap_or_default();
        world.content.insert(to, content);
        world.logs.insert(name, "48\n".to_owned());
    } else {
        world.logs.insert(name, "cp: no space left on device\n".to_owned());
    }
    Json(json!({ "StatusCode": code })).into_response()
}

/// Frames a log as the daemon does: stream number, three zeros, length, bytes.
async fn logs(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let world = lock(&world);
    if !world.containers.iter().any(|container| is_named(container, &name)) {
        return missing();
    }
    let text = world.logs.get(&name).cloned().unwrap_or_default();
    let mut framed = vec![1, 0, 0, 0];
    framed.extend(u32::try_from(text.len()).expect("a short log").to_be_bytes());
    framed.extend(text.bytes());
    framed.into_response()
}

/// A file as the daemon sends it: in a tar.
async fn file(
    State(world): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(text) = lock(&world).files.get(&format!("{name}:{}", query["path"])).cloned() else { return missing() };
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "file", text.as_bytes()).expect("a tar");
    archive.into_inner().expect("a tar").into_response()
}

async fn events(State(world): State<Shared>) -> String {
    if lock(&world).events_hang {
        return std::future::pending().await;
    }
    lock(&world).events.iter().map(|event| format!("{event}\n")).collect()
}

async fn remove_container(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    remove(&world, &name, |world| &mut world.containers, is_named)
}

async fn volumes(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let found: Vec<Value> = lock(&world).volumes.iter().filter(|volume| labelled(volume, &query)).cloned().collect();
    Json(json!({ "Volumes": found, "Warnings": [] }))
}

async fn create_volume(State(world): State<Shared>, Json(request): Json<Value>) -> Response {
    let volume = volume(request["Name"].as_str().expect("a name"), request["Labels"].clone(), "2026-01-01T00:00:00Z");
    let mut world = lock(&world);
    if let Some(there) = world.volumes.iter().find(|there| there["Name"] == volume["Name"]) {
        return (StatusCode::CREATED, Json(there.clone())).into_response();
    }
    world.volumes.push(volume.clone());
    (StatusCode::CREATED, Json(volume)).into_response()
}

/// A volume as listed.
pub(crate) fn volume(name: &str, labels: Value, created: &str) -> Value {
    json!({
        "Name": name, "Labels": labels, "CreatedAt": created, "Driver": "local", "Mountpoint": "/v", "Options": {},
        "Scope": "local",
    })
}

async fn volume_named(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    named(&lock(&world).volumes, &name)
}

async fn network_named(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let world = lock(&world);
    ambiguous(&world, &name).unwrap_or_else(|| named(&world.networks, &name))
}

fn named(among: &[Value], name: &str) -> Response {
    let found = among.iter().find(|object| is_called(object, name));
    found.map_or_else(missing, |object| Json(object.clone()).into_response())
}

async fn remove_volume(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    if lock(&world).containers.iter().flat_map(volumes_of).any(|mounted| mounted == name) {
        return refuse(StatusCode::CONFLICT, &format!("remove {name}: volume is in use"));
    }
    remove(&world, &name, |world| &mut world.volumes, |volume, name| volume["Name"] == name)
}

async fn networks(State(world): State<Shared>) -> Json<Vec<Value>> {
    let mut world = lock(&world);
    let listed = world.networks.clone();
    world.leaving.values_mut().for_each(|left| *left = left.saturating_sub(1));
    let gone: Vec<_> = world.leaving.iter().filter(|(_, left)| **left == 0).map(|(name, _)| name.clone()).collect();
    world.networks.retain(|network| !gone.iter().any(|name| network["Name"] == **name));
    Json(listed)
}

async fn create_network(State(world): State<Shared>, Json(request): Json<Value>) -> Response {
    let mut world = lock(&world);
    if let Some(words) = world.refused.get("network") {
        return refuse(StatusCode::FORBIDDEN, words);
    }
    world.networks.push(json!({
        "Name": request["Name"], "Id": "made", "Labels": request["Labels"],
        "IPAM": { "Config": [{ "Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1" }] },
    }));
    (StatusCode::CREATED, Json(json!({ "Id": "made", "Warning": "" }))).into_response()
}

async fn remove_network(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    let is_unknown = {
        let mut world = lock(&world);
        let named = world.networks.iter().find(|network| is_called(network, &name));
        let named = named.and_then(|network| network["Name"].as_str()).map(str::to_owned).unwrap_or_default();
        let coming = world.coming.get_mut(&named).filter(|left| **left > 0);
        let is_coming = coming.map(|left| *left -= 1).is_some();
        is_coming || world.leaving.contains_key(&named)
    };
    if is_unknown {
        return missing();
    }
    let is_attached = {
        let world = lock(&world);
        let network = world.networks.iter().find(|network| is_called(network, &name)).map(|network| &network["Name"]);
        let runs =
            |container: &&Value| ["running", "paused", "restarting"].iter().any(|state| container["State"] == *state);
        let attached = |container: &Value| Some(&container["HostConfig"]["NetworkMode"]) == network;
        world.containers.iter().filter(runs).any(attached)
    };
    if is_attached {
        return refuse(
            StatusCode::FORBIDDEN,
            &format!("error while removing network: network {name} has active endpoints"),
        );
    }
    let unclear = ambiguous(&lock(&world), &name);
    unclear.unwrap_or_else(|| remove(&world, &name, |world| &mut world.networks, is_called))
}

/// Whether this is an object's name or id.
fn is_called(object: &Value, name: &str) -> bool {
    object["Name"] == name || object["Id"] == name
}

/// What the daemon says about a name that several networks have, which is possible until Docker 24.
fn ambiguous(world: &World, name: &str) -> Option<Response> {
    let matches = world.networks.iter().filter(|network| network["Name"] == name).count();
    let words = format!("network {name} is ambiguous ({matches} matches found on name)");
    (matches > 1).then(|| refuse(StatusCode::BAD_REQUEST, &words))
}

fn remove(
    world: &Shared,
    name: &str,
    among: fn(&mut World) -> &mut Vec<Value>,
    is_it: fn(&Value, &str) -> bool,
) -> Response {
    let mut world = lock(world);
    let stuck = |object: &Value| object["Name"].as_str().is_some_and(|name| world.stuck.contains(name));
    let by_id = world.networks.iter().any(|network| network["Id"] == name && stuck(network));
    if world.stuck.contains(name) || by_id {
        return refuse(StatusCode::CONFLICT, "it is in use");
    }
    let all = among(&mut world);
    let before = all.len();
    all.retain(|object| !is_it(object, name));
    if all.len() == before { missing() } else { StatusCode::NO_CONTENT.into_response() }
}
