//! The last lines of a run: its endpoints, or the error, its causes and the next steps.

use std::time::Duration;

use console::measure_text_width;

use crate::failure::Failure;

use super::event::{Endpoint, Outcome};
use super::words::{Mark, Paint, one_line, seconds};
use crate::stage::Stage;

/// The end of a run, with all that its last lines need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finale {
    pub(super) outcome: Outcome,
    pub(super) summary: String,
    pub(super) exit_code: u8,
    pub(super) failure: Option<Failure>,
    pub(super) took: Duration,
    pub(super) times: Vec<(Stage, Duration)>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) kubectl: Option<String>,
    /// One line where all is well.
    pub(super) brief: bool,
}

impl Finale {
    /// The lines, oldest first. Where something failed the error is the first, and what to do next the last.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        match &self.failure {
            Some(failure) => self.failed(failure, paint),
            None => self.ended(paint),
        }
    }

    fn ended(&self, paint: Paint) -> Vec<String> {
        let mark = match self.outcome {
            Outcome::Passed => Mark::Good,
            Outcome::Failed => Mark::Bad,
            Outcome::Unchanged | Outcome::Skipped => Mark::Same,
            Outcome::Stopped => Mark::Stopped,
        };
        let took = paint.dim(&format!("({})", seconds(self.took)));
        let headline = format!("{} {} {took}", paint.mark(mark), paint.bold(&self.summary));
        if self.brief {
            return vec![headline];
        }
        let mut lines = vec![String::new(), headline];
        if self.times.len() > 1 {
            lines.push(format!("  {}", paint.dim(&self.stage_times())));
        }
        lines.extend(self.places(paint));
        lines
    }

    fn stage_times(&self) -> String {
        let times = self.times.iter().map(|(stage, took)| format!("{} {}", stage.title(), seconds(*took)));
        times.collect::<Vec<_>>().join(" · ")
    }

    /// URLs, how to log in, and how `kubectl` gets there.
    fn places(&self, paint: Paint) -> Vec<String> {
        let kubectl = self.kubectl.as_ref().map(|_| "kubectl".len());
        let names = self.endpoints.iter().map(|endpoint| measure_text_width(&endpoint.name));
        let Some(name_width) = names.chain(kubectl).max() else { return Vec::new() };
        let urls = self.endpoints.iter().filter(|endpoint| endpoint.credentials.is_some());
        let url_width = urls.map(|endpoint| measure_text_width(&endpoint.url)).max().unwrap_or_default();
        let padded = |text: &str, width: usize| " ".repeat(width.saturating_sub(measure_text_width(text)));
        let mut lines = vec![String::new()];
        for Endpoint { name, url, credentials } in &self.endpoints {
            let mut line = format!("  {name}{}  {}", padded(name, name_width), paint.link(url));
            if let Some(credentials) = credentials {
                line = format!("{line}{}  {credentials}", padded(url, url_width));
            }
            lines.push(line);
        }
        if let Some(kubectl) = &self.kubectl {
            lines.push(format!("  kubectl{}  {kubectl}", padded("kubectl", name_width)));
        }
        lines
    }

    fn failed(&self, failure: &Failure, paint: Paint) -> Vec<String> {
        let id = failure.reason.entry().id;
        let what = paint.bold(&one_line(&failure.what));
        let mut lines = vec![String::new(), format!("{} {what}", paint.bad(&format!("error[{id}]:")))];
        lines.extend(failure.object.iter().map(|object| format!("  on {}", one_line(object))));
        lines.extend(failure.causes.iter().map(|cause| format!("  because {}", one_line(cause))));
        let bar = paint.dim("│");
        lines.extend(failure.evidence.iter().map(|line| format!("  {bar} {}", one_line(line))));
        lines.extend(
            failure.leftovers.iter().map(|left| format!("{} {} is left behind", paint.bad("warning:"), one_line(left))),
        );
        lines.extend(failure.folder.iter().map(|folder| paint.dim(&format!("evidence: {}", one_line(folder)))));
        // A failed run's summary says what became of what it had begun.
        let mut state = format!("exit code {} after {}", self.exit_code, seconds(self.took));
        if !self.summary.is_empty() && self.summary != failure.what {
            state = format!("{}; {state}", self.summary);
        }
        lines.push(paint.dim(&state));
        lines.extend(failure.next_steps().into_iter().map(|step| paint.hint(&one_line(step))));
        lines
    }
}
