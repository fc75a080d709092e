//! The way of all findings into the folder, each as it comes: masked, bounded, listed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::index::Row;
use super::mask::Mask;
use super::source::{Found, Missing};
use crate::report::Event;

/// Room in bytes that logs of pods, of which there may be any number, leave to all other files.
const RESERVED: usize = 4 << 20;

/// Lines of a file whose end is told.
const LINES: usize = 30;
/// Files whose ends are told, the first; those that may explain a failure come before others.
const TOLD: usize = 20;

/// A folder that is being filled by several sources at once.
#[derive(Debug)]
pub(super) struct Sink {
    mask: Mask,
    filled: Mutex<Filled>,
}

/// What is in the folder, and what could not be had.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) folder: Folder,
    pub(super) rows: Vec<Row>,
    pub(super) missing: Vec<Missing>,
    /// The ends of files that may explain a failure, without secrets.
    pub(super) told: Vec<Event>,
}

impl Sink {
    pub(super) fn new(folder: Folder, mask: Mask) -> Self {
        Self { mask, filled: Mutex::new(Filled { folder, rows: Vec::new(), missing: Vec::new(), told: Vec::new() }) }
    }

    /// Writes all that a source had.
    pub(super) fn take(&self, found: Found) {
        self.write(found, 0);
    }

    /// Writes a pod's log, where that leaves enough room for other files.
    pub(super) fn take_log(&self, found: Found) {
        self.write(found, RESERVED);
    }

    /// Whether a log that is asked for now could be kept.
    pub(super) fn has_room_for_logs(&self) -> bool {
        self.filled().folder.room(RESERVED) > 0
    }

    /// What the folder has, and the mask.
    pub(super) fn finish(self) -> (Filled, Mask) {
        (self.filled.into_inner().unwrap_or_else(PoisonError::into_inner), self.mask)
    }

    fn write(&self, found: Found, spare: usize) {
        for file in found.files {
            let text = file.content.masked(&self.mask);
            let mut filled = self.filled();
            if file.tells && filled.told.len() < TOLD {
                filled.told.push(Event::Log { object: file.what.clone(), lines: end(&text) });
            }
            match filled.folder.keep(&file.path, &text, spare) {
                Ok(bytes) => filled.rows.push(Row { path: file.path, what: file.what, bytes }),
                Err(why) => filled.missing.push(Missing { what: file.what, why }),
            }
        }
        self.filled().missing.extend(found.missing);
    }

    fn filled(&self) -> MutexGuard<'_, Filled> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}
