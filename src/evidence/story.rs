//! The folder's page: the run that failed, or the last one on the sandbox, with what was found now.

use std::io;
use std::time::{Duration, SystemTime};

use super::mask::Mask;
use super::masked::masked;
use crate::failure::Failure;
use crate::page::Page;
use crate::report::{Event, Outcome, SCHEMA_VERSION, Stage};
use crate::runs::{Bounds, Recorded};

/// What the page is made of.
pub(super) struct Story<'a> {
    /// The sandbox's name.
    pub(super) name: &'a str,
    /// Why the run failed; where none did, what the sandbox is doing.
    pub(super) why: Result<&'a str, &'a Failure>,
    /// The last run on it, where none failed.
    pub(super) last_run: Option<&'a Recorded>,
    /// When the run began, and what was said in it.
    pub(super) began: SystemTime,
    pub(super) history: &'a [(Duration, Event)],
    /// What was found, without secrets.
    pub(super) found: &'a [Event],
}

impl Story<'_> {
    /// The page as HTML.
    pub(super) fn page(self, now: SystemTime, mask: &Mask) -> io::Result<String> {
        let Self { name, why, last_run, began, history, found } = self;
        let page = match (why, last_run) {
            (Err(failure), _) => {
                let mut events = bounded(history, mask)?;
                // The page itself comes of it.
                events.retain(|(_, event)| *event != Event::StageStarted { stage: Stage::Evidence });
                let end = events.last().map(|(at, _)| *at).unwrap_or_default();
                events.extend(found.iter().map(|event| (end, event.clone())));
                let finished = Event::RunFinished {
                    outcome: Outcome::Failed,
                    summary: failure.what.clone(),
                    exit_code: failure.exit_code(),
                    failure: Some(failure.clone()),
                    millis: u64::try_from(end.as_millis()).unwrap_or(u64::MAX),
                };
                events.push((end, masked(mask, &finished)?));
                Page::of(began, &events, 0)
            }
            (Ok(state), Some(last)) => {
                let mut events = last.events.clone();
                let end = events.last().map(|(at, _)| *at).unwrap_or_default();
                events.extend(found.iter().map(|event| (end, event.clone())));
                Page::of(last.began, &events, last.unread).now(now, state)
            }
            (Ok(state), None) => {
                let started = Event::RunStarted {
                    schema_version: SCHEMA_VERSION,
                    command: "diagnose".to_owned(),
                    sandbox: name.to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let finished = Event::RunFinished {
                    outcome: Outcome::Passed,
                    summary: state.to_owned(),
                    exit_code: 0,
                    failure: None,
                    millis: 0,
                };
                let said = std::iter::once(&started).chain(found).chain(std::iter::once(&finished));
                Page::of(now, &said.map(|event| (Duration::ZERO, event.clone())).collect::<Vec<_>>(), 0)
            }
        };
        page.html().map_err(io::Error::other)
    }
}

fn bounded(history: &[(Duration, Event)], mask: &Mask) -> io::Result<Vec<(Duration, Event)>> {
    let mut bounds = Bounds::default();
    let mut kept = Vec::new();
    for (at, event) in history {
        kept.extend(bounds.admit(*at, &masked(mask, event)?)?.into_iter().map(|event| (*at, event)));
    }
    Ok(kept)
}
