//! Checks of flyteadmin, through the gateway.

use std::collections::BTreeSet;

use crate::flyte::admin::{HEALTH, PROJECTS, ProjectList};
use crate::spec::Spec;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};

use super::check_failure::CheckResult;
use super::target::CheckContext;

/// A1: the process answers. Its `/healthcheck` looks at nothing else.
pub(super) async fn healthy(context: &CheckContext<'_>) -> CheckResult {
    let reply = context.http.get(&context.console(HEALTH)).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}

/// A2: its database has the configured projects, with exactly the configured domains.
pub(super) async fn lists_projects(context: &CheckContext<'_>) -> CheckResult {
    let _alone = context.projects.lock().await;
    let url = context.console(PROJECTS);
    let reply = context.http.send(Method::GET, &url, &[(ACCEPT, "application/json")], Vec::new()).await?;
    let reply = reply.expect(StatusCode::OK)?;
    judge(&reply.text(), context.spec)
        .map_err(|seen| reply.failure(seen).hint("`sandbox up` registers what is missing"))
}

fn judge(body: &str, spec: &Spec) -> Result<String, String> {
    let listed: ProjectList = serde_json::from_str(body).map_err(|error| format!("not a list of projects: {error}"))?;
    let wanted: BTreeSet<&str> = spec.domains.iter().map(|domain| domain.id.as_str()).collect();
    for id in &spec.projects {
        let Some(project) = listed.projects.iter().find(|project| project.id == *id) else {
            return Err(format!("project {id} is not registered"));
        };
        let has = project.domains();
        if has != wanted {
            let comma = |ids: &BTreeSet<&str>| ids.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(format!("project {id} has the domains {}, not {}", comma(&has), comma(&wanted)));
        }
    }
    Ok(format!("{} projects × {} domains", spec.projects.len(), wanted.len()))
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::spec::Spec;

    #[test]
    fn projects_are_judged() {
        let domains = r#"[{"id":"p-dev"},{"id":"d-dev"},{"id":"t-dev"}]"#;
        let body = |x: &str, y: &str| {
            format!(r#"{{"projects":[{{"id":"x","domains":{x}}},{{"id":"{y}","domains":{domains}}}]}}"#)
        };
        let table = [
            (body(domains, "y"), Ok("2 projects × 3 domains")),
            (body(domains, "z"), Err("project y is not registered")),
            (body(r#"[{"id":"d-dev"}]"#, "y"), Err("project x has the domains d-dev, not d-dev, p-dev, t-dev")),
            ("{}".to_owned(), Err("project x is not registered")),
            ("<html>".to_owned(), Err("not a list of projects: expected value at line 1 column 1")),
        ];
        for (body, expected) in table {
            assert_eq!(judge(&body, &Spec::default()), expected.map(str::to_owned).map_err(str::to_owned), "{body}");
        }
    }
}
