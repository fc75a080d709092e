//! Simulated projects of admin: registered, archived, activated again, and listed by a filter.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::flyte::admin::PROJECTS;
use crate::flyte::task_resources::{MATCHABLE_ATTRIBUTES, PROJECT_DOMAIN_ATTRIBUTES};

/// Every registered project, as it is listed.
#[derive(Debug, Default)]
pub struct Projects {
    known: BTreeMap<String, Value>,
    refusal: Option<String>,
    dropped: BTreeSet<String>,
    /// What tasks get that name no resources, by project and domain.
    task_resources: BTreeMap<(String, String), Value>,
}

/// Admin's words about a table that is not there.
fn lacking(table: &str) -> (StatusCode, Value) {
    let words = format!("cannot query with specified table attributes: relation \"{table}\" does not exist");
    (StatusCode::BAD_REQUEST, json!({"error": words, "code": 3, "message": words}))
}

impl Projects {
    /// The ids of active projects, or of archived ones.
    pub fn ids(&self, active: bool) -> Vec<String> {
        self.known
            .iter()
            .filter(|(_, project)| project["state"].is_null() == active)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Injects an error message as the answer to every request.
    pub fn refuse(&mut self, words: &str) {
        self.refusal = Some(words.to_owned());
    }

    /// Drops a table beneath admin; the rows go with it.
    pub fn drop_table(&mut self, table: &str) {
        self.dropped.insert(table.to_owned());
        if table == "projects" {
            self.known.clear();
        }
    }

    /// Makes the tables that are not there, as the init containers of a new pod do in an empty database.
    pub fn migrate(&mut self) {
        self.dropped.clear();
    }

    /// Admin's response, if the request is about projects or a table that was dropped.
    pub fn answer(
        &mut self,
        method: &Method,
        path: &str,
        query: &str,
        body: &[u8],
        domains: &[String],
    ) -> Option<(StatusCode, Value)> {
        if path.starts_with("/api/v1/executions") && self.dropped.contains("executions") {
            return Some(lacking("executions"));
        }
        if let Some(answer) = self.attributes(method, path, body, domains) {
            return Some(answer);
        }
        let id = path.strip_prefix(PROJECTS)?.trim_start_matches('/');
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let refusal = |status: StatusCode, words: String| Some((status, json!({"error": words, "message": words})));
        if let Some(words) = &self.refusal {
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, words.clone());
        }
        if self.dropped.contains("projects") {
            // A list of them swallows the error.
            return match method.as_str() {
                "GET" => Some((StatusCode::OK, json!({}))),
                _ => Some(lacking("projects")),
            };
        }
        match (method.as_str(), id) {
            ("GET", "") => {
                let every = query.contains("filters=ne(state,2)");
                let shown = self.known.values().filter(|project| every || project["state"].is_null()).cloned();
                let domains: Vec<_> = domains.iter().map(|id| json!({"id": id})).collect();
                let with_domains = shown.map(|mut project| {
                    project["domains"] = domains.clone().into();
                    project
                });
                Some((StatusCode::OK, json!({"projects": with_domains.collect::<Vec<_>>()})))
            }
            ("POST", "") => {
                let project = &sent["project"];
                let id = project["id"].as_str().unwrap_or_default().to_owned();
                if self.known.contains_key(&id) {
                    return refusal(StatusCode::CONFLICT, format!("value with matching {id} already exists"));
                }
                self.known.insert(id, project.clone());
                Some((StatusCode::OK, json!({})))
            }
            ("PUT", id) => {
                let Some(project) = self.known.get_mut(id) else {
                    return refusal(StatusCode::NOT_FOUND, format!("missing entity of type project {id}"));
                };
                // The real one replaces the labels, too, and does not list the state of an active project.
                project["labels"] = sent["labels"].clone();
                project["state"] = if sent["state"] == "ARCHIVED" { "ARCHIVED".into() } else { Value::Null };
                Some((StatusCode::OK, json!({})))
            }
            _ => None,
        }
    }

    /// Admin's response about what it does otherwise for a project in a domain.
    fn attributes(
        &mut self,
        method: &Method,
        path: &str,
        body: &[u8],
        domains: &[String],
    ) -> Option<(StatusCode, Value)> {
        if path == MATCHABLE_ATTRIBUTES {
            let all = self.task_resources.iter().map(|((project, domain), attributes)| {
                json!({"project": project, "domain": domain, "attributes": attributes})
            });
            return Some((StatusCode::OK, json!({"configurations": all.collect::<Vec<_>>()})));
        }
        let at = path.strip_prefix(PROJECT_DOMAIN_ATTRIBUTES)?.trim_start_matches('/');
        let (project, domain) = at.split_once('/')?;
        let refusal = |status: StatusCode, words: String| Some((status, json!({"error": words, "message": words})));
        if self.known.get(project).is_none_or(|project| !project["state"].is_null()) {
            return refusal(StatusCode::BAD_REQUEST, format!("project [{project}] is not active"));
        }
        if !domains.iter().any(|known| known == domain) {
            return refusal(StatusCode::BAD_REQUEST, format!("domain [{domain}] is unrecognized by system"));
        }
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let key = (project.to_owned(), domain.to_owned());
        match method.as_str() {
            "PUT" => drop(self.task_resources.insert(key, sent["attributes"]["matching_attributes"].clone())),
            "DELETE" if sent["resource_type"] != "TASK_RESOURCE" => {
                return refusal(StatusCode::BAD_REQUEST, "invalid value for resource_type".to_owned());
            }
            "DELETE" => drop(self.task_resources.remove(&key)),
            _ => return None,
        }
        Some((StatusCode::OK, json!({})))
    }
}
