//! A simulated Minio: its browser's page, the S3 API, and the part of the admin API that a sandbox uses.
//!
//! Keys that are derived from the spec open their project's bucket from the start. Those that somebody issues open it
//! once they are in the bucket's group, as in a real one.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::responders::{html, json_of, not_found};
use crate::spec::{Grant, Spec};

/// The data of Minio.
#[derive(Debug, Default)]
pub struct Minio {
    /// Objects, by path.
    objects: BTreeMap<String, Bytes>,
    /// The access keys that open the bucket of each name.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Buckets that somebody deleted and nobody made again.
    dropped: BTreeSet<String>,
}

/// The body of `update-group-members`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    group: String,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    is_remove: bool,
}

impl Minio {
    /// Deletes a bucket and what is in it, beneath the sandbox.
    pub fn drop_bucket(&mut self, bucket: &str) {
        let within = format!("/{bucket}/");
        self.objects.retain(|path, _| !path.starts_with(&within));
        self.dropped.insert(bucket.to_owned());
    }

    /// The response in a sandbox with this spec.
    pub fn answer(&mut self, spec: &Spec, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
        match uri.path() {
            "/minio/health/cluster" => return StatusCode::OK.into_response(),
            "/minio/" => {
                let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
                return if agent.contains("Mozilla") {
                    html("<html><title>REHEARSAL</title><h1>REHEARSAL: no Minio runs here</h1>")
                } else {
                    StatusCode::FORBIDDEN.into_response()
                };
            }
            _ => {}
        }
        let who = signer(uri, headers).unwrap_or_default();
        let root = who == spec.storage.access_key;
        match uri.path().strip_prefix("/minio/admin/v3/") {
            Some(_) if !root => StatusCode::FORBIDDEN.into_response(),
            Some(call) => self.administer(call, uri.query().unwrap_or_default(), &body),
            None if method == Method::PUT && headers.contains_key(header::TRANSFER_ENCODING) => {
                (StatusCode::LENGTH_REQUIRED, "<Code>MissingContentLength</Code>").into_response()
            }
            None if root && method == Method::GET && uri.path() == "/" => self.buckets(spec),
            None => self.keep(spec, &who, method, uri, body),
        }
    }

    fn administer(&mut self, call: &str, query: &str, body: &[u8]) -> Response {
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        match (call, serde_json::from_slice::<Membership>(body)) {
            ("groups", _) => return json_of(&json!(self.groups.keys().collect::<Vec<_>>())),
            ("group", _) => {
                let Some(members) = of("group").and_then(|group| self.groups.get(group)) else { return not_found() };
                return json_of(&json!({"members": members}));
            }
            ("remove-user", _) => {
                let gone = of("accessKey").unwrap_or_default();
                self.groups.values_mut().for_each(|members| _ = members.remove(gone));
            }
            ("update-group-members", Ok(Membership { group, is_remove: true, .. })) => _ = self.groups.remove(&group),
            ("update-group-members", Ok(Membership { group, members, .. })) => {
                self.groups.entry(group).or_default().extend(members);
            }
            _ => {}
        }
        json_of(&json!({}))
    }

    fn buckets(&self, spec: &Spec) -> Response {
        let of_projects = spec.projects.iter().map(|project| spec.storage.bucket_of(project));
        let all = std::iter::once(spec.storage.bucket.clone()).chain(of_projects);
        let listed: String = all.map(|name| format!("<Bucket><Name>{name}</Name></Bucket>")).collect();
        format!("<ListAllMyBucketsResult><Buckets>{listed}</Buckets></ListAllMyBucketsResult>").into_response()
    }

    fn keep(&mut self, spec: &Spec, who: &str, method: &Method, uri: &Uri, body: Bytes) -> Response {
        let (storage, path) = (&spec.storage, uri.path());
        let named = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let is_there = named == storage.bucket || spec.projects.iter().any(|one| storage.bucket_of(one) == named);
        let within = path.trim_start_matches('/').strip_prefix(named).unwrap_or_default().trim_start_matches('/');
        let part = if within.is_empty() { prefix_of(uri).unwrap_or_default() } else { within.to_owned() };
        let writes = !matches!(method.as_str(), "GET" | "HEAD");
        let granted = spec.store_users().into_iter().any(|user| {
            let is_member = self.groups.get(&user.name).is_some_and(|members| members.contains(who));
            (is_member || user.keys.is_some_and(|keys| keys.access_key == who))
                && user.grants.iter().any(|grant| covers(grant, named, &part) && (grant.writes || !writes))
        });
        let opens =
            who == storage.access_key || granted || self.groups.get(named).is_some_and(|members| members.contains(who));
        if who.is_empty() || !opens {
            return (StatusCode::FORBIDDEN, "<Code>AccessDenied</Code>").into_response();
        }
        // The bucket of a project that leaves: the spec no longer has it, and the store's own keys remove it.
        if !is_there && !self.groups.contains_key(named) {
            return (StatusCode::NOT_FOUND, "<Code>NoSuchBucket</Code>").into_response();
        }
        let of_bucket = path.strip_prefix('/').unwrap_or_default().trim_end_matches('/') == named;
        if who == storage.access_key && method == Method::PUT && of_bucket {
            self.dropped.remove(named);
        }
        if self.dropped.contains(named) {
            return (StatusCode::NOT_FOUND, "<Code>NoSuchBucket</Code>").into_response();
        }
        match (method.as_str(), of_bucket) {
            ("HEAD" | "PUT", true) => StatusCode::OK.into_response(),
            ("GET", true) => {
                let prefix = format!("/{named}/");
                let listed = self.objects.iter().filter_map(|(path, body)| {
                    let (key, size) = (path.strip_prefix(&prefix)?, body.len());
                    Some(format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"))
                });
                let listed: String = listed.collect();
                format!("<ListBucketResult><Name>{named}</Name>{listed}</ListBucketResult>").into_response()
            }
            ("PUT", false) => {
                self.objects.insert(path.to_owned(), body);
                StatusCode::OK.into_response()
            }
            ("GET", false) => self.objects.get(path).cloned().map_or_else(not_found, IntoResponse::into_response),
            ("DELETE", true) if who == storage.access_key => {
                self.drop_bucket(named);
                StatusCode::NO_CONTENT.into_response()
            }
            ("DELETE", false) if self.objects.remove(path).is_some() => StatusCode::NO_CONTENT.into_response(),
            _ => not_found(),
        }
    }
}

/// A response with the headers of Minio.
pub fn as_minio(mut response: Response) -> Response {
    response.headers_mut().insert("x-amz-request-id", HeaderValue::from_static("rehearsal"));
    response
}

/// Whether a grant is of this part of a bucket.
fn covers(grant: &Grant, bucket: &str, part: &str) -> bool {
    let is_of = match grant.bucket.strip_suffix('*') {
        Some(start) => bucket.starts_with(start),
        None => bucket == grant.bucket,
    };
    is_of && part.starts_with(&grant.prefix)
}

/// What the names that a request lists begin with.
fn prefix_of(uri: &Uri) -> Option<String> {
    Query::<BTreeMap<String, String>>::try_from_uri(uri).ok()?.0.remove("prefix")
}

/// The access key that a request is signed with, in its headers or its URL.
fn signer(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let pairs = Query::<BTreeMap<String, String>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
    let presigned = pairs.get("X-Amz-Credential").filter(|_| pairs.contains_key("X-Amz-Signature"));
    let presigned = presigned.and_then(|credential| credential.split('/').next());
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| text.split_once("Credential=")?.1.split('/').next());
    presigned.or(header).map(str::to_owned)
}
