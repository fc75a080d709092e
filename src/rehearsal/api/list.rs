//! Lists, whole or in pages.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::path::Path;
use super::refusal::refusal;
use super::store::{Parameters, Store};

impl Store {
    /// The objects at a path; with a `limit` the first of them, and `continue` for the next request to begin after them. A
    /// page is of the moment it is asked for: unlike Kubernetes, the double does not remember how the first one was.
    pub(super) fn list(&self, at: &Path, parameters: &Parameters) -> Response {
        let given = |key: &str| parameters.get(key).filter(|value| !value.is_empty());
        let limit = match given("limit").map(|limit| limit.parse::<usize>()).transpose() {
            Ok(limit) => limit.filter(|limit| *limit > 0),
            Err(error) => return refusal(400, &format!("invalid limit: {error}")),
        };
        let after = match given("continue").map(|token| token.split_once('/').ok_or(token)).transpose() {
            Ok(after) => after,
            Err(token) => return refusal(400, &format!("invalid continue token: {token}")),
        };
        let mut there = self.objects.iter().filter(|(path, object)| {
            let begun = after.is_none_or(|after| (path.namespace.as_str(), path.name.as_str()) > after);
            begun && at.holds(path) && selected(object, parameters)
        });
        let page: Vec<_> = there.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        let left = there.count();
        if let Some((last, _)) = page.last().filter(|_| left > 0) {
            metadata["continue"] = format!("{}/{}", last.namespace, last.name).into();
            // Of a selection, Kubernetes does not count what is left.
            if given("labelSelector").or(given("fieldSelector")).is_none() {
                metadata["remainingItemCount"] = left.into();
            }
        }
        let items: Vec<_> = page.into_iter().map(|(_, object)| object).collect();
        let version = at.root.split_once('/').map_or("v1", |(_, version)| version);
        Json(json!({"kind": "List", "apiVersion": version, "metadata": metadata, "items": items})).into_response()
    }
}

/// True if a list's selectors match the object: `key`, `key=value`, and the field `metadata.name`.
fn selected(object: &Value, parameters: &Parameters) -> bool {
    let part = |key: &str| parameters.get(key).map(String::as_str).unwrap_or_default();
    let labels = part("labelSelector").split(',').filter(|wanted| !wanted.is_empty());
    let mut labels = labels.map(|wanted| match wanted.split_once('=') {
        Some((key, value)) => object["metadata"]["labels"][key] == value.trim_start_matches('='),
        None => !object["metadata"]["labels"][wanted].is_null(),
    });
    let name = part("fieldSelector").strip_prefix("metadata.name=");
    labels.all(|chosen| chosen) && name.is_none_or(|name| object["metadata"]["name"] == name)
}
