//! What the page says, as text and numbers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use askama::Template;
use humantime::format_rfc3339_seconds;

use super::chart::{Lane, Tick, brief, lanes, percent, ticks};
use super::words::{Mark, mark, seconds};
use crate::failure::Failure;
use crate::report::{About, Change, Endpoint, Event, Fact, Severity, Stage, plain};
use crate::timeline::{Interval, Kind, critical_path, intervals, workload};

/// A run as a page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub struct Page {
    command: String,
    sandbox: String,
    version: String,
    began: String,
    took: String,
    outcome: Mark,
    summary: String,
    /// Whether the run is known to its end.
    ended: bool,
    now: Option<Line>,
    rehearsal: bool,
    failure: Option<Cause>,
    /// What was taken back after it.
    undone: Option<String>,
    ticks: Vec<Tick>,
    lanes: Vec<Lane>,
    path: Vec<Step>,
    explained: String,
    groups: Vec<Group>,
    /// What preflight found: what matters, and what is fine.
    findings: [Vec<Line>; 2],
    warnings: Vec<Line>,
    applied: Vec<(&'static str, Vec<String>)>,
    endpoints: Vec<Endpoint>,
    kubectl: Option<String>,
    versions: Vec<Fact>,
    host: Vec<Fact>,
    /// What was asked for, and what is so by default.
    spec: [Vec<Fact>; 2],
    logs: Vec<Log>,
    unread: usize,
}

/// A part of a text.
#[derive(Debug)]
struct Piece {
    is_code: bool,
    text: String,
}

/// The end of a log.
#[derive(Debug)]
struct Log {
    object: String,
    lines: Vec<String>,
}

/// Why a run failed.
#[derive(Debug)]
struct Cause {
    reason: &'static str,
    means: &'static str,
    /// Texts are in pieces: words, and code.
    what: Vec<Piece>,
    object: Option<String>,
    causes: Vec<Vec<Piece>>,
    evidence: Vec<String>,
    hints: Vec<Vec<Piece>>,
    leftovers: Vec<String>,
    folder: Option<String>,
    exit_code: u8,
}

/// A stage on the critical path.
#[derive(Debug)]
struct Step {
    name: String,
    took: String,
    share: String,
    notes: Vec<Line>,
}

/// Checks of one component.
#[derive(Debug)]
struct Group {
    name: &'static str,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    mark: Mark,
    id: String,
    title: String,
    detail: String,
    took: String,
}

/// A text with its time, or with its mark.
#[derive(Debug)]
struct Line {
    head: String,
    text: String,
}

impl Page {
    /// The page of a run that began then. `unread` lines of it could not be read.
    #[must_use]
    pub fn of(began: SystemTime, events: &[(Duration, Event)], unread: usize) -> Self {
        let end = events.last().map(|(at, _)| *at).unwrap_or_default();
        let intervals = intervals(events);
        let (path, share) = critical_path(&intervals, end);
        let mut page = Self {
            command: "run".to_owned(),
            sandbox: String::new(),
            version: String::new(),
            began: format_rfc3339_seconds(began).to_string(),
            took: seconds(end),
            outcome: Mark { word: "did not end", sign: "-", class: "stopped" },
            summary: String::new(),
            ended: false,
            now: None,
            rehearsal: false,
            failure: None,
            undone: None,
            ticks: ticks(end),
            lanes: lanes(&intervals, &path, end),
            path: path.iter().map(|step| waited(step, &intervals, end)).collect(),
            explained: format!("{:.0} %", share * 100.0),
            groups: Vec::new(),
            findings: [Vec::new(), Vec::new()],
            warnings: Vec::new(),
            applied: Vec::new(),
            endpoints: Vec::new(),
            kubectl: None,
            versions: Vec::new(),
            host: Vec::new(),
            spec: [Vec::new(), Vec::new()],
            logs: Vec::new(),
            unread,
        };
        let mut applied: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (at, event) in events {
            page.take(*at, event, &mut applied);
        }
        page.applied = applied.into_iter().collect();
        // What failed comes first.
        for group in &mut page.groups {
            group.checks.sort_by_key(|check| check.mark.class != "failed");
        }
        page.groups.sort_by_key(|group| group.checks.iter().all(|check| check.mark.class != "failed"));
        let object = events.iter().find_map(|(_, event)| match event {
            Event::RunFinished { failure: Some(failure), .. } => workload(failure.object.as_deref()?),
            _ => None,
        });
        for lane in page.lanes.iter_mut().filter(|lane| object.as_deref() == Some(lane.name.as_str())) {
            lane.bars.iter_mut().for_each(|bar| bar.class = "failed");
        }
        page
    }

    /// The same, of a sandbox that is in this state by now, in words.
    #[must_use]
    pub fn now(mut self, when: SystemTime, state: &str) -> Self {
        self.now = Some(Line { head: format_rfc3339_seconds(when).to_string(), text: plain(state) });
        self
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// The template's; never in a released binary.
    pub fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }

    fn take(&mut self, at: Duration, event: &Event, applied: &mut BTreeMap<&'static str, Vec<String>>) {
        match event {
            Event::RunStarted { command, sandbox, version, .. } => {
                self.command = plain(command);
                self.sandbox = plain(sandbox);
                self.version = plain(version);
            }
            Event::Rehearsal { .. } => self.rehearsal = true,
            Event::Finding { severity, message, hints, check } => {
                let word = match severity {
                    Severity::Fine => "fine",
                    Severity::Warning => "warning",
                    Severity::Blocker => "in the way",
                };
                let text = std::iter::once(message.clone()).chain(hints.iter().map(|hint| format!("hint: {hint}")));
                let text = plain(&text.collect::<Vec<_>>().join("\n"));
                let place = usize::from(*severity == Severity::Fine);
                self.findings[place].push(Line { head: format!("{word}: {}", plain(check)), text });
            }
            Event::StageFinished { stage: Stage::Down, summary, .. } => self.undone = Some(plain(summary)),
            Event::Facts { about, facts } => {
                for fact in facts.iter().map(readable) {
                    match about {
                        About::Host => self.host.push(fact),
                        About::Versions if self.versions.contains(&fact) => {}
                        About::Versions => self.versions.push(fact),
                        About::Spec => {
                            let is_default = fact.origin.as_deref() == Some("default");
                            self.spec[usize::from(is_default)].push(fact);
                        }
                    }
                }
            }
            Event::Log { object, lines } => {
                let lines = lines.iter().map(|line| plain(line)).collect();
                self.logs.push(Log { object: plain(object), lines });
            }
            Event::Warning { message } => {
                self.warnings.push(Line { head: seconds(at), text: plain(message) });
            }
            Event::Applied { object, change } => {
                let word = match change {
                    Change::Created => "created",
                    Change::Changed => "changed",
                    Change::Unchanged => "as it was",
                    Change::Pruned => "removed",
                };
                applied.entry(word).or_default().push(plain(object));
            }
            Event::Probe { id, title, outcome, detail, millis } => {
                let check = Check {
                    mark: mark(*outcome),
                    id: plain(id),
                    title: plain(title),
                    detail: plain(detail),
                    took: seconds(Duration::from_millis(*millis)),
                };
                let name = component(id);
                match self.groups.iter_mut().find(|group| group.name == name) {
                    Some(group) => group.checks.push(check),
                    None => self.groups.push(Group { name, checks: vec![check] }),
                }
            }
            Event::Ready { endpoints, kubectl } => {
                let readable = |one: &Endpoint| Endpoint {
                    name: plain(&one.name),
                    url: plain(&one.url),
                    credentials: one.credentials.as_deref().map(plain),
                };
                self.endpoints = endpoints.iter().map(readable).collect();
                self.kubectl = Some(plain(kubectl));
            }
            Event::RunFinished { outcome, summary, exit_code, failure, .. } => {
                self.ended = true;
                self.outcome = mark(*outcome);
                self.summary = plain(summary);
                self.failure = failure.as_ref().map(|failure| cause(failure, *exit_code));
            }
            _ => {}
        }
    }
}

/// Words with code in backticks, taken apart.
fn pieces(text: &str) -> Vec<Piece> {
    let text = plain(text);
    if !text.matches('`').count().is_multiple_of(2) {
        return vec![Piece { is_code: false, text }];
    }
    let parts = text.split('`').enumerate().map(|(at, part)| Piece { is_code: at % 2 == 1, text: part.to_owned() });
    parts.filter(|piece| !piece.text.is_empty()).collect()
}

fn readable(fact: &Fact) -> Fact {
    Fact { name: plain(&fact.name), value: plain(&fact.value), origin: fact.origin.as_deref().map(plain) }
}

fn cause(failure: &Failure, exit_code: u8) -> Cause {
    let entry = failure.reason.entry();
    Cause {
        reason: entry.id,
        means: entry.means,
        what: pieces(&failure.what),
        object: failure.object.as_deref().map(plain),
        causes: failure.causes.iter().map(|cause| pieces(cause)).collect(),
        // What is a cause already is not shown twice.
        evidence: failure
            .evidence
            .iter()
            .filter(|line| !failure.causes.contains(line))
            .map(|line| plain(line))
            .collect(),
        hints: failure.next_steps().into_iter().map(pieces).collect(),
        leftovers: failure.leftovers.iter().map(|left| plain(left)).collect(),
        folder: failure.folder.as_deref().map(plain),
        exit_code,
    }
}

/// The component that a check is of, by the letter that its identifier begins with; a place follows that of a workflow.
fn component(id: &str) -> &'static str {
    match id.chars().next() {
        _ if id.contains(' ') => "Workflows",
        Some('A') => "flyteadmin",
        Some('C') => "Console",
        Some('M') => "Minio",
        Some('D') => "Dashboard",
        Some('K') => "Datacatalog",
        Some('P') => "Propellers",
        Some('R') => "Permissions",
        _ => "Other checks",
    }
}

fn waited(step: &crate::timeline::Step<'_>, intervals: &[Interval], end: Duration) -> Step {
    let stage = step.stage;
    const NOTES: usize = 5;
    let within = |one: &&Interval| {
        let is_part = one.kind == Kind::Note && one.name == stage.name
            || one.kind == Kind::Workload && stage.name == Stage::Rollout.title()
            || one.kind == Kind::Workflow && stage.name == Stage::Smoke.title();
        is_part && one.from < stage.to && one.to > stage.from
    };
    let mut notes: Vec<_> = intervals.iter().filter(within).collect();
    notes.sort_by_key(|one| std::cmp::Reverse(one.to.saturating_sub(one.from)));
    let took = step.waited;
    Step {
        name: stage.name.clone(),
        took: seconds(took),
        share: format!("{:.0} %", percent(took, end).parse::<f64>().unwrap_or_default()),
        notes: notes
            .into_iter()
            .take(NOTES)
            .map(|one| Line {
                head: seconds(one.to.saturating_sub(one.from)),
                text: match one.kind {
                    Kind::Workload | Kind::Workflow => format!("{}: {}", brief(&one.name), brief(&one.what)),
                    _ => brief(&one.what),
                },
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Reason};
    use crate::report::Outcome;

    fn page(events: &[(Duration, Event)]) -> String {
        Page::of(SystemTime::UNIX_EPOCH, events, 0).html().expect("a page")
    }

    #[test]
    fn what_others_say_stays_text() {
        let hostile = "<script>alert(1)</script>\u{1b}[31m\u{0}\"'&";
        let failure = Failure::new(Reason::WorkflowFailed, hostile).on(hostile).because(hostile).evidence([hostile]);
        let page = page(&[
            (Duration::ZERO, Event::StageStarted { stage: Stage::Smoke }),
            (Duration::from_secs(1), Event::Progress { stage: Stage::Smoke, note: hostile.to_owned() }),
            (Duration::from_secs(2), Event::Warning { message: hostile.to_owned() }),
            (
                Duration::from_secs(3),
                Event::RunFinished {
                    outcome: Outcome::Failed,
                    summary: hostile.to_owned(),
                    exit_code: 10,
                    failure: Some(failure),
                    millis: 3000,
                },
            ),
        ]);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains(['\u{1b}', '\u{0}']), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
        assert!(page.contains("first cause: "), "{page}");
    }

    #[test]
    fn a_run_of_nothing_is_a_page() {
        assert!(page(&[]).contains("did not end"));
    }

    #[test]
    fn the_page_asks_nobody() {
        let page = page(&[]);
        for word in ["http:", "https:", "<link", "<img", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
