//! The page's timeline: lanes and bars.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words::seconds;
use crate::report::{Outcome, plain};
use crate::timeline::{Interval, Kind, Step};

/// What took no time is seen all the same.
const SEEN: Duration = Duration::from_millis(1);

/// A line of the time axis; places are in percent of the run.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
}

/// A row of the timeline.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    /// For those who do not see the bars.
    pub(super) label: String,
    pub(super) took: String,
    pub(super) bars: Vec<Bar>,
}

/// A bar in a row; places are in percent of the run.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) at: String,
    pub(super) width: String,
    pub(super) class: &'static str,
    pub(super) what: String,
}

/// A time as a share of the run, in percent.
pub(super) fn percent(time: Duration, end: Duration) -> String {
    if end.is_zero() { "0".to_owned() } else { format!("{:.2}", 100.0 * time.as_secs_f64() / end.as_secs_f64()) }
}

/// Four to ten lines at round seconds.
pub(super) fn ticks(end: Duration) -> Vec<Tick> {
    const STEPS: [u64; 9] = [1, 2, 5, 10, 20, 30, 60, 300, 600];
    let whole = end.as_secs();
    let step = STEPS.into_iter().find(|step| whole / step <= 10).unwrap_or(3600);
    let at = |number| Duration::from_secs(number * step);
    (0..=whole / step)
        .map(|number| Tick { at: percent(at(number), end), label: format!("{} s", number * step) })
        .collect()
}

/// The rows, a kind after the other; `path` is what was waited for.
pub(super) fn lanes(intervals: &[Interval], path: &[Step<'_>], end: Duration) -> Vec<Lane> {
    const KINDS: [(Kind, &str); 4] =
        [(Kind::Stage, "stage"), (Kind::Image, "image"), (Kind::Workload, "workload"), (Kind::Workflow, "workflow")];
    let mut lanes = Vec::new();
    for (kind, class) in KINDS {
        let mut of_kind: Vec<(String, Duration, Vec<Bar>)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for one in intervals.iter().filter(|one| one.kind == kind) {
            let waited = path.iter().any(|step| std::ptr::eq(step.stage, one));
            let took = one.to.saturating_sub(one.from);
            let bar = Bar {
                at: percent(one.from, end),
                width: percent(took.max(SEEN), end),
                class: match one.outcome {
                    Some(Outcome::Failed) => "failed",
                    Some(Outcome::Stopped) => "stopped",
                    _ if waited => "path",
                    _ => class,
                },
                what: format!("{} to {}: {}", seconds(one.from), seconds(one.to), brief(&one.what)),
            };
            let place = *places.entry(&one.name).or_insert_with(|| {
                of_kind.push((plain(&one.name), Duration::ZERO, Vec::new()));
                of_kind.len() - 1
            });
            of_kind[place].1 += took;
            of_kind[place].2.push(bar);
        }
        lanes.extend(of_kind.into_iter().map(|(name, took, bars)| {
            let parts: Vec<_> = bars.iter().map(|bar| bar.what.as_str()).collect();
            let label = brief(&format!("{name}: {}", parts.join("; ")));
            Lane { name, label, took: seconds(took), bars }
        }));
    }
    lanes
}

/// Others' text, as long as a bar's can be.
pub(super) fn brief(text: &str) -> String {
    const LENGTH: usize = 200;
    let text = plain(text);
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
