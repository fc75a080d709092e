//! The files that a run can be written as.

use std::time::{Duration, SystemTime};

use super::summary::summary;
use super::view::Page;
use crate::report::Event;
use crate::timeline::trace;

/// A file that a run can be written as, when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A page of HTML.
    Page,
    /// Markdown with a Gantt chart in Mermaid.
    Summary,
    /// JSON for viewers of traces.
    Trace,
}

impl Form {
    /// The run that began then. `unread` lines of its recording could not be read.
    ///
    /// # Errors
    /// The page's template; never in a released binary.
    pub fn text(self, began: SystemTime, events: &[(Duration, Event)], unread: usize) -> Result<String, askama::Error> {
        Ok(match self {
            Self::Page => Page::of(began, events, unread).html()?,
            Self::Summary => summary(began, events),
            Self::Trace => format!("{}\n", trace(events)),
        })
    }
}
