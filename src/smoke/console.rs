//! Checks of flyteconsole, through the gateway.

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::check_failure::CheckResult;
use super::target::CheckContext;

/// The content type of admin's protobuf answers, which the console asks for.
const PROTOBUF: &str = "application/octet-stream";

/// C1: the console's server answers.
pub(super) async fn healthy(context: &CheckContext<'_>) -> CheckResult {
    let reply = context.http.get(&context.console("/console/healthz")).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}

/// C2: the page is the console's, its script is there, and its request for the projects is answered.
pub(super) async fn loads(context: &CheckContext<'_>) -> CheckResult {
    let page = context.http.get(&context.console("/console")).await?.expect(StatusCode::OK)?;
    let script =
        script_of(&page.text(), &context.spec.flyte.facts().console_root).map_err(|seen| page.failure(seen))?;
    let asset = context.http.get(&context.console(&script)).await?.expect(StatusCode::OK)?;
    if !asset.content_type.contains("javascript") {
        // The console answers every unknown path with its page and 200.
        return Err(asset.failure(format!("content type {:?}, not JavaScript", asset.content_type)));
    }
    let _alone = context.projects.lock().await;
    let url = context.console("/api/v1/projects");
    let projects = context.http.send(Method::GET, &url, &[(ACCEPT, PROTOBUF)], Vec::new()).await?;
    let projects = projects.expect(StatusCode::OK)?;
    if projects.content_type != PROTOBUF || projects.body.is_empty() {
        let seen = format!("{} bytes of {:?}, not protobuf", projects.body.len(), projects.content_type);
        return Err(projects.failure(seen));
    }
    Ok(format!("page, script and {} bytes of projects", projects.body.len()))
}

/// The path of the page's first own script, if the page is the console's and is configured to ask the gateway.
fn script_of(page: &str, root: &str) -> Result<String, String> {
    if !page.contains(&format!("id=\"{root}\"")) {
        return Err(format!("not the console's page: it has no element {root}"));
    }
    if let Some(env) = environment(page) {
        if let Some(base) = env.get("BASE_URL").and_then(Value::as_str).filter(|base| *base != "/console") {
            return Err(format!("the console's BASE_URL is {base:?}, not \"/console\""));
        }
        if let Some(api) = env.get("ADMIN_API_URL").and_then(Value::as_str).filter(|url| !url.is_empty()) {
            return Err(format!("the console asks {api} in place of the gateway it was loaded from"));
        }
    }
    let sources = page.split("<script").skip(1).filter_map(|tag| tag.split('>').next()?.split("src=\"").nth(1));
    let mut paths = sources.filter_map(|source| source.split('"').next());
    paths
        .find(|path| path.starts_with("/console/"))
        .map(str::to_owned)
        .ok_or("the page has no script of its own".into())
}

/// `window.env` of the console's page.
fn environment(page: &str) -> Option<Value> {
    let after = page.split("window.env").nth(1)?;
    let object = &after[after.find('{')?..];
    serde_json::Deserializer::from_str(object).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::script_of;

    #[test]
    fn the_page_is_judged() {
        let page = |env: &str| {
            format!(
                "<script>window.env = {env};</script><div id=\"react-app\"></div>\
                 <script src=\"https://elsewhere/a.js\"></script><script defer src=\"/console/assets/main.js\"></script>"
            )
        };
        let table = [
            (page(r#"{"BASE_URL":"/console","DISABLE_AUTH":"1"}"#), Ok("/console/assets/main.js")),
            (page("{}"), Ok("/console/assets/main.js")),
            (page("} {"), Ok("/console/assets/main.js")),
            (page(r#"{"BASE_URL":"/"}"#), Err("the console's BASE_URL is \"/\", not \"/console\"")),
            (
                page(r#"{"ADMIN_API_URL":"http://a"}"#),
                Err("the console asks http://a in place of the gateway it was loaded from"),
            ),
            ("<div id=\"react-app\">".to_owned(), Err("the page has no script of its own")),
            ("It works!".to_owned(), Err("not the console's page: it has no element react-app")),
        ];
        for (page, expected) in table {
            assert_eq!(script_of(&page, "react-app"), expected.map(str::to_owned).map_err(str::to_owned), "{page}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_script_is_a_path_below_the_console_on_any_page(parts in proptest::collection::vec(
            proptest::sample::select(vec!["react-app", "window.env", "{", "}", "<script", ">", " src=\"", "\"", "/console/", "é"]), 0..20,
        )) {
            if let Ok(path) = script_of(&parts.concat(), "react-app") {
                proptest::prop_assert!(path.starts_with("/console/"));
            }
        }
    }
}
