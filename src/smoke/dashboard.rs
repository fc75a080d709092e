//! Checks of the Kubernetes dashboard. It answers 200 also where its ServiceAccount is forbidden, with the refusal in
//! `errors`.

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use super::check_failure::{CheckResult, all};
use super::http::Reply;
use super::target::CheckContext;

/// D1: the page loads without a login.
pub(super) async fn loads(context: &CheckContext<'_>) -> CheckResult {
    let page = context.http.get(&context.dashboard("/")).await?.expect(StatusCode::OK)?;
    if !page.text().contains("<kd-root") {
        return Err(page.failure("not the dashboard's page: it has no element kd-root"));
    }
    let status = context.http.get(&context.dashboard("/api/v1/login/status")).await?.expect(StatusCode::OK)?;
    let https = serde_json::from_slice::<Value>(&status.body).ok().and_then(|json| json.get("httpsMode")?.as_bool());
    match https {
        Some(false) => Ok("no login".to_owned()),
        Some(true) => Err(status
            .failure("it asks for a login")
            .hint("the dashboard must run without --enable-insecure-login and without certificates")),
        None => Err(status.failure("no httpsMode in the answer")),
    }
}

/// D2: it lists the pods of every workflow namespace.
pub(super) async fn sees_workflow_pods(context: &CheckContext<'_>) -> CheckResult {
    let namespaces = context.spec.workflow_namespaces();
    let looks = namespaces.iter().map(|namespace| async move {
        let url = context.dashboard(&format!("/api/v1/pod/{}", namespace.name));
        let reply = context.http.get(&url).await?.expect(StatusCode::OK)?;
        match refusals(&reply) {
            Ok(errors) if errors.is_empty() => Ok(String::new()),
            Ok(errors) => Err(reply.failure(errors.join("; "))),
            Err(seen) => Err(reply.failure(seen)),
        }
    });
    all(join_all(looks).await, "workflow namespaces")
}

/// D3: it is forbidden everything that log views do not need.
pub(super) async fn sees_nothing_else(context: &CheckContext<'_>) -> CheckResult {
    let paths = ["/api/v1/pod/kube-system".to_owned(), format!("/api/v1/secret/{}", context.spec.system_namespace())];
    let looks = paths.iter().map(|path| async move {
        let reply = context.http.get(&context.dashboard(path)).await?;
        if matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(String::new());
        }
        let reply = reply.expect(StatusCode::OK)?;
        match refusals(&reply) {
            Ok(errors) if errors.is_empty() => {
                let hint = "find the RoleBinding or ClusterRoleBinding that names kubernetes-dashboard, and remove it";
                Err(reply.failure("answered, and must be refused").hint(hint).final_answer())
            }
            Ok(_) => Ok(String::new()),
            Err(seen) => Err(reply.failure(seen)),
        }
    });
    all(join_all(looks).await, "refusals")
}

/// The Kubernetes API's refusals within an answer of the dashboard.
fn refusals(reply: &Reply) -> Result<Vec<String>, String> {
    let json: Value = serde_json::from_slice(&reply.body).map_err(|error| format!("not JSON: {error}"))?;
    match json.get("errors") {
        None => Err("no list of errors in the answer".to_owned()),
        Some(Value::Null) => Ok(Vec::new()),
        Some(errors) => {
            let errors = errors.as_array().map(Vec::as_slice).unwrap_or_default();
            let message = |error: &Value| {
                let text = error.pointer("/ErrStatus/message").and_then(Value::as_str);
                text.map_or_else(|| error.to_string(), str::to_owned)
            };
            Ok(errors.iter().map(message).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::{Reply, refusals};

    #[test]
    fn refusals_are_read_from_a_200() {
        let table: [(&str, Result<&[&str], &str>); 6] = [
            (r#"{"pods":[],"errors":[]}"#, Ok(&[])),
            (r#"{"errors":null}"#, Ok(&[])),
            (r#"{"errors":[{"ErrStatus":{"message":"pods is forbidden","code":403}}]}"#, Ok(&["pods is forbidden"])),
            (r#"{"errors":["odd"]}"#, Ok(&["\"odd\""])),
            ("{}", Err("no list of errors in the answer")),
            ("<", Err("not JSON: expected value at line 1 column 1")),
        ];
        for (body, expected) in table {
            let (asked, content_type) = (String::new(), String::new());
            let reply = Reply { asked, status: StatusCode::OK, content_type, body: body.into() };
            let expected = expected.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
            assert_eq!(refusals(&reply), expected.map_err(str::to_owned), "{body}");
        }
    }
}
