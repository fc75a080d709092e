//! A Minio as its administrator sees it: buckets, users, groups and policies, kept, and asked by access key.
//!
//! It does not look into what is encrypted, nor at signatures: those are held against Minio's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flyte_sandbox::rehearsal::as_minio;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) buckets: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) policies: BTreeMap<String, String>,
    /// By name: members, and the policy.
    pub(crate) groups: BTreeMap<String, (BTreeSet<String>, String)>,
    /// How many requests are answered with an error of the server's first.
    pub(crate) busy: usize,
    /// How many requests reach somebody else first.
    pub(crate) strangers: usize,
    pub(crate) asked: Vec<String>,
}

/// A Minio whose root is `minio`.
pub(crate) struct FakeMinio {
    pub(crate) port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl FakeMinio {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let world = Arc::clone(&kept);
        let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let mut kept = world.lock().expect("whole");
            let answer = match kept.strangers.checked_sub(1) {
                Some(left) => {
                    kept.strangers = left;
                    (StatusCode::FORBIDDEN, "denied destination").into_response()
                }
                None => as_minio(kept.answer(&method, &uri, &headers, &body)),
            };
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, kept }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("whole")
    }
}

impl Kept {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        self.asked.push(format!("{method} {}", uri.path()));
        if self.busy > 0 {
            self.busy -= 1;
            return (StatusCode::SERVICE_UNAVAILABLE, "<Code>XMinioServerNotInitialized</Code>").into_response();
        }
        let who = signer(headers).unwrap_or_default();
        if who != "minio" && !self.users.contains(&who) {
            return (StatusCode::FORBIDDEN, "<Code>InvalidAccessKeyId</Code>").into_response();
        }
        if let Some(call) = uri.path().strip_prefix("/minio/admin/v3/") {
            let refused = who != "minio";
            return if refused { StatusCode::FORBIDDEN.into_response() } else { self.admin(call, uri, body) };
        }
        let bucket = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let own = self.groups.values().filter(|(members, _)| members.contains(&who));
        let grants = own.filter_map(|(_, policy)| self.policies.get(policy));
        let granted = grants.into_iter().any(|policy| allows(policy, method, uri));
        match (who == "minio", method.as_str(), self.buckets.contains(&bucket)) {
            (true, "PUT", true) => (StatusCode::CONFLICT, "<Code>BucketAlreadyOwnedByYou</Code>").into_response(),
            (true, "PUT", false) => {
                self.buckets.insert(bucket);
                StatusCode::OK.into_response()
            }
            (true, "DELETE", true) if headers.contains_key("x-minio-force-delete") => {
                self.buckets.remove(&bucket);
                StatusCode::NO_CONTENT.into_response()
            }
            (root, "HEAD" | "GET" | "PUT", true) if root || granted => StatusCode::OK.into_response(),
            (root, _, false) if root || granted => StatusCode::NOT_FOUND.into_response(),
            _ => StatusCode::FORBIDDEN.into_response(),
        }
    }

    fn admin(&mut self, call: &str, uri: &Uri, body: &[u8]) -> Response {
        let query: BTreeMap<_, _> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let of = |name: &str| (*query.get(name).unwrap_or(&"")).to_owned();
        let done = StatusCode::OK.into_response();
        let absent = || StatusCode::NOT_FOUND.into_response();
        match call {
            "groups" => axum::Json(self.groups.keys().collect::<Vec<_>>()).into_response(),
            "group" => match self.groups.get(&of("group")) {
                Some((members, policy)) => axum::Json(json!({"members": members, "policy": policy})).into_response(),
                None => absent(),
            },
            "add-canned-policy" => {
                self.policies.insert(of("name"), String::from_utf8_lossy(body).into_owned());
                done
            }
            "remove-canned-policy" => self.policies.remove(&of("name")).map_or_else(absent, |_| done),
            // 32 of salt, one for the cipher, 8 of nonce, a tag of 16.
            "add-user" if body.len() > 57 && body[32] == 1 => {
                self.users.insert(of("accessKey"));
                done
            }
            "remove-user" => {
                self.groups.values_mut().for_each(|(members, _)| members.retain(|member| *member != of("accessKey")));
                if self.users.remove(&of("accessKey")) { done } else { absent() }
            }
            "update-group-members" => {
                let change: Value = serde_json::from_slice(body).expect("JSON");
                let name = change["group"].as_str().expect("a group").to_owned();
                if change["isRemove"] == true {
                    return self.groups.remove(&name).map_or_else(absent, |_| done);
                }
                let members = change["members"].as_array().expect("members").iter().filter_map(Value::as_str);
                self.groups.entry(name).or_default().0.extend(members.map(str::to_owned));
                done
            }
            "set-user-or-group-policy" => match self.groups.get_mut(&of("userOrGroup")) {
                Some(group) => {
                    group.1 = of("policyName");
                    done
                }
                None => absent(),
            },
            _ => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

/// Whether a policy allows a request, as Minio reads one.
fn allows(policy: &str, method: &Method, uri: &Uri) -> bool {
    let path = uri.path().trim_start_matches('/');
    let action = match (path.contains('/'), method.as_str()) {
        (true, "PUT") => "s3:PutObject",
        (true, _) => "s3:GetObject",
        (false, _) => "s3:ListBucket",
    };
    let prefix = uri.query().and_then(|query| query.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/");
    let is_like = |patterns: &Value, text: &str| {
        patterns.as_array().expect("a list").iter().filter_map(Value::as_str).any(|pattern| {
            let mut parts = pattern.split('*');
            let rest = parts.next().and_then(|start| text.strip_prefix(start));
            let Some(mut rest) = rest else { return false };
            let Some(end) = parts.next_back() else { return rest.is_empty() };
            for part in parts {
                let Some(at) = rest.find(part) else { return false };
                rest = &rest[at + part.len()..];
            }
            rest.ends_with(end)
        })
    };
    let policy: Value = serde_json::from_str(policy).expect("JSON");
    policy["Statement"].as_array().expect("statements").iter().any(|one| {
        let condition = &one["Condition"]["StringLike"]["s3:prefix"];
        is_like(&one["Action"], action)
            && is_like(&one["Resource"], &format!("arn:aws:s3:::{path}"))
            && (condition.is_null() || is_like(condition, &prefix))
    })
}

/// The access key that a request is signed with.
fn signer(headers: &HeaderMap) -> Option<String> {
    let signed = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(signed.split_once("Credential=")?.1.split('/').next()?.to_owned())
}
