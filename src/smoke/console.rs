//! Checks of flyteconsole, through the gateway.

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::check_failure::CheckResult;
use super::target::CheckContext;

/// The content type of admin's protobuf answers, which the console asks for.
const PROTOBUF: &str = "application/octet-stream";
/// The most addresses that a line names.
const TOLD: usize = 4;

/// C1: the console's server answers.
pub(super) async fn healthy(context: &CheckContext<'_>) -> CheckResult {
    let reply = context.http.get(&context.console("/console/healthz")).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}

/// C2: the page is the console's, its scripts are there, and its request for the projects is answered.
pub(super) async fn loads(context: &CheckContext<'_>) -> CheckResult {
    let reply = context.http.get(&context.console("/console")).await?.expect(StatusCode::OK)?;
    let page =
        Page::read(&reply.text(), &context.spec.flyte.facts().console_root).map_err(|seen| reply.failure(seen))?;
    for script in &page.own {
        let asset = context.http.get(&context.console(script)).await?.expect(StatusCode::OK)?;
        if !asset.content_type.contains("javascript") {
            // The console answers every unknown path with its page and 200.
            return Err(asset.failure(format!("content type {:?}, not JavaScript", asset.content_type)));
        }
    }
    let _alone = context.projects.lock().await;
    let url = context.console("/api/v1/projects");
    let projects = context.http.send(Method::GET, &url, &[(ACCEPT, PROTOBUF)], Vec::new()).await?;
    let projects = projects.expect(StatusCode::OK)?;
    if projects.content_type != PROTOBUF || projects.body.is_empty() {
        let seen = format!("{} bytes of {:?}, not protobuf", projects.body.len(), projects.content_type);
        return Err(projects.failure(seen));
    }
    page.warnings().for_each(|warning| context.warn(warning));
    Ok(format!("page, scripts and {} bytes of projects", projects.body.len()))
}

/// What a console's page loads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    /// The paths of scripts on the host that it comes from.
    own: Vec<String>,
    /// The addresses of scripts on other hosts.
    scripts: Vec<String>,
    /// The addresses of stylesheets on other hosts.
    stylesheets: Vec<String>,
}

impl Page {
    /// What it loads, if it is the console's, is configured to ask the gateway, and has a script of its own.
    fn read(page: &str, root: &str) -> Result<Self, String> {
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
        let mut loaded = Self::default();
        for tag in tags(page) {
            let is_script = tag.starts_with("script");
            let address = if is_script { attribute(tag, "src") } else { attribute(tag, "href") };
            let Some(address) = address.map(|address| address.replace("&amp;", "&")) else { continue };
            let elsewhere = ["https://", "http://", "//"].iter().any(|start| address.starts_with(start));
            match (is_script, elsewhere) {
                (true, true) => loaded.scripts.push(address),
                (true, false) if address.starts_with('/') => loaded.own.push(address),
                (false, true) if attribute(tag, "rel") == Some("stylesheet") => loaded.stylesheets.push(address),
                _ => {}
            }
        }
        if loaded.own.is_empty() { Err("the page has no script of its own".to_owned()) } else { Ok(loaded) }
    }

    /// What a user must know of a page that passes.
    fn warnings(&self) -> impl Iterator<Item = String> {
        // A browser paints nothing before it has the stylesheets, and where packets are dropped that takes minutes.
        let loaded = [(&self.scripts, "shows nothing"), (&self.stylesheets, "may show nothing for minutes")];
        loaded.into_iter().filter_map(|(addresses, outcome)| {
            let them = if addresses.len() == 1 { "it" } else { "them" };
            let told = named(addresses)?;
            Some(format!("the console's page loads {told}: a browser that cannot reach {them} {outcome}"))
        })
    }
}

/// Addresses as a text, the first of very many.
fn named(addresses: &[String]) -> Option<String> {
    let (first, others) = addresses.split_at(addresses.len().min(TOLD));
    let told = first.join(" and ");
    match (first.len(), others.len()) {
        (0, _) => None,
        (_, 0) => Some(told),
        (_, more) => Some(format!("{told} and {more} more")),
    }
}

/// The tags that load something, without their brackets. What is within a script is none.
fn tags(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let is_script = rest.starts_with("script");
        if !is_script && !rest.starts_with("link") {
            continue;
        }
        let Some((tag, after)) = rest.split_once('>') else { break };
        found.push(tag);
        rest = if is_script { after.find("</script").map_or("", |end| &after[end..]) } else { after };
    }
    found
}

/// The value of a tag's attribute; an address has no spaces.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut words = tag.split_ascii_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    match quote {
        Some(quote) => value[1..].split(quote).next(),
        None => Some(value),
    }
}

/// `window.env` of the console's page.
fn environment(page: &str) -> Option<Value> {
    let after = page.split("window.env").nth(1)?;
    let object = &after[after.find('{')?..];
    serde_json::Deserializer::from_str(object).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::Page;

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
            let own = Page::read(&page, "react-app").map(|page| page.own);
            assert_eq!(own, expected.map(|path| vec![path.to_owned()]).map_err(str::to_owned), "{page}");
        }
    }

    /// Upstream's pages as its servers send them, without icons and most of their own scripts.
    #[test]
    fn what_a_page_loads_from_elsewhere_is_told_by_name() {
        const OWN: &str = r#"<script type="text/javascript" src="/console/assets/main.js"></script>"#;
        const NOTHING: &str = "a browser that cannot reach it shows nothing";
        const LATE: &str = "a browser that cannot reach it may show nothing for minutes";
        let table = [
            ("", vec![]),
            (
                r#"<link href="https://fonts/css?family=Lato:300&amp;b" rel="stylesheet">
                <script type="text/javascript" src="https://unpkg.com/react.js"></script>
                <script type="text/javascript" src="https://unpkg.com/react-dom.js"></script>"#,
                vec![
                    "https://unpkg.com/react.js and https://unpkg.com/react-dom.js: a browser that cannot reach them \
                     shows nothing"
                        .to_owned(),
                    format!("https://fonts/css?family=Lato:300&b: {LATE}"),
                ],
            ),
            (
                r#"<link rel="preconnect" href="https://fonts"><link rel="icon" href="//a/b.ico">
                <link href='https://a/b.css' rel=stylesheet><link rel="stylesheet" href="/console/own.css">"#,
                vec![format!("https://a/b.css: {LATE}")],
            ),
            ("<script defer\n  src=//a/b.js></script>", vec![format!("//a/b.js: {NOTHING}")]),
            // React's own code, where it is in the page itself.
            (r#"<script>"<script src='https://a/b.js'>\x3c/script>"</script>"#, vec![]),
        ];
        for (tags, expected) in table {
            let page = Page::read(&format!("<div id=\"root\"></div>{tags}{OWN}"), "root").expect("the console's page");
            assert_eq!(page.own, ["/console/assets/main.js"], "{tags}");
            let expected: Vec<_> = expected.iter().map(|told| format!("the console's page loads {told}")).collect();
            assert_eq!(page.warnings().collect::<Vec<_>>(), expected, "{tags}");
        }
    }

    #[test]
    fn of_very_many_addresses_the_first_are_named() {
        let scripts = (0..6).map(|number| format!("//a/{number}")).collect();
        let page = Page { scripts, ..Page::default() };
        let told = page.warnings().next().expect("a warning");
        assert!(told.contains("//a/2 and //a/3 and 2 more: "), "{told}");
    }

    proptest::proptest! {
        #[test]
        fn a_script_is_a_path_on_any_page(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "react-app", "window.env", "{", "}", "<script", "<link", "</script", ">", " src=", "\"", "'", "/console/", "//", "é",
            ]), 0..20,
        )) {
            let page = format!("id=\"react-app\"{}", parts.concat());
            if let Ok(page) = Page::read(&page, "react-app") {
                proptest::prop_assert!(page.own.iter().all(|path| path.starts_with('/') && !path.starts_with("//")));
            }
        }
    }
}
