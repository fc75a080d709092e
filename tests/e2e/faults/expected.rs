//! What must hold of a run that failed, for people and for programs alike.

use std::path::Path;

use flyte_sandbox::failure::Reason;
use serde_json::Value;

use crate::support::ran::Ran;

/// How a run must fail.
#[derive(Debug)]
pub(crate) struct Expected {
    reason: Reason,
    cause: String,
    shown: Vec<String>,
    leftovers: Vec<String>,
}

/// With this reason and its exit code, and with this in the first cause.
pub(crate) fn fails(reason: Reason, cause: impl Into<String>) -> Expected {
    Expected { reason, cause: cause.into(), shown: Vec::new(), leftovers: Vec::new() }
}

impl Expected {
    /// And with this in the evidence: in its lines, or in a file of its folder.
    pub(crate) fn showing(mut self, text: impl Into<String>) -> Self {
        self.shown.push(text.into());
        self
    }

    /// And saying that this could not be removed, which changes the exit code.
    pub(crate) fn leaving(mut self, leftover: impl Into<String>) -> Self {
        self.leftovers.push(leftover.into());
        self
    }

    /// Holds all of it.
    #[track_caller]
    pub(crate) fn told_by(&self, ran: &Ran) {
        let whole = format!("{self:?}\n--- stdout\n{}\n--- stderr\n{}", ran.out, ran.err);
        let code = if self.leftovers.is_empty() { self.reason } else { Reason::Leftovers }.exit_code();
        assert_eq!(ran.status.code(), Some(i32::from(code)), "the exit code: {whole}");
        assert!(!whole.contains("panicked at"), "a panic: {whole}");
        let evidence = match ran.out.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()) {
            Some(last) => self.told_to_programs(&last["failure"], &whole),
            None => self.told_to_people(&ran.err, &whole),
        };
        for shown in &self.shown {
            assert!(evidence.contains(shown), "no evidence of {shown:?}: {whole}\n--- evidence\n{evidence}");
        }
        // What was made and is taken away again must have left something to read.
        let began = ran.out.contains(r#""event":"stage-started","stage":"cluster""#);
        let failed = self.reason != Reason::Interrupted;
        assert!(!(began && failed && evidence.trim().is_empty()), "nothing is left to read: {whole}");
    }

    #[track_caller]
    fn told_to_programs(&self, failure: &Value, whole: &str) -> String {
        assert_eq!(failure["reason"], self.reason.entry().id, "the reason: {whole}");
        let first = failure["causes"].as_array().and_then(|causes| causes.last()).unwrap_or(&failure["what"]);
        assert!(first.as_str().is_some_and(|first| first.contains(&self.cause)), "the first cause: {whole}");
        assert!(!lines(&failure["hints"]).is_empty(), "no next step: {whole}");
        let leftovers = lines(&failure["leftovers"]);
        for left in &self.leftovers {
            assert!(leftovers.contains(left), "{left} is not told to be left behind: {whole}");
        }
        assert_eq!(leftovers.is_empty(), self.leftovers.is_empty(), "left behind: {whole}");
        let folder = failure["folder"].as_str().map(|folder| files(Path::new(folder)));
        format!("{}\n{}", lines(&failure["evidence"]), folder.unwrap_or_default())
    }

    #[track_caller]
    fn told_to_people(&self, screen: &str, whole: &str) -> String {
        let id = format!("error[{}]:", self.reason.entry().id);
        assert!(screen.contains(&id), "the reason: {whole}");
        let error: Vec<_> = screen.lines().skip_while(|line| !line.starts_with(&id)).collect();
        let first = error.iter().rfind(|line| line.starts_with("  because ")).or(error.first());
        assert!(first.is_some_and(|first| first.contains(&self.cause)), "the first cause: {whole}");
        let last = error.iter().rfind(|line| !line.trim().is_empty());
        assert!(last.is_some_and(|last| last.starts_with("hint: ")), "the next step is not the last line: {whole}");
        for left in &self.leftovers {
            assert!(screen.contains(&format!("{left} is left behind")), "{left} is not told to be left: {whole}");
        }
        let folder = screen.lines().find_map(|line| line.split_once("evidence: ")).map(|(_, folder)| folder);
        format!("{screen}\n{}", folder.map(|folder| files(Path::new(folder.trim()))).unwrap_or_default())
    }
}

fn lines(list: &Value) -> String {
    let lines = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.map(|line| format!("{line}\n")).collect()
}

/// The text of all files within a folder.
fn files(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("evidence in {}: {error}", folder.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { files(&path) } else { text(&path) }).collect()
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
