//! Other people's programs: run with an explicit environment, heard line by line, and never outliving us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};

use crate::failure::{Failure, Reason};
use crate::run::Run;

/// Lines of a failed program's output that a failure shows.
const TAIL: usize = 20;

/// A program and the only variables it sees.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    env: BTreeMap<String, String>,
    reason: Reason,
}

/// What a program that succeeded wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Standard output.
    pub stdout: Vec<String>,
    /// Standard error.
    pub stderr: Vec<String>,
}

/// A process group that ends with its handle: a dropped future must not leave k3d creating things behind our back.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Tool {
    /// A program, the variables it sees, and what its failures are filed under.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, env: BTreeMap<String, String>, reason: Reason) -> Self {
        Self { program: program.into(), env, reason }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it to its end, telling `line` everything it writes. Dropping the future kills it and its children.
    ///
    /// # Errors
    /// When it cannot be started, exits with anything but zero, or does not end before the run's deadline or
    /// cancellation; with the tail of what it wrote.
    pub async fn run(&self, args: &[String], run: &Run, mut line: impl FnMut(&str)) -> Result<Written, Failure> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failure = |what: &str| Failure::new(self.reason, format!("{what} `{name} {}`", args.join(" ")));
        tracing::debug!(program = %self.program.display(), ?args, "start");
        let mut child = Command::new(&self.program)
            .args(args)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failure("cannot start").caused_by(&error))?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let mut written = Written::default();
        let ended = {
            let listened = listen(&mut child, &mut written, &mut line);
            tokio::select! {
                biased;
                () = run.cancel.cancelled() => return Err(Failure::new(Reason::Interrupted, "stopped on request")),
                () = tokio::time::sleep(run.deadline.remaining()) => None,
                ended = listened => Some(ended),
            }
        };
        let tail = |written: &Written| tail(&written.stdout, &written.stderr);
        match ended {
            None => Err(failure("gave up waiting for").because("it did not end in time").evidence(tail(&written))),
            Some(Err(error)) => Err(failure("cannot listen to").caused_by(&error)),
            Some(Ok(status)) => {
                group.0 = None;
                tracing::debug!(program = %self.program.display(), %status, "end");
                if status.success() {
                    return Ok(written);
                }
                let said = written.stderr.iter().rev().find(|line| !line.trim().is_empty());
                let failed = failure("failed:").because(status.to_string()).evidence(tail(&written));
                Err(said.into_iter().fold(failed, |failure, line| failure.because(plain(line))))
            }
        }
    }
}

async fn listen(child: &mut Child, written: &mut Written, line: &mut impl FnMut(&str)) -> std::io::Result<ExitStatus> {
    let mut stdout = child.stdout.take().map(lines);
    let mut stderr = child.stderr.take().map(lines);
    while stdout.is_some() || stderr.is_some() {
        let (said, kept) = tokio::select! {
            said = next(&mut stdout) => (said?, &mut written.stdout),
            said = next(&mut stderr) => (said?, &mut written.stderr),
        };
        if let Some(said) = said {
            tracing::debug!("{said}");
            line(&said);
            kept.push(said);
        }
    }
    child.wait().await
}

fn lines<R: AsyncRead + Unpin>(stream: R) -> Lines<BufReader<R>> {
    BufReader::new(stream).lines()
}

/// The stream's next line; at its end the stream is taken away, and one that was taken away never answers.
async fn next<R: AsyncRead + Unpin>(stream: &mut Option<Lines<BufReader<R>>>) -> std::io::Result<Option<String>> {
    let Some(open) = stream else { return std::future::pending().await };
    let said = open.next_line().await?;
    if said.is_none() {
        *stream = None;
    }
    Ok(said)
}

fn tail(stdout: &[String], stderr: &[String]) -> Vec<String> {
    let all: Vec<String> = stdout.iter().chain(stderr).map(|line| plain(line)).collect();
    all[all.len().saturating_sub(TAIL)..].to_vec()
}

/// A line without terminal colours (`ESC [ … letter`).
#[must_use]
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    text.push_str(rest);
    text.trim_end().to_owned()
}

/// The message of a line as k3d and k3s log it: `… level=info msg="…"`, or `INFO[0000] …` on a terminal and before
/// k3d 5.3.
#[must_use]
pub fn log_message(line: &str) -> Option<String> {
    let line = plain(line);
    if let Some((_, message)) = line.split_once(" msg=") {
        let message = message.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(message);
        return Some(message.replace("\\\"", "\""));
    }
    let (level, message) = line.split_once("] ")?;
    let is_level =
        level.split_once('[').is_some_and(|(word, _)| word.len() == 4 && word.chars().all(|c| c.is_ascii_uppercase()));
    is_level.then(|| message.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::report::Reporter;
    use crate::run::Deadline;

    fn run(budget: Duration) -> Run {
        let (report, _) = Reporter::channel();
        Run { report, deadline: Deadline::after(budget), cancel: CancellationToken::new() }
    }

    fn shell(env: &[(&str, &str)]) -> Tool {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Tool::new("/bin/sh", env, Reason::K3d)
    }

    fn script(text: &str) -> Vec<String> {
        vec!["-c".to_owned(), text.to_owned()]
    }

    #[tokio::test]
    async fn both_streams_are_heard_and_only_the_given_variables_are_seen() {
        let mut heard = Vec::new();
        let args = script("echo out $GIVEN $CARGO_PKG_NAME; echo err >&2");
        let tool = shell(&[("GIVEN", "1")]);
        let written = tool.run(&args, &run(Duration::from_secs(20)), |line| heard.push(line.to_owned())).await;
        let written = written.expect("success");
        assert_eq!((written.stdout, written.stderr), (vec!["out 1".to_owned()], vec!["err".to_owned()]));
        heard.sort();
        assert_eq!(heard, ["err", "out 1"]);
    }

    #[tokio::test]
    async fn a_failure_ends_with_the_last_line_of_standard_error() {
        let args = script("printf '\\033[31mFATA\\033[0m no room\\n' >&2; exit 3");
        let failure = shell(&[]).run(&args, &run(Duration::from_secs(20)), |_| ()).await.expect_err("exit 3");
        assert_eq!(failure.causes, ["exit status: 3", "FATA no room"]);
    }

    #[tokio::test]
    async fn what_outlives_its_deadline_is_killed_with_its_children() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let args = script(&format!("sleep 60 & echo $! >{}; wait", file.path().display()));
        let failure = shell(&[]).run(&args, &run(Duration::from_millis(300)), |_| ()).await.expect_err("deadline");
        assert_eq!(failure.causes, ["it did not end in time"]);
        let child = std::fs::read_to_string(file.path()).expect("pid");
        let stat = Path::new("/proc").join(child.trim()).join("stat");
        let gone = async {
            // A killed orphan may stay a zombie until somebody reaps it.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the child ends too");
    }

    #[test]
    fn log_lines_of_both_formats_have_a_message() {
        for (line, message) in [
            (r#"time="2026" level=info msg="Creating node 'k3d-x-server-0'""#, Some("Creating node 'k3d-x-server-0'")),
            (r#"time="t" level=fatal msg="bind: \"in use\"""#, Some(r#"bind: "in use""#)),
            ("\u{1b}[36mINFO\u{1b}[0m[0003] Starting servers...", Some("Starting servers...")),
            ("kubectl cluster-info", None),
            ("a[0] b", None),
        ] {
            assert_eq!(log_message(line).as_deref(), message);
        }
    }
}
