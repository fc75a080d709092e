//! What a run of the binary ended with.

use std::process::ExitStatus;

use serde_json::Value;

use super::schema;

/// A run that ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Holds the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        // The end first: of a long text a CI system may show no more.
        let ended = self.out.lines().next_back().unwrap_or_default();
        assert_eq!(self.status.code(), Some(code), "\n{ended}\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Holds that standard output or standard error has this in it.
    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        assert!(
            self.err.contains(what) || self.out.contains(what),
            "does not say {what:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.out,
            self.err
        );
        self
    }

    /// The events of a run with `--output json`, each as the schema says.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let events: Vec<Value> = self
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        for event in &events {
            if let Err(why) = schema::check(event) {
                panic!("{why}: {event}");
            }
        }
        assert_eq!(events.first().expect("events")["event"], "run-started");
        assert_eq!(events.last().expect("events")["event"], "run-finished");
        events
    }

    /// The failure of a run with `--output json`.
    #[track_caller]
    pub(crate) fn failure(&self) -> Value {
        let events = self.events();
        let last = events.last().expect("events");
        assert!(last["failure"].is_object(), "no failure: {last}");
        last["failure"].clone()
    }
}

/// How a stage ended, such as `unchanged`.
pub(crate) fn outcome<'a>(events: &'a [Value], stage: &str) -> &'a str {
    let ended = events.iter().find(|event| event["event"] == "stage-finished" && event["stage"] == stage);
    ended.and_then(|event| event["outcome"].as_str()).unwrap_or("absent")
}

/// What was applied with this result, such as `created`.
pub(crate) fn applied<'a>(events: &'a [Value], change: &str) -> Vec<&'a str> {
    let applied = events.iter().filter(|event| event["event"] == "applied" && event["change"] == change);
    applied.filter_map(|event| event["object"].as_str()).collect()
}
