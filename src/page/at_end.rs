//! The view that writes a file of the whole run when it ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::form::Form;
use crate::report::{Event, View};
use crate::runs::Bounds;

/// A file of a run, written when the stream ends.
pub struct AtEnd {
    form: Form,
    path: PathBuf,
    began: SystemTime,
    bounds: Bounds,
    events: Vec<(Duration, Event)>,
}

impl AtEnd {
    /// A file that will be written to `path`. Its folder and file are made at once, so that a place that cannot be written
    /// is known before the run; a file that is there keeps its text until there is the whole of the new one.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn create(form: Form, path: &Path, began: SystemTime) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().append(true).create(true).open(path)?;
        Ok(Self { form, path: path.to_owned(), began, bounds: Bounds::default(), events: Vec::new() })
    }
}

impl View for AtEnd {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        self.events.extend(self.bounds.admit(at, event)?.into_iter().map(|event| (at, event)));
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let text = self.form.text(self.began, &self.events, 0).map_err(io::Error::other)?;
        self.form.write(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Stage;

    fn written(form: Form, path: &Path) -> String {
        let mut view = AtEnd::create(form, path, SystemTime::UNIX_EPOCH).expect("made");
        view.on(Duration::ZERO, &Event::StageStarted { stage: Stage::Plan }).expect("kept");
        view.end().expect("written");
        fs::read_to_string(path).expect("there")
    }

    #[test]
    fn a_page_takes_the_place_of_an_earlier_one_and_a_summary_follows_it() {
        let folder = tempfile::tempdir().expect("a folder");
        for (form, times) in [(Form::Page, 1), (Form::Trace, 1), (Form::Summary, 2)] {
            let path = folder.path().join("new").join(format!("{form:?}"));
            let once = written(form, &path);
            assert_eq!(written(form, &path), once.repeat(times), "{form:?}");
        }
        assert!(AtEnd::create(Form::Page, folder.path(), SystemTime::UNIX_EPOCH).is_err());
    }
}
