//! A registry on the loopback address that goes wrong: before the reference implementation, in a container, where its image is
//! here, and else before what it would answer. Docker takes any of 127.0.0.0/8 without TLS, and no other address: see
//! `tls.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flyte_sandbox::digest::{hex, sha256};
use futures::stream;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::docker::{docker, try_docker};
use super::ground::is_forced;
use super::tls::Authority;

/// The reference implementation.
const REAL: &str = "registry:3.0.0";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Who may pull, where somebody has to say who he is.
pub(crate) const USER: (&str, &str) = ("me", "a password");
const TOKEN: &str = "one-token";

/// What comes of the requests for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// What is right.
    Well,
    /// A token, which is for [`USER`] alone, has to come with them.
    Guarded,
    /// This status, with this code of the protocol's.
    Refusing(u16, &'static str),
    /// So many milliseconds between two parts of a layer.
    Slow(u64),
    /// The first so many answers with a layer end in the middle.
    Cutting(usize),
}

struct Shared {
    content: Mutex<BTreeMap<String, Content>>,
    mood: Mutex<Mood>,
    /// Paths that were asked for, with `Range` where a part was.
    asked: Mutex<Vec<String>>,
    address: SocketAddr,
    real: Option<String>,
}

#[derive(Clone)]
struct Content {
    media: &'static str,
    bytes: Bytes,
}

/// A registry. It ends with this value.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    container: Option<String>,
    authority: Option<Authority>,
    runtime: Runtime,
}

impl Registry {
    /// Empty, and well. `name` is the test's.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// At another address of this machine, which Docker takes with TLS alone.
    pub(crate) fn start_at(name: &str, address: IpAddr) -> Self {
        Self::listen(name, address, None)
    }

    /// The same with TLS, by an authority that Docker does not know.
    pub(crate) fn start_with_tls(name: &str, address: IpAddr) -> Self {
        Self::listen(name, address, Some(Authority::new(address)))
    }

    fn listen(name: &str, address: IpAddr, authority: Option<Authority>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind((address, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_real = is_here();
        let container = is_real.then(|| format!("{name}-registry"));
        println!("registry: {}", if is_real { format!("{REAL} (real)") } else { format!("stand-in of {REAL}") });
        let real = container.as_ref().map(|container| run_real(container, &[], &runtime));
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            asked: Mutex::default(),
            address,
            real,
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        match &authority {
            None => drop(runtime.spawn(async move { axum::serve(listener, app).await })),
            Some(authority) => {
                let listener = authority.listen(listener);
                runtime.spawn(async move { axum::serve(listener, app).await });
            }
        }
        Self { shared, container, authority, runtime }
    }

    /// The certificate of the authority that vouches for it, PEM.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_ref().expect("it has TLS").certificate()
    }

    /// Its address and port.
    pub(crate) fn host(&self) -> String {
        self.shared.address.to_string()
    }

    pub(crate) fn is(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
        lock(&self.shared.asked).clear();
    }

    /// What was asked for since its mood changed.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.shared.asked).clone()
    }

    /// Gives it an image of one layer with this much in it, for these architectures; more than one make an index.
    pub(crate) fn push(&self, repository: &str, tag: &str, architectures: &[&str], size: usize) {
        let manifests: Vec<_> = architectures.iter().map(|one| self.push_one(repository, one, size)).collect();
        let (media, manifest) = match &manifests[..] {
            [(bytes, _)] => (MANIFEST, bytes.clone()),
            all => {
                let listed = all.iter().zip(architectures).map(|((bytes, _), architecture)| {
                    let mut one = described(MANIFEST, bytes);
                    one["platform"] = json!({"os": "linux", "architecture": architecture});
                    one
                });
                let listed: Vec<_> = listed.collect();
                (INDEX, text(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})))
            }
        };
        self.put(&format!("/v2/{repository}/manifests/{tag}"), media, &manifest);
    }

    fn push_one(&self, repository: &str, architecture: &str, size: usize) -> (Bytes, &'static str) {
        let mut layer = tar::Builder::new(Vec::new());
        let mut head = tar::Header::new_gnu();
        // Of no pattern that could be compressed on its way.
        let content: Vec<u8> =
            (0..size as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        head.set_size(content.len() as u64);
        head.set_mode(0o644);
        // A layer that another test's image has as well, Docker would not ask for.
        let name = format!("{}-for-{architecture}", repository.replace('/', "-"));
        layer.append_data(&mut head, name, &content[..]).expect("an entry");
        let layer = Bytes::from(layer.into_inner().expect("an archive"));
        let config = text(&json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        }));
        for (media, blob) in [(CONFIG, &config), (LAYER, &layer)] {
            self.put(&format!("/v2/{repository}/blobs/{}", digest(blob)), media, blob);
        }
        let manifest = text(&json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described(CONFIG, &config), "layers": [described(LAYER, &layer)],
        }));
        self.put(&format!("/v2/{repository}/manifests/{}", digest(&manifest)), MANIFEST, &manifest);
        (manifest, MANIFEST)
    }

    fn put(&self, path: &str, media: &'static str, bytes: &Bytes) {
        if let Some(real) = &self.shared.real {
            self.runtime.block_on(upload(real, path, media, bytes));
        } else {
            lock(&self.shared.content).insert(path.to_owned(), Content { media, bytes: bytes.clone() });
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            let _ = try_docker(&["rm", "--force", "--volumes", container]);
        }
    }
}

/// The reference implementation as a mirror that gets what it is asked for from another registry, and keeps it. It ends with
/// this value.
pub(crate) struct PullThrough {
    container: String,
    address: String,
}

impl PullThrough {
    /// Absent where there is no reference implementation.
    pub(crate) fn start(container: &str, network: &str, of: &str) -> Option<Self> {
        let remote = format!("REGISTRY_PROXY_REMOTEURL=http://{of}");
        let more = ["--network", network, "--env", &remote];
        let runtime = Runtime::new().expect("a runtime");
        is_here().then(|| Self { container: container.to_owned(), address: run_real(container, &more, &runtime) })
    }

    /// Its address and port.
    pub(crate) fn host(&self) -> &str {
        self.address.trim_start_matches("http://")
    }
}

impl Drop for PullThrough {
    fn drop(&mut self) {
        let _ = try_docker(&["rm", "--force", "--volumes", &self.container]);
    }
}

/// Whether the reference implementation is to be had.
fn is_here() -> bool {
    !is_forced() && try_docker(&["image", "inspect", REAL]).is_ok()
}

/// Starts the reference implementation; its address once it answers.
fn run_real(container: &str, more: &[&str], runtime: &Runtime) -> String {
    let _ = try_docker(&["rm", "--force", "--volumes", container]);
    let run = ["run", "--detach", "--name", container, "--publish", "127.0.0.1::5000"];
    docker(&[&run[..], more, &[REAL]].concat());
    let published = docker(&["port", container, "5000/tcp"]);
    let real = format!("http://{}", published.lines().next().expect("a published port"));
    runtime.block_on(async {
        let answers = async {
            while reqwest::get(format!("{real}/v2/")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answers).await.expect("the registry answers");
    });
    real
}

/// A blob as the protocol has it uploaded in one go, or a manifest.
async fn upload(real: &str, path: &str, media: &str, bytes: &Bytes) {
    let client = reqwest::Client::new();
    let address = match path.split_once("/blobs/") {
        None => format!("{real}{path}"),
        Some((repository, digest)) => {
            let begun = client.post(format!("{real}{repository}/blobs/uploads/")).send().await.expect("an upload");
            let place = begun.headers()[header::LOCATION].to_str().expect("an address").to_owned();
            let place = if place.starts_with('/') { format!("{real}{place}") } else { place };
            format!("{place}{}digest={digest}", if place.contains('?') { '&' } else { '?' })
        }
    };
    let put = client.put(address).header(header::CONTENT_TYPE, media).body(bytes.clone()).send().await;
    let put = put.expect("the registry answers");
    assert!(put.status().is_success(), "{path}: {put:?}");
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().to_owned();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    if method == Method::GET {
        lock(&shared.asked).push(format!("{path} {range}").trim_end().to_owned());
    }
    let mood = *lock(&shared.mood);
    match mood {
        Mood::Guarded if path == "/token" => return token(&headers),
        Mood::Guarded if !has(&headers, &format!("Bearer {TOKEN}")) => {
            let address = shared.address;
            let way = format!("Bearer realm=\"http://{address}/token\",service=\"it\"");
            return ([(header::WWW_AUTHENTICATE, way)], refusal(401, "UNAUTHORIZED")).into_response();
        }
        Mood::Refusing(status, code) if path != "/v2/" => return refusal(status, code),
        _ => {}
    }
    let found = match &shared.real {
        Some(real) => of_the_real(real, &path, &method, &headers).await,
        None => of_the_content(&shared, &path, &headers),
    };
    let is_layer = path.contains("/blobs/") && length(&found) > 10_000 && method == Method::GET;
    if !is_layer {
        return found;
    }
    match mood {
        Mood::Slow(pause) => in_parts(found, pause, None).await,
        Mood::Cutting(left) if left > 0 => {
            *lock(&shared.mood) = Mood::Cutting(left - 1);
            in_parts(found, 0, Some(4)).await
        }
        _ => found,
    }
}

fn token(headers: &HeaderMap) -> Response {
    let basic = STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    if has(headers, &format!("Basic {basic}")) {
        axum::Json(json!({"token": TOKEN, "expires_in": 300})).into_response()
    } else {
        refusal(401, "UNAUTHORIZED")
    }
}

fn has(headers: &HeaderMap, authorization: &str) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|said| said == authorization)
}

fn refusal(status: u16, code: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": code.to_lowercase(), "detail": null}]});
    (StatusCode::from_u16(status).expect("a status"), axum::Json(body)).into_response()
}

async fn of_the_real(real: &str, path: &str, method: &Method, headers: &HeaderMap) -> Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let mut asked = client.request(method.clone(), format!("{real}{path}"));
    for name in [header::ACCEPT, header::RANGE] {
        for value in headers.get_all(&name) {
            asked = asked.header(&name, value);
        }
    }
    let Ok(answered) = asked.send().await else { return refusal(502, "UNAVAILABLE") };
    let (status, mut headers) = (answered.status(), answered.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    let body = answered.bytes().await.unwrap_or_default();
    (status, headers, body).into_response()
}

/// As the reference implementation answers, as far as Docker asks.
fn of_the_content(shared: &Shared, path: &str, asked: &HeaderMap) -> Response {
    if path == "/v2/" {
        return axum::Json(json!({})).into_response();
    }
    let Some(Content { media, bytes }) = lock(&shared.content).get(path).cloned() else {
        return refusal(404, if path.contains("/manifests/") { "MANIFEST_UNKNOWN" } else { "BLOB_UNKNOWN" });
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert("docker-content-digest", HeaderValue::from_str(&digest(&bytes)).expect("a digest"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let from = asked.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(first_byte);
    let Some(from) = from.filter(|from| *from > 0 && *from < bytes.len()) else {
        return (headers, bytes).into_response();
    };
    let of = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&of).expect("a range"));
    (StatusCode::PARTIAL_CONTENT, headers, bytes.slice(from..)).into_response()
}

/// Of `bytes=7-` or `bytes=7-99` the 7.
fn first_byte(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

/// An answer in ten parts, with a pause before each, as many of them as there are to be; its length stays that of all.
async fn in_parts(found: Response, pause: u64, parts: Option<usize>) -> Response {
    let (head, body) = found.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let size = bytes.len().div_ceil(10);
    let mut all: Vec<Result<Bytes, std::io::Error>> =
        (0..10).map(|at| Ok(bytes.slice((at * size).min(bytes.len())..((at + 1) * size).min(bytes.len())))).collect();
    if let Some(parts) = parts {
        all.truncate(parts);
        all.push(Err(std::io::Error::other("cut")));
    }
    let paused = stream::unfold(all.into_iter(), move |mut all| async move {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Some((all.next()?, all))
    });
    Response::from_parts(head, Body::from_stream(paused))
}

fn length(answer: &Response) -> usize {
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_else(|| {
        // What is not said is what the body knows of itself.
        use axum::body::HttpBody;
        answer.body().size_hint().lower() as usize
    })
}

fn described(media: &str, bytes: &Bytes) -> Value {
    json!({"mediaType": media, "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &Bytes) -> String {
    format!("sha256:{}", hex(&sha256(bytes)))
}

fn text(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
