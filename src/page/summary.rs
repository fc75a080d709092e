//! A run as Markdown, for the summary of a CI job: how it ended, why, and what took the time as a Gantt chart in Mermaid,
//! which GitHub and GitLab draw.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_seconds;

use super::words::{mark, seconds};
use crate::failure::Failure;
use crate::report::{Event, Outcome, plain};
use crate::timeline::{Interval, Kind, critical_path, intervals};

/// Rows of workloads and workflows in the chart, the longest.
const ROWS: usize = 20;
/// Lines of evidence.
const LINES: usize = 40;
/// The most characters of a line of evidence.
const LENGTH: usize = 500;

/// The summary of a run that began then.
#[must_use]
pub(super) fn summary(began: SystemTime, events: &[(Duration, Event)]) -> String {
    let end = events.last().map(|(at, _)| *at).unwrap_or_default();
    let mut text = String::new();
    title(&mut text, began, end, events);
    let failure = events.iter().find_map(|(_, event)| match event {
        Event::RunFinished { failure, .. } => failure.as_ref(),
        _ => None,
    });
    if let Some(failure) = failure {
        failed(&mut text, failure);
    }
    chart(&mut text, &intervals(events), end);
    checks(&mut text, events);
    warnings(&mut text, events);
    text
}

fn title(text: &mut String, began: SystemTime, end: Duration, events: &[(Duration, Event)]) {
    let (mut run, mut version) = ("sandbox".to_owned(), String::new());
    let (mut outcome, mut said) = ("– did not end", String::new());
    for (_, event) in events {
        match event {
            Event::RunStarted { command, sandbox, version: of, .. } => {
                run = format!("sandbox {} {}", words(command), words(sandbox));
                version = format!(", version {}", words(of));
            }
            Event::Rehearsal { .. } => run.push_str(" (a rehearsal)"),
            Event::RunFinished { outcome: of, summary, .. } => {
                outcome = match of {
                    Outcome::Failed => "✗ failed",
                    Outcome::Unchanged => "= unchanged",
                    _ => "✓ passed",
                };
                said = words(summary);
            }
            _ => {}
        }
    }
    let _ = writeln!(text, "### {outcome}: {run}\n");
    let _ = writeln!(text, "{said}\n\n{} from {}{version}.\n", seconds(end), format_rfc3339_seconds(began));
}

fn failed(text: &mut String, failure: &Failure) {
    let _ = writeln!(text, "**error\\[{}\\]: {}**\n", failure.reason.entry().id, words(&failure.what));
    if let Some(object) = &failure.object {
        let _ = writeln!(text, "* on {}", words(object));
    }
    for (number, cause) in failure.causes.iter().enumerate() {
        let word = if number + 1 == failure.causes.len() { "first cause" } else { "because" };
        let _ = writeln!(text, "* {word}: {}", words(cause));
    }
    for hint in failure.next_steps() {
        let _ = writeln!(text, "* hint: {}", words(hint));
    }
    for left in &failure.leftovers {
        let _ = writeln!(text, "* left behind: {}", words(left));
    }
    if !failure.evidence.is_empty() {
        let from = failure.evidence.len().saturating_sub(LINES);
        let shown: String = failure.evidence[from..]
            .iter()
            .map(|line| plain(line).chars().take(LENGTH).chain(['\n']).collect::<String>())
            .collect();
        let fence = "`".repeat(3.max(1 + longest_run(&shown)));
        let _ = writeln!(text, "\n{fence}text\n{shown}{fence}");
    }
    text.push('\n');
}

fn chart(text: &mut String, intervals: &[Interval], end: Duration) {
    let (path, share) = critical_path(intervals, end);
    if path.is_empty() {
        return;
    }
    let _ = writeln!(text, "```mermaid\ngantt\n  dateFormat HH:mm:ss.SSS\n  axisFormat %M:%S\n  section stages");
    for one in intervals.iter().filter(|one| one.kind == Kind::Stage) {
        let waited = path.iter().any(|step| std::ptr::eq(step.stage, one));
        let tag = match one.outcome {
            Some(Outcome::Failed) => "crit, ",
            _ if waited => "active, ",
            _ => "done, ",
        };
        let _ = writeln!(
            text,
            "  {} :{tag}{}, {}",
            task(&one.name, one.to.saturating_sub(one.from)),
            clock(one.from),
            clock(one.to)
        );
    }
    for kind in [Kind::Workload, Kind::Workflow] {
        let mut rows: BTreeMap<&str, (Duration, Duration)> = BTreeMap::new();
        for one in intervals.iter().filter(|one| one.kind == kind) {
            let row = rows.entry(&one.name).or_insert((one.from, one.to));
            *row = (row.0.min(one.from), row.1.max(one.to));
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|(_, (from, to))| std::cmp::Reverse(to.saturating_sub(*from)));
        rows.truncate(ROWS);
        rows.sort_by_key(|(_, (from, _))| *from);
        if !rows.is_empty() {
            let _ = writeln!(text, "  section {}", kind.title());
        }
        for (name, (from, to)) in rows {
            let _ = writeln!(text, "  {} :{}, {}", task(name, to.saturating_sub(from)), clock(from), clock(to));
        }
    }
    let names: Vec<_> = path.iter().map(|step| format!("{} {}", step.stage.name, seconds(step.waited))).collect();
    let _ = writeln!(text, "```\n\nWaited for, {:.0} % of the time: {}.\n", share * 100.0, names.join(", "));
}

fn checks(text: &mut String, events: &[(Duration, Event)]) {
    let probes = || events.iter().filter(|(_, event)| matches!(event, Event::Probe { .. }));
    if probes().count() == 0 {
        return;
    }
    let passed = probes().filter(|(_, event)| matches!(event, Event::Probe { outcome: Outcome::Passed, .. })).count();
    let _ = writeln!(text, "{passed} of {} checks passed.\n", probes().count());
    let mut head = Some("| check | asked | answered |\n|---|---|---|");
    for (_, event) in events {
        if let Event::Probe { id, title, outcome, detail, .. } = event
            && *outcome != Outcome::Passed
        {
            if let Some(head) = head.take() {
                let _ = writeln!(text, "{head}");
            }
            let sign = mark(*outcome).word;
            let _ = writeln!(text, "| {sign}: {} | {} | {} |", words(id), words(title), words(detail));
        }
    }
    text.push('\n');
}

fn warnings(text: &mut String, events: &[(Duration, Event)]) {
    for (at, event) in events {
        if let Event::Warning { message } = event {
            let _ = writeln!(text, "* warning after {}: {}", seconds(*at), words(message));
        }
    }
}

/// A task's name, as Mermaid reads one: a colon would end it.
fn task(name: &str, took: Duration) -> String {
    let took = seconds(took);
    let name: String = plain(name).chars().map(|c| if ":;#\n%{}".contains(c) { ' ' } else { c }).take(60).collect();
    format!("{} {took}", name.trim())
}

/// A time since the start of the run as `HH:MM:SS.mmm`.
fn clock(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Others' text on one line, in which nothing is markup but code within backticks.
fn words(text: &str) -> String {
    let text = plain(text);
    let has_code = text.matches('`').count().is_multiple_of(2);
    let (mut shown, mut in_code) = (String::new(), false);
    for one in text.trim().chars() {
        match one {
            '\n' | '\t' => shown.push(' '),
            '`' if has_code => {
                in_code = !in_code;
                shown.push('`');
            }
            // A cell of a table ends there even in code.
            '|' => shown.push_str("\\|"),
            other if in_code => shown.push(other),
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '!' | '#' | '$' => shown.extend(['\\', one]),
            other => shown.push(other),
        }
    }
    shown
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Reason;
    use crate::report::{Stage, Waiting};

    #[test]
    fn a_failure_is_told_from_its_cause_on_and_what_others_say_is_no_markup() {
        let failure = Failure::new(Reason::WorkloadStuck, "a <b>workload</b> cannot start")
            .on("deployment n/mini|o")
            .because("cannot *reach*\nthe database")
            .evidence(["```", "exit code 1"]);
        let waiting = vec![Waiting { object: "deployment/minio".to_owned(), reason: "its: pod".to_owned() }];
        let seconds = Duration::from_secs;
        let events = [
            (
                seconds(0),
                Event::RunStarted {
                    schema_version: 1,
                    command: "up".to_owned(),
                    sandbox: "s".to_owned(),
                    version: "0.1.0".to_owned(),
                },
            ),
            (seconds(1), Event::StageStarted { stage: Stage::Rollout }),
            (seconds(2), Event::RolloutProgress { ready: 0, total: 1, waiting }),
            (
                seconds(3),
                Event::Probe {
                    id: "A1".to_owned(),
                    title: "admin answers".to_owned(),
                    outcome: Outcome::Failed,
                    detail: "HTTP 502 | no".to_owned(),
                    millis: 1,
                },
            ),
            (seconds(70), Event::Warning { message: "slow".to_owned() }),
            (
                seconds(71),
                Event::RunFinished {
                    outcome: Outcome::Failed,
                    summary: "a workload cannot start".to_owned(),
                    exit_code: 9,
                    failure: Some(failure),
                    millis: 71_000,
                },
            ),
        ];
        insta::assert_snapshot!(summary(SystemTime::UNIX_EPOCH, &events));
    }

    #[test]
    fn a_run_of_nothing_has_a_title() {
        assert_eq!(summary(SystemTime::UNIX_EPOCH, &[]).lines().next(), Some("### – did not end: sandbox"));
    }
}
