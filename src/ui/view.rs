//! What the page says, as text.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use askama::Template;
use humantime::{format_rfc3339_seconds, parse_rfc3339};

use super::live::{Asked, Known, Place, Told};
use crate::flyte::admin::Execution;
use crate::lifecycle::{Restart, Sight};
use crate::report::{self, Endpoint, Outcome, plain, span};
use crate::runs::Summary;
use crate::site::ListedSandbox;

/// Recorded runs that are shown at once; the others on demand.
const RUNS: usize = 10;

/// The page of the machine.
#[derive(Template)]
#[template(path = "ui.html")]
pub(super) struct MachinePage {
    version: &'static str,
    nonce: String,
    parts: Parts,
}

/// What of it changes.
#[derive(Template)]
#[template(path = "parts.html")]
pub(super) struct Parts {
    as_of: String,
    /// True until the sandboxes are known.
    is_asking: bool,
    /// Why they are not.
    unlisted: Option<String>,
    sandboxes: Vec<SandboxPart>,
    runs: Vec<RunRow>,
    older: Vec<RunRow>,
}

/// The page of a log.
#[derive(Template)]
#[template(path = "log.html")]
pub(super) struct LogPage {
    pub(super) sandbox: String,
    pub(super) name: String,
    pub(super) nonce: String,
}

/// A sign with its word, and the class that colours it.
#[derive(Clone, Copy)]
struct Mark {
    sign: &'static str,
    class: &'static str,
}

const WELL: Mark = Mark { sign: "✓", class: "passed" };
const BAD: Mark = Mark { sign: "✗", class: "failed" };
const STILL: Mark = Mark { sign: "-", class: "stopped" };

struct SandboxPart {
    name: String,
    mark: Mark,
    doing: String,
    rehearsal: bool,
    facts: Vec<(&'static str, String)>,
    /// What is still asked for, or why there is no answer.
    note: Option<String>,
    links: Vec<Link>,
    workloads: Vec<Workload>,
    restarts: Vec<String>,
    places: Vec<PlacePart>,
}

/// An endpoint.
struct Link {
    name: String,
    /// Absent where a browser cannot open it.
    href: Option<String>,
    text: String,
    answered: Option<(Mark, String)>,
    log_in: Option<String>,
}

struct Workload {
    name: String,
    component: String,
    mark: Mark,
    says: String,
}

struct PlacePart {
    project: String,
    domain: String,
    note: Option<String>,
    executions: Vec<Row>,
}

/// An execution.
struct Row {
    name: String,
    href: Option<String>,
    workflow: String,
    mark: Mark,
    phase: String,
    began: String,
    took: String,
}

struct RunRow {
    id: String,
    began: String,
    command: String,
    sandbox: String,
    took: String,
    mark: Mark,
    ended: String,
}

impl MachinePage {
    /// What is known, with the nonce of its script.
    pub(super) fn of(known: &Known, nonce: String) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), nonce, parts: Parts::of(known) }
    }
}

impl Parts {
    /// What is known.
    pub(super) fn of(known: &Known) -> Self {
        let now = SystemTime::now();
        let listed = known.listing.iter().flat_map(|listing| &listing.sandboxes);
        let mut runs = known.runs.iter().rev().map(|(_, summary)| run(summary));
        Self {
            as_of: known.at.map(clock).unwrap_or_else(|| "now".to_owned()),
            is_asking: known.listing.is_none() && known.unlisted.is_none(),
            unlisted: known.unlisted.as_deref().map(clean),
            sandboxes: listed.map(|one| sandbox(one, known.sandboxes.get(&one.name), now)).collect(),
            runs: runs.by_ref().take(RUNS).collect(),
            older: runs.collect(),
        }
    }
}

fn sandbox(listed: &ListedSandbox, asked: Option<&Asked>, now: SystemTime) -> SandboxPart {
    let at = |time: &Option<String>| time.as_deref().and_then(|time| parse_rfc3339(time).ok());
    let age = at(&listed.created).and_then(|created| now.duration_since(created).ok()).map(span);
    let left = at(&listed.expires).map(|end| end.duration_since(now).map_or_else(|_| "over".to_owned(), span));
    let ports: Vec<_> = listed.ports.iter().map(|(purpose, port)| format!("{} {port}", clean(purpose))).collect();
    let facts = [
        ("age", age),
        ("memory", listed.memory.map(report::bytes)),
        ("time left", left),
        ("ports", Some(ports.join(", ")).filter(|ports| !ports.is_empty())),
    ];
    // What does not run any more is not as it was seen.
    let asked = asked.filter(|_| listed.may_answer());
    let sight = asked.and_then(|asked| asked.sight.as_ref());
    let silent = asked.and_then(|asked| asked.silent.as_deref()).map(clean);
    let note = match (listed.may_answer(), &silent, sight) {
        (false, ..) => None,
        (true, Some(why), None) => Some(format!("does not answer: {why}")),
        (true, Some(why), Some((_, seen))) => Some(format!("does not answer: {why}; as it was at {}", clock(*seen))),
        (true, None, None) => Some("asking…".to_owned()),
        (true, None, Some(_)) => None,
    };
    let mut part = SandboxPart {
        name: clean(&listed.name),
        mark: if silent.is_some() { BAD } else { STILL },
        doing: clean(&listed.doing()),
        rehearsal: false,
        facts: facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect(),
        note,
        links: Vec::new(),
        workloads: Vec::new(),
        restarts: Vec::new(),
        places: Vec::new(),
    };
    if let (Some((sight, _)), Some(asked)) = (sight, asked) {
        part.take(sight, &asked.executions, silent.is_none());
    }
    part
}

impl SandboxPart {
    fn take(&mut self, sight: &Sight, executions: &BTreeMap<Place, Told>, answers: bool) {
        self.rehearsal = sight.rehearsal;
        self.links = sight.endpoints.iter().map(|endpoint| link(endpoint, sight)).collect();
        self.workloads = sight.workloads.iter().map(|(object, component)| workload(object, component, sight)).collect();
        let restart = |Restart { container, pod, restarts, died_of }: &Restart| {
            clean(&format!("{container} died: {died_of}; {restarts} restarts of its container in pod {pod}"))
        };
        self.restarts = sight.restarts.iter().map(restart).collect();
        let console = sight.endpoints.iter().find(|endpoint| endpoint.name == "console").and_then(href);
        self.places = sight.places.iter().map(|at| place(at, executions.get(at), console.as_deref())).collect();
        let ready = self.workloads.iter().filter(|one| one.mark.class == WELL.class).count();
        let answering = sight.answers.iter().filter(|answer| answer.is_well).count();
        let (all, asked) = (self.workloads.len(), sight.answers.len());
        self.facts.insert(0, ("workloads", format!("{ready} of {all} ready")));
        self.facts.insert(1, ("endpoints", format!("{answering} of {asked} answer")));
        if answers {
            self.mark = if ready == all && answering == asked { WELL } else { BAD };
        }
    }
}

/// The URL of an endpoint, where it is one: on an attached cluster it says how it is reached.
fn href(endpoint: &Endpoint) -> Option<String> {
    let is_url = endpoint.url.starts_with("http://") && !endpoint.url.contains(char::is_whitespace);
    is_url.then(|| clean(&endpoint.url))
}

fn link(endpoint: &Endpoint, sight: &Sight) -> Link {
    let answer = sight.answers.iter().find(|answer| answer.endpoint == endpoint.name);
    Link {
        name: clean(&endpoint.name),
        href: href(endpoint),
        text: clean(&endpoint.url),
        answered: answer.map(|answer| (if answer.is_well { WELL } else { BAD }, clean(&answer.seen))),
        log_in: endpoint.credentials.as_deref().map(clean),
    }
}

fn workload(object: &str, component: &str, sight: &Sight) -> Workload {
    let waits: Vec<_> =
        sight.waiting.iter().filter(|waiting| waiting.object == object).map(|waiting| clean(&waiting.reason)).collect();
    Workload {
        name: clean(object),
        component: clean(component),
        mark: if waits.is_empty() { WELL } else { BAD },
        says: if waits.is_empty() { "ready".to_owned() } else { waits.join("; ") },
    }
}

fn place((project, domain): &Place, told: Option<&Told>, console: Option<&str>) -> PlacePart {
    let (note, executions) = match told.map(|told| &told.executions) {
        None => (Some("asking…".to_owned()), Vec::new()),
        Some(Err(why)) => (Some(clean(why)), Vec::new()),
        Some(Ok(executions)) if executions.is_empty() => (Some("no executions".to_owned()), Vec::new()),
        Some(Ok(executions)) => {
            let path = |name: &str| {
                let [project, domain, name] = [project, domain, name].map(segment);
                Some(format!("{}/projects/{project}/domains/{domain}/executions/{name}", console?))
            };
            (None, executions.iter().map(|one| execution(one, path(one.name()))).collect())
        }
    };
    PlacePart { project: clean(project), domain: clean(domain), note, executions }
}

fn execution(execution: &Execution, href: Option<String>) -> Row {
    let phase = execution.phase().unwrap_or("not taken up yet");
    Row {
        name: clean(execution.name()),
        href,
        workflow: execution.workflow().map(clean).unwrap_or_default(),
        mark: match execution.outcome() {
            Some(true) => WELL,
            Some(false) => BAD,
            None => STILL,
        },
        phase: match execution.outcome() {
            Some(false) => clean(&format!("{phase}: {}", execution.error())),
            _ => clean(phase),
        },
        began: execution.began().map(whole).unwrap_or_default(),
        took: execution.seconds().map(|seconds| format!("{seconds:.1} s")).unwrap_or_default(),
    }
}

fn run(summary: &Summary) -> RunRow {
    RunRow {
        id: clean(&summary.id),
        began: clean(&summary.began),
        command: summary.command.as_deref().map(clean).unwrap_or_default(),
        sandbox: summary.sandbox.as_deref().map(clean).unwrap_or_default(),
        took: summary
            .millis
            .map(|millis| format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()))
            .unwrap_or_default(),
        mark: match summary.outcome {
            Some(Outcome::Passed | Outcome::Unchanged) => WELL,
            Some(Outcome::Failed) => BAD,
            Some(Outcome::Skipped | Outcome::Stopped) | None => STILL,
        },
        ended: summary.ended(),
    }
}

/// A time without the fraction of its second.
fn whole(time: &str) -> String {
    match time.split_once('.') {
        Some((before, fraction)) if fraction.ends_with('Z') => clean(before) + "Z",
        _ => clean(time),
    }
}

/// A part of a URL's path.
fn segment(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Others' text in one line: without what steers a terminal, and no longer than a page needs.
fn clean(text: &str) -> String {
    const LONGEST: usize = 1000;
    let cut: String = text.chars().take(LONGEST).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    let line = plain(&cut).trim_end().replace(char::is_whitespace, " ");
    line + more
}

/// A time of the day, UTC.
fn clock(time: SystemTime) -> String {
    let text = format_rfc3339_seconds(time).to_string();
    text.get(11..19).map_or_else(|| text.clone(), |clock| format!("{clock} UTC"))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::report::Waiting;
    use crate::site::{Listing, SandboxState};
    use crate::smoke::Answer;

    const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[31m\u{0}\"'&\nx";

    fn listed(name: &str, state: SandboxState) -> ListedSandbox {
        let text = Some(HOSTILE.to_owned());
        let (created, expires) = (text.clone(), text);
        ListedSandbox {
            name: name.to_owned(),
            state,
            run: None,
            ports: [(HOSTILE.to_owned(), 1)].into(),
            created,
            memory: Some(1_200_000_000),
            expires,
        }
    }

    fn sight() -> Sight {
        let text = HOSTILE.to_owned();
        let endpoint = |name: &str, url: &str| Endpoint {
            name: name.to_owned(),
            url: url.to_owned(),
            credentials: Some(text.clone()),
        };
        Sight {
            rehearsal: false,
            workloads: vec![
                ("deployment/minio".to_owned(), "minio".to_owned()),
                ("deployment/flyteadmin".to_owned(), "flyteadmin".to_owned()),
            ],
            waiting: vec![Waiting { object: "deployment/flyteadmin".to_owned(), reason: text.clone() }],
            restarts: vec![Restart { pod: text.clone(), container: text.clone(), restarts: 2, died_of: text.clone() }],
            answers: vec![Answer { endpoint: "console", is_well: false, seen: text.clone() }],
            endpoints: vec![
                endpoint("console", "http://127.0.0.1:30081/console"),
                endpoint("minio", "javascript:alert(1)"),
                endpoint("dashboard", "http://127.0.0.1:1/ while `kubectl port-forward` runs"),
            ],
            places: vec![("x".to_owned(), "d-dev".to_owned()), ("y".to_owned(), "d-dev".to_owned())],
        }
    }

    fn known() -> Known {
        let body = serde_json::json!({
            "id": {"name": HOSTILE},
            "closure": {"phase": "FAILED", "created_at": "2026-11-29T12:14:07.25Z", "duration": "2.5s",
                "workflow_id": {"name": HOSTILE}, "error": {"code": HOSTILE, "message": HOSTILE.repeat(100_000)}},
        });
        let executions = Ok(vec![serde_json::from_value(body).expect("an execution")]);
        let told = Told { executions, at: Instant::now() };
        let asked = Asked {
            sight: Some((sight(), SystemTime::UNIX_EPOCH)),
            silent: None,
            executions: [(("x".to_owned(), "d-dev".to_owned()), told)].into(),
        };
        let sandboxes = vec![
            listed("flyte", SandboxState::Running),
            listed(HOSTILE, SandboxState::OnContext(HOSTILE.to_owned())),
            listed("gone", SandboxState::Stopped),
        ];
        let run = Summary {
            id: HOSTILE.to_owned(),
            began: HOSTILE.to_owned(),
            command: Some(HOSTILE.to_owned()),
            sandbox: Some(HOSTILE.to_owned()),
            outcome: Some(Outcome::Failed),
            exit_code: Some(9),
            millis: Some(1500),
        };
        Known {
            listing: Some(Listing { sandboxes, failure: None }),
            at: Some(SystemTime::UNIX_EPOCH),
            unlisted: Some(HOSTILE.to_owned()),
            sandboxes: [("flyte".to_owned(), asked)].into(),
            runs: vec![(1, run); 12],
        }
    }

    #[test]
    fn what_others_say_stays_text_and_short() {
        let html = MachinePage::of(&known(), "n".to_owned()).render().expect("a page");
        let own = html.matches("<script nonce=\"n\">").count();
        assert_eq!((html.matches("<script").count(), own), (1, 1), "{html}");
        assert!(!html.contains(['\u{1b}', '\u{0}']), "{html}");
        assert!(html.len() < 100_000, "{}", html.len());
        assert!(!html.contains("href=\"javascript"), "{html}");
        assert!(!html.contains("href=\"http://127.0.0.1:1/ while"), "{html}");
        // A name is a part of a path, whatever is in it.
        assert!(html.contains("/console/projects/x/domains/d-dev/executions/%3Cscript%3E"), "{html}");
    }

    #[test]
    fn each_sandbox_says_what_was_seen_and_what_is_still_asked_for() {
        let html = Parts::of(&known()).render().expect("parts");
        for words in [
            "1 of 2 ready",
            "0 of 1 answer",
            "href=\"logs/flyte/flyteadmin\"",
            "project x, domain d-dev",
            "project y, domain d-dev: <span class=\"quiet\">asking…",
            "2026-11-29T12:14:07Z",
            "2.5 s",
            "stopped",
            "1.2 GB",
            "2 older ones",
            "as of 00:00:00 UTC",
        ] {
            assert!(html.contains(words), "{words}: {html}");
        }
        let empty = Parts::of(&Known::default()).render().expect("parts");
        assert!(empty.contains("asking…"), "{empty}");
        let none = Listing { sandboxes: Vec::new(), failure: None };
        let none = Parts::of(&Known { listing: Some(none), ..Known::default() }).render().expect("parts");
        assert!(none.contains("There is no sandbox"), "{none}");
    }

    #[test]
    fn one_that_fell_silent_is_not_taken_for_well() {
        let mut known = known();
        if let Some(asked) = known.sandboxes.get_mut("flyte") {
            asked.silent = Some("connection refused".to_owned());
        }
        let html = Parts::of(&known).render().expect("parts");
        assert!(html.contains("does not answer: connection refused; as it was at 00:00:00 UTC"), "{html}");
    }

    #[test]
    fn the_page_of_a_log_has_its_script_alone() {
        let page = LogPage { sandbox: HOSTILE.to_owned(), name: HOSTILE.to_owned(), nonce: "n".to_owned() };
        let html = page.render().expect("a page");
        assert_eq!(html.matches("<script").count(), 1, "{html}");
    }
}
