//! Requests that a Kubernetes API and its double must answer alike, in order, each with what of the answer matters.
//! Shared with the end-to-end tests, which send the same to a real one.

use http::{Method, Request, header};
use kube::Client;
use serde_json::{Value, json};

/// One request, and what its answer must be.
pub(crate) struct Ask {
    what: String,
    method: Method,
    path: String,
    kind: &'static str,
    body: Value,
    status: u16,
    /// Values in the answer by JSON pointer; null where there must be none.
    sees: Vec<(&'static str, Value)>,
    /// What the message of a refusal must have within.
    says: Option<String>,
}

const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
/// Any status of success.
const TAKEN: u16 = 0;
const HOME: &str = "/api/v1/namespaces/conformance";

/// What came of a request.
pub(crate) struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    #[allow(dead_code, reason = "the end-to-end tests ask for differences")]
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl Ask {
    fn new(what: impl Into<String>, method: Method, path: impl Into<String>) -> Self {
        let (what, path) = (what.into(), path.into());
        Self { what, method, path, kind: JSON, body: Value::Null, status: 200, sees: Vec::new(), says: None }
    }

    fn sending(self, kind: &'static str, body: Value) -> Self {
        Self { kind, body, ..self }
    }

    fn is(self, status: u16, sees: &[(&'static str, Value)]) -> Self {
        Self { status, sees: sees.to_vec(), ..self }
    }

    /// Whether it changes nothing, and may be sent again.
    #[allow(dead_code, reason = "the double needs no time to settle")]
    pub(crate) fn only_looks(&self) -> bool {
        self.method == Method::GET || self.path.ends_with("accessreviews")
    }

    /// Sends it; a connection that breaks is no answer.
    pub(crate) async fn send(&self, client: &Client) -> Answer {
        let body = if self.body.is_null() { Vec::new() } else { self.body.to_string().into_bytes() };
        let request = Request::builder().method(&self.method).uri(&self.path).header(header::CONTENT_TYPE, self.kind);
        let response = client.send(request.body(body.into()).expect("a request")).await.expect("an answer");
        let status = response.status().as_u16();
        let body = kube::client::Body::collect_bytes(response.into_body()).await.expect("a whole answer");
        Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// What of an answer is not as it must be.
    pub(crate) fn differences(&self, answer: &Answer) -> Vec<String> {
        let mut found = Vec::new();
        let at = format!("{}: {} {}", self.what, self.method, self.path);
        let is_expected = answer.status == self.status || self.status == TAKEN && answer.status < 300;
        if self.says.is_none() && !is_expected {
            found.push(format!("{at}: {}, not {}: {}", answer.status, self.status, answer.body["message"]));
        }
        for (pointer, wanted) in &self.sees {
            let seen = answer.body.pointer(pointer).unwrap_or(&Value::Null);
            if seen != wanted {
                found.push(format!("{at}: {pointer} is {seen}, not {wanted}"));
            }
        }
        if let Some(says) = &self.says {
            let message = answer.message();
            if answer.status < 400 || !message.contains(says.as_str()) {
                found.push(format!("{at}: {} says {message:?}, not {says:?}", answer.status));
            }
        }
        found
    }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "conformance"}, "data": data})
}

fn role(verbs: &[&str]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "conformance"},
        "rules": [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": verbs}]})
}

fn review(verb: &str, resource: &str, subresource: &str, namespace: &str) -> Ask {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "system:serviceaccount:conformance:a",
        "resourceAttributes": {"verb": verb, "resource": resource, "subresource": subresource, "namespace": namespace}}});
    Ask::new("an access review", Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews").sending(JSON, body)
}

/// A failure's status, reason and message.
fn refused(reason: &str, message: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/kind", "Status".into()),
        ("/status", "Failure".into()),
        ("/reason", reason.into()),
        ("/message", message.into()),
    ]
}

/// An apply of each object of the table, which is refused, or taken and forgotten. Of what is refused for what is there,
/// `first` is applied before. A Service is applied in earnest: an older API does not look for addresses and ports in a
/// dry run.
fn applies() -> Vec<Ask> {
    let table: Vec<Value> = serde_yaml::from_str(include_str!("refusals.yaml")).expect("a table of objects");
    let mut asks = Vec::new();
    for row in &table {
        let what = row["what"].as_str().expect("a name");
        let says = row["says"].as_str();
        if row["first"].is_object() {
            asks.push(Ask { status: TAKEN, ..apply(&format!("{what}, first"), &row["first"], false) });
        }
        let is_dry = says.is_none() || row["object"]["kind"] != "Service";
        let ask = apply(what, &row["object"], is_dry);
        asks.push(match says {
            Some(says) => Ask { says: Some(says.to_owned()), ..ask },
            None => Ask { status: TAKEN, ..ask },
        });
    }
    asks
}

/// The applies that an unknown field has refused, without it.
#[allow(dead_code, reason = "it is about the table, which the double alone need be asked for")]
pub(crate) fn without_the_unknown_field() -> Vec<Ask> {
    let table: Vec<Value> = serde_yaml::from_str(include_str!("refusals.yaml")).expect("a table of objects");
    let unknown = |row: &Value| {
        let (path, _) = row["says"].as_str()?.split_once(": field not declared in schema")?;
        path.rsplit('.').next().map(str::to_owned)
    };
    let named = table.iter().filter_map(|row| Some((row, unknown(row)?)));
    named.map(|(row, field)| apply(&field, &without(&row["object"], &field), true)).collect()
}

fn without(value: &Value, field: &str) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != field)
            .map(|(key, value)| (key.clone(), without(value, field)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| without(item, field)).collect(),
        other => other.clone(),
    }
}

fn apply(what: &str, object: &Value, is_dry: bool) -> Ask {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).expect("text");
    let (version, kind) = (text("/apiVersion"), text("/kind").to_lowercase());
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    };
    let namespace = object["metadata"]["namespace"].as_str();
    let within = namespace.map_or(String::new(), |namespace| format!("/namespaces/{namespace}"));
    let dry = if is_dry { "&dryRun=All" } else { "" };
    let path = format!("{root}{within}/{plural}/{}?fieldManager=one{dry}", text("/metadata/name"));
    Ask::new(what, Method::PATCH, path).sending(APPLY, object.clone())
}

/// All of them. They make a namespace, and take it away in the end.
pub(crate) fn all() -> Vec<Ask> {
    let at = |rest: &str| format!("{HOME}{rest}");
    let apply = |manager: &str, force: bool| {
        format!("{HOME}/configmaps/c?fieldManager={manager}{}", if force { "&force=true" } else { "" })
    };
    let mut another = role(&["get"]);
    another["metadata"]["name"] = "s".into();
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/conformance";
    let mut asks = vec![
        Ask::new("what is not there", Method::GET, HOME)
            .is(404, &refused("NotFound", "namespaces \"conformance\" not found")),
        Ask::new("an apply into no namespace", Method::PATCH, apply("one", false))
            .sending(APPLY, config_map(json!({"a": "1"})))
            .is(404, &refused("NotFound", "namespaces \"conformance\" not found")),
        Ask::new("a namespace", Method::POST, "/api/v1/namespaces")
            .sending(JSON, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "conformance"}}))
            .is(201, &[("/kind", "Namespace".into()), ("/metadata/name", "conformance".into())]),
        Ask::new("the same again", Method::POST, "/api/v1/namespaces")
            .sending(JSON, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "conformance"}}))
            .is(409, &refused("AlreadyExists", "namespaces \"conformance\" already exists")),
        Ask::new("an apply without a manager", Method::PATCH, at("/configmaps/c"))
            .sending(APPLY, config_map(json!({"a": "1"})))
            .is(422, &[("/reason", "Invalid".into())]),
        Ask::new("a first apply", Method::PATCH, apply("one", false))
            .sending(APPLY, config_map(json!({"a": "1", "b": "1"})))
            .is(201, &[
                ("/data", json!({"a": "1", "b": "1"})),
                ("/metadata/managedFields/0/manager", "one".into()),
                ("/metadata/managedFields/0/operation", "Apply".into()),
                ("/metadata/managedFields/0/fieldsV1", json!({"f:data": {"f:a": {}, "f:b": {}}})),
            ]),
        Ask::new("the same apply", Method::PATCH, apply("one", false))
            .sending(APPLY, config_map(json!({"a": "1", "b": "1"})))
            .is(200, &[("/data", json!({"a": "1", "b": "1"})), ("/metadata/managedFields/1", Value::Null)]),
        Ask::new("another manager's own field", Method::PATCH, apply("other", false))
            .sending(APPLY, config_map(json!({"c": "1"})))
            .is(200, &[("/data", json!({"a": "1", "b": "1", "c": "1"}))]),
        Ask::new("a conflict", Method::PATCH, apply("other", false))
            .sending(APPLY, config_map(json!({"a": "2", "c": "1"})))
            .is(409, &refused("Conflict", "Apply failed with 1 conflict: conflict with \"one\": .data.a")),
        Ask::new("what is shared and the same is no conflict", Method::PATCH, apply("other", false))
            .sending(APPLY, config_map(json!({"a": "1", "c": "1"})))
            .is(200, &[("/data/a", "1".into())]),
        Ask::new("a field that two own stays when one lets go", Method::PATCH, apply("other", false))
            .sending(APPLY, config_map(json!({"c": "1"})))
            .is(200, &[("/data/a", "1".into())]),
        Ask::new("a conflict that is forced", Method::PATCH, apply("other", true))
            .sending(APPLY, config_map(json!({"a": "2", "c": "1"})))
            .is(200, &[("/data", json!({"a": "2", "b": "1", "c": "1"}))]),
        Ask::new("what is not applied again", Method::PATCH, apply("one", false))
            .sending(APPLY, config_map(json!({})))
            .is(200, &[("/data", json!({"a": "2", "c": "1"}))]),
        Ask::new("managed fields in an apply", Method::PATCH, apply("one", false))
            .sending(APPLY, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": [{"manager": "x"}]}}))
            .is(400, &[("/message", "metadata.managedFields must be nil".into())]),
        Ask::new("a merge patch", Method::PATCH, at("/configmaps/c"))
            .sending(MERGE, json!({"data": {"c": "3"}}))
            .is(200, &[("/data", json!({"a": "2", "c": "3"}))]),
        Ask::new("a merge patch that takes away", Method::PATCH, at("/configmaps/c"))
            .sending(MERGE, json!({"data": {"c": null}}))
            .is(200, &[("/data", json!({"a": "2"}))]),
        Ask::new("a merge patch of an older version", Method::PATCH, at("/configmaps/c"))
            .sending(MERGE, json!({"metadata": {"resourceVersion": "1"}, "data": {"c": "4"}}))
            .is(409, &refused("Conflict", "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please apply your changes to the latest version and try again")),
        Ask::new("a merge patch of nothing", Method::PATCH, at("/configmaps/none"))
            .sending(MERGE, json!({"data": {}}))
            .is(404, &refused("NotFound", "configmaps \"none\" not found")),
        Ask::new("a get", Method::GET, at("/configmaps/c"))
            .is(200, &[("/kind", "ConfigMap".into()), ("/apiVersion", "v1".into())]),
        Ask::new("a list", Method::GET, at("/configmaps?fieldSelector=metadata.name=c"))
            .is(200, &[("/items/0/metadata/name", "c".into()), ("/items/1", Value::Null), ("/apiVersion", "v1".into())]),
        Ask::new("a list of all namespaces by name", Method::GET, "/api/v1/configmaps?fieldSelector=metadata.name=c")
            .is(200, &[("/items/0/metadata/namespace", "conformance".into())]),
        Ask::new("a list by a label that none has", Method::GET, at("/configmaps?labelSelector=no/body"))
            .is(200, &[("/items", json!([]))]),
        Ask::new("a kind that is not served", Method::GET, "/apis/nobody.example/v1/things").is(404, &[]),
        Ask::new("a group that is not served", Method::GET, "/apis/nobody.example/v1").is(404, &[]),
        Ask::new("the groups", Method::GET, "/apis").is(200, &[("/kind", "APIGroupList".into())]),
        Ask::new("a group", Method::GET, "/apis/apps")
            .is(200, &[("/kind", "APIGroup".into()), ("/preferredVersion/groupVersion", "apps/v1".into())]),
        Ask::new("a version of a group", Method::GET, "/apis/apps/v1")
            .is(200, &[("/kind", "APIResourceList".into()), ("/groupVersion", "apps/v1".into())]),
        Ask::new("the core", Method::GET, "/api/v1").is(200, &[("/groupVersion", "v1".into())]),
        Ask::new("a role", Method::PATCH, format!("{rbac}/roles/r?fieldManager=one"))
            .sending(APPLY, role(&["get", "list"]))
            .is(201, &[]),
        Ask::new("a binding", Method::PATCH, format!("{rbac}/rolebindings/b?fieldManager=one"))
            .sending(APPLY, json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "b", "namespace": "conformance"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
                "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "conformance"}]}))
            .is(201, &[]),
        Ask::new("another role", Method::PATCH, format!("{rbac}/roles/s?fieldManager=one"))
            .sending(APPLY, another)
            .is(201, &[]),
        Ask::new("a page of a list", Method::GET, format!("{rbac}/roles?limit=1"))
            .is(200, &[
                ("/items/0/metadata/name", "r".into()),
                ("/items/1", Value::Null),
                ("/metadata/remainingItemCount", 1.into()),
            ]),
        Ask::new("a list that no page is missing of", Method::GET, format!("{rbac}/roles?limit=2"))
            .is(200, &[("/items/1/metadata/name", "s".into()), ("/metadata/continue", Value::Null)]),
        Ask::new("a page that no list has", Method::GET, format!("{rbac}/roles?limit=1&continue=nonsense"))
            .is(400, &[("/reason", "BadRequest".into())]),
        Ask::new("a page of no size", Method::GET, format!("{rbac}/roles?limit=few"))
            .is(400, &[("/reason", "BadRequest".into())]),
        review("get", "pods", "", "conformance").is(201, &[("/status/allowed", true.into())]),
        review("get", "pods", "log", "conformance").is(201, &[("/status/allowed", true.into())]),
        review("get", "pods", "exec", "conformance").is(201, &[("/status/allowed", false.into())]),
        review("delete", "pods", "", "conformance").is(201, &[("/status/allowed", false.into())]),
        review("get", "pods", "", "default").is(201, &[("/status/allowed", false.into())]),
        review("get", "secrets", "", "conformance").is(201, &[("/status/allowed", false.into())]),
        review("list", "pods", "", "").is(201, &[("/status/allowed", false.into())]),
        Ask::new("the log of no pod", Method::GET, at("/pods/none/log"))
            .is(404, &refused("NotFound", "pods \"none\" not found")),
        Ask::new("a deletion of another object of that name", Method::DELETE, at("/configmaps/c"))
            .sending(JSON, json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "not-this"}}))
            .is(409, &[("/reason", "Conflict".into())]),
        Ask::new("a deletion", Method::DELETE, at("/configmaps/c")).is(200, &[("/status", "Success".into())]),
        Ask::new("a deletion of nothing", Method::DELETE, at("/configmaps/c"))
            .is(404, &refused("NotFound", "configmaps \"c\" not found")),
    ];
    asks.extend(applies());
    asks.push(Ask::new("the end of the namespace", Method::DELETE, HOME).is(200, &[]));
    asks
}
