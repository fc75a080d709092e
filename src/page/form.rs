//! The files that a run can be written as.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
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
    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Page => "the page",
            Self::Summary => "the summary",
            Self::Trace => "the trace",
        }
    }

    /// Writes a text of this form to a file. A job's summary has those of its steps, one after the other; others take the
    /// place of what was there.
    ///
    /// # Errors
    /// The file system's own.
    pub fn write(self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = File::options();
        match self {
            Self::Summary => file.append(true),
            Self::Page | Self::Trace => file.write(true).truncate(true),
        };
        file.create(true).open(path)?.write_all(text.as_bytes())
    }

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
