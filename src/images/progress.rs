//! Bytes counted as they go by, told, and stopped when the run is to end.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::error::Error;
use crate::report::{Event, Stage};
use crate::run::{Interrupted, Run};

/// Bytes between two events.
const STEP: u64 = 8 << 20;

/// A reader or writer whose bytes are told as one step of a transfer.
pub(super) struct Counted<T> {
    inner: T,
    run: Run,
    image: String,
    step: &'static str,
    bytes: u64,
    told: u64,
    total: u64,
}

impl<T> Counted<T> {
    /// `total` is the bytes in all, as far as one can tell.
    pub(super) fn new(inner: T, run: &Run, image: &str, step: &'static str, total: u64) -> Self {
        Self { inner, run: run.clone(), image: image.to_owned(), step, bytes: 0, told: 0, total }
    }

    fn count(&mut self, bytes: usize) -> io::Result<usize> {
        self.bytes += bytes as u64;
        if self.bytes >= self.told + STEP {
            self.told = self.bytes;
            let (image, step) = (self.image.clone(), self.step.to_owned());
            let total = Some(self.total.max(self.bytes));
            self.run.report.emit(Event::ImageProgress { image, step, bytes: self.bytes, total });
        }
        stopped(&self.run).map_or(Ok(bytes), |error| Err(io::Error::other(error)))
    }
}

/// Why work that nobody can drop is to stop, if it is.
pub(super) fn stopped(run: &Run) -> Option<Error> {
    if run.cancel.is_cancelled() {
        return Some(Interrupted.into());
    }
    run.deadline.has_passed().then(|| late(run))
}

/// That time is over.
pub(super) fn late(run: &Run) -> Error {
    Error::TimedOut(run.deadline.expired_message())
}

/// Says what is being done with the images.
pub(super) fn tell(run: &Run, note: impl Into<String>) {
    run.report.progress(Stage::Images, note);
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count(count)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.count(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Seek> Seek for Counted<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
