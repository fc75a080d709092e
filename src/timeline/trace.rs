//! A run for Chrome's and Perfetto's viewers of traces.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::intervals::{Kind, intervals};
use crate::report::Event;

/// A run as JSON in the [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU):
/// a process for each kind of interval, a thread for each name in it. Times are microseconds.
#[must_use]
pub fn trace(events: &[(Duration, Event)]) -> Value {
    let mut traced = Vec::new();
    let mut threads: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for one in intervals(events) {
        let process = one.kind as usize + 1;
        let next = threads.len() + 1;
        let thread = *threads.entry((one.kind, one.name.clone())).or_insert_with(|| {
            traced.push(name("process_name", process, next, one.kind.title()));
            traced.push(name("thread_name", process, next, &one.name));
            next
        });
        traced.push(json!({
            "ph": "X", "cat": one.kind.title(), "name": if one.what.is_empty() { &one.name } else { &one.what },
            "pid": process, "tid": thread, "ts": micros(one.from), "dur": micros(one.to.saturating_sub(one.from)),
        }));
    }
    for (at, event) in events {
        if let Event::Warning { message } = event {
            traced.push(json!({"ph": "i", "s": "g", "name": message, "pid": 1, "tid": 1, "ts": micros(*at)}));
        }
    }
    json!({"displayTimeUnit": "ms", "traceEvents": traced})
}

fn name(of: &str, process: usize, thread: usize, name: &str) -> Value {
    json!({"ph": "M", "name": of, "pid": process, "tid": thread, "args": {"name": name}})
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Stage};

    #[test]
    fn stages_are_threads_with_times_in_microseconds() {
        let summary = "node Ready".to_owned();
        let end = Event::StageFinished { stage: Stage::Cluster, outcome: Outcome::Passed, summary, millis: 5 };
        let events = [
            (Duration::from_millis(2), Event::StageStarted { stage: Stage::Cluster }),
            (Duration::from_millis(4), Event::Warning { message: "slow".to_owned() }),
            (Duration::from_millis(7), end),
        ];
        let of =
            |name: &str, shown: &str| json!({"ph": "M", "name": name, "pid": 1, "tid": 1, "args": {"name": shown}});
        assert_eq!(
            trace(&events)["traceEvents"],
            json!([
                of("process_name", "stages"),
                of("thread_name", "cluster"),
                {"ph": "X", "cat": "stages", "name": "node Ready", "pid": 1, "tid": 1, "ts": 2000, "dur": 5000},
                {"ph": "i", "s": "g", "name": "slow", "pid": 1, "tid": 1, "ts": 4000},
            ])
        );
    }
}
