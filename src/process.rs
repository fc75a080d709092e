//! Child processes: run with an explicit environment, read line by line, and killed with us. The output that is kept is
//! bounded. One kind outlives us on purpose: see [`detach`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, setsid, test_kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::failure::{Failure, Reason};
use crate::limits::{BROWSER_START, CHILD_OUTPUT};
use crate::run::{Deadline, Interrupted, Run};
use crate::text::plain;

/// Lines of a failed program's output that a failure shows.
const TAIL: usize = 20;
/// Lines of each stream that are kept, the newest.
const KEPT: usize = 1000;
/// Bytes of a line that are kept, the first.
const LINE: usize = 4096;
/// Lines that are forwarded while a program works. More are read and kept, but nobody could read along.
const FORWARDED: usize = 5000;

/// A program and its environment.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    env: BTreeMap<String, String>,
    redacted: bool,
}

/// The error of a program.
#[derive(Debug, thiserror::Error)]
#[error("{cause} `{command}`")]
pub struct Error {
    /// The command line.
    pub command: String,
    /// The cause.
    pub cause: Cause,
    /// The last lines of its output, unless redacted.
    pub output: Vec<String>,
}

/// The cause of a program's error.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be started.
    #[error("cannot start")]
    Start(io::Error),
    /// Its output cannot be read.
    #[error("cannot read the output of")]
    Read(io::Error),
    /// It ran until the deadline.
    #[error("timed out:")]
    TimedOut,
    /// The user's interrupt ended it.
    #[error("stopped")]
    Interrupted,
    /// Its exit code is not zero.
    #[error("failed:")]
    Exit {
        /// The exit status.
        status: ExitStatus,
        /// The last line of its standard error.
        last_line: Option<String>,
    },
}

impl Error {
    /// The failure, filed under this reason unless the user's interrupt ended the program.
    #[must_use]
    pub fn failure(self, reason: Reason) -> Failure {
        let failure = Failure::new(reason, self.to_string());
        let failure = match &self.cause {
            Cause::Start(error) | Cause::Read(error) => failure.because_of(error),
            Cause::TimedOut => failure.because("timed out"),
            Cause::Interrupted => return Interrupted.into(),
            Cause::Exit { status, last_line } => {
                last_line.iter().fold(failure.because(status), |failure, line| failure.because(line))
            }
        };
        failure.evidence(&self.output).keeping(self)
    }
}

/// The output of a successful program: the newest lines.
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
    /// A program with this environment.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, env: BTreeMap<String, String>) -> Self {
        Self { program: program.into(), env, redacted: false }
    }

    /// The same, whose output is a secret: only its caller gets it, and a failure has only the last line of its standard
    /// error.
    #[must_use]
    pub fn redacted(self) -> Self {
        Self { redacted: true, ..self }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs the program to its end. Its output goes to `line` and to the run's output log. Dropping the future kills it and
    /// its children.
    ///
    /// # Errors
    /// It cannot be started, its exit code is not zero, or it does not end before the run's deadline or cancellation; with
    /// the last lines of its output.
    pub async fn run(&self, args: &[String], run: &Run, mut line: impl FnMut(&str)) -> Result<Written, Error> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let command = format!("{name} {}", args.join(" "));
        run.report.record_output(format!("$ {command}"));
        let failure = |cause, output| Error { command, cause, output };
        tracing::debug!(program = %self.program.display(), ?args, "start");
        let child = Command::new(&self.program)
            .args(args)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => return Err(failure(Cause::Start(error), Vec::new())),
        };
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let mut written = Written::default();
        let ended = {
            let mut forwarded = 0;
            let reading = read_output(&mut child, &mut written, |text| {
                if self.redacted {
                    return;
                }
                tracing::debug!("{text}");
                run.report.record_output(plain(text));
                forwarded += 1;
                if forwarded <= FORWARDED {
                    line(text);
                }
            });
            tokio::select! {
                biased;
                () = run.cancel.cancelled() => return Err(failure(Cause::Interrupted, Vec::new())),
                () = run.deadline.passed() => None,
                ended = reading => Some(ended),
            }
        };
        let tail = |written: &Written| if self.redacted { Vec::new() } else { tail(written) };
        match ended {
            None => Err(failure(Cause::TimedOut, tail(&written))),
            Some(Err(error)) => Err(failure(Cause::Read(error), Vec::new())),
            Some(Ok(Ended { status, is_held_open })) => {
                group.0 = None;
                if is_held_open {
                    run.report.warn(format!("`{name}` ended, and left a process behind that holds its output open"));
                }
                tracing::debug!(program = %self.program.display(), %status, "end");
                if status.success() {
                    return Ok(written);
                }
                let text = written.stderr.iter().rev().find(|line| !line.trim().is_empty());
                let last_line = text.map(|line| plain(line));
                Err(failure(Cause::Exit { status, last_line }, tail(&written)))
            }
        }
    }
}

/// The end of a child process.
struct Ended {
    status: ExitStatus,
    /// True if a process that it left behind still holds its output open.
    is_held_open: bool,
}

/// Reads the output of a child until both have ended. A process that it left behind may hold the output open for ever, so
/// after the child's end the wait is short.
async fn read_output(child: &mut Child, written: &mut Written, mut line: impl FnMut(&str)) -> io::Result<Ended> {
    let mut stdout = child.stdout.take().map(Lines::of);
    let mut stderr = child.stderr.take().map(Lines::of);
    let mut status = None;
    let mut last = Deadline::fixed(CHILD_OUTPUT);
    while stdout.is_some() || stderr.is_some() {
        let (text, kept) = tokio::select! {
            biased;
            text = next(&mut stdout) => (text?, &mut written.stdout),
            text = next(&mut stderr) => (text?, &mut written.stderr),
            ended = child.wait(), if status.is_none() => {
                status = Some(ended?);
                last = Deadline::fixed(CHILD_OUTPUT);
                continue;
            }
            () = last.passed(), if status.is_some() => break,
        };
        if let Some(text) = text {
            line(&text);
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(text);
        }
    }
    let is_held_open = stdout.is_some() || stderr.is_some();
    let status = match status {
        Some(status) => status,
        None => child.wait().await?,
    };
    Ok(Ended { status, is_held_open })
}

/// A stream by lines. Of a line without an end only the beginning is kept; what is not UTF-8 is marked as such.
struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn of(stream: R) -> Self {
        Self { from: BufReader::new(stream), line: Vec::new() }
    }

    /// The next line; none at the end. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            let read = self.from.fill_buf().await?;
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let (used, ended) = (part.len() + usize::from(end.is_some()), end.is_some() || read.is_empty());
            self.from.consume(used);
            if ended {
                let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
                let is_last = used == 0;
                self.line.clear();
                return Ok(if is_last && line.is_empty() { None } else { Some(line) });
            }
        }
    }
}

/// The stream's next line; at its end the stream is taken away, and one that was taken away never answers.
async fn next<R: AsyncRead + Unpin>(stream: &mut Option<Lines<R>>) -> std::io::Result<Option<String>> {
    let Some(open) = stream else { return std::future::pending().await };
    let text = open.next().await?;
    if text.is_none() {
        *stream = None;
    }
    Ok(text)
}

fn tail(written: &Written) -> Vec<String> {
    let all: Vec<String> = written.stdout.iter().chain(&written.stderr).map(|line| plain(line)).collect();
    all[all.len().saturating_sub(TAIL)..].to_vec()
}

/// The path of a program, where the variable `PATH` leads to one.
#[must_use]
pub fn find(program: &str, variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    which::which_in(program, variables.get("PATH"), "/").ok()
}

/// Runs a program to its end in the place of this one: with its streams, its terminal and its environment, to which `env`
/// is added. Its exit code, or 128 and the number of the signal that ended it. A Ctrl-C reaches it as it reaches us, and
/// when the future is dropped it is asked to end.
///
/// # Errors
/// [`Reason::Usage`]: it cannot be started.
pub async fn foreground(program: &Path, args: &[String], env: &[(&str, &OsStr)]) -> Result<u8, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Reason::Usage, "cannot run the program").on(program.display()).because_of(&error)
    };
    let mut child = Command::new(program).args(args).envs(env.iter().copied()).spawn().map_err(failed)?;
    let mut unless_ended = EndedWhenDropped(child.id());
    let status = child.wait().await;
    unless_ended.0 = None;
    let status = status.map_err(failed)?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A process that is asked to end when nobody waits for it any more.
struct EndedWhenDropped(Option<u32>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.into_iter().for_each(end);
    }
}

/// What a program answered.
pub struct Answer {
    /// Whether its exit code is zero.
    pub is_success: bool,
    /// Its standard output, which may be a secret.
    pub stdout: Vec<u8>,
}

/// The answer of a program on the `PATH` of its environment that gets a question on standard input. Nothing of it is told
/// or kept. Dropping the future kills it and its children.
///
/// # Errors
/// The program cannot be found, started or read.
pub async fn ask(program: &str, arg: &str, env: &BTreeMap<String, String>, question: &str) -> io::Result<Answer> {
    let absent = || io::Error::new(io::ErrorKind::NotFound, "it is not on the PATH");
    let path = find(program, env).ok_or_else(absent)?;
    let mut child = Command::new(path)
        .arg(arg)
        .env_clear()
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    if let Some(mut stdin) = child.stdin.take() {
        // One that knows the answer without the question may have ended.
        let _ = stdin.write_all(question.as_bytes()).await;
    }
    let mut written = Written::default();
    let Ended { status, .. } = read_output(&mut child, &mut written, |_| ()).await?;
    group.0 = None;
    Ok(Answer { is_success: status.success(), stdout: written.stdout.join("\n").into_bytes() })
}

/// A process that outlives this one.
#[derive(Debug)]
pub struct Detached(std::process::Child);

/// Starts a program that outlives this one, with an empty environment, in the root folder; its output goes to a new
/// file `log`, which its owner alone may read. It has to call [`leave_session`] itself.
///
/// # Errors
/// The file cannot be written, or the program not be started.
pub fn detach(program: &Path, args: &[&OsStr], log: &Path) -> io::Result<Detached> {
    let log = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(log)?;
    let mut command = std::process::Command::new(program);
    command.args(args).env_clear().current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().map(Detached)
}

/// Starts a program that outlives this one, here and with this environment; its output goes to the end of the file `log`,
/// which its owner alone may read. The terminal's Ctrl-C does not reach it.
///
/// # Errors
/// The file cannot be written, or the program not be started.
pub fn leave_behind(program: &Path, args: &[OsString], log: &Path) -> io::Result<()> {
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    command.spawn().map(drop)
}

/// Starts a program that may stay, such as what opens a browser, with one argument; without our streams, and out of reach of
/// the terminal's Ctrl-C. Its exit code, where it ends within a moment.
///
/// # Errors
/// It cannot be started.
pub async fn leave_open(program: &Path, arg: &str) -> io::Result<Option<i32>> {
    let mut command = Command::new(program);
    command.arg(arg).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    match Deadline::fixed(BROWSER_START).limit(child.wait()).await {
        None => Ok(None),
        Some(status) => status.map(|status| Some(status.code().unwrap_or(1))),
    }
}

impl Detached {
    /// The exit status, such as `exit status: 1`; none while it runs.
    ///
    /// # Errors
    /// The system's own.
    pub fn ended(&mut self) -> io::Result<Option<String>> {
        Ok(self.0.try_wait()?.map(|status| status.to_string()))
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Replaces this process by `program`, which has its streams and its environment without these variables. The first of
/// `args` is the name that it is called by. Returns where that fails, with why.
pub fn replace(program: &Path, mut args: impl Iterator<Item = OsString>, without: &[OsString]) -> io::Error {
    let mut command = std::process::Command::new(program);
    command.arg0(args.next().unwrap_or_default()).args(args);
    for variable in without {
        command.env_remove(variable);
    }
    command.exec()
}

/// Starts a new session, so that the terminal's end and its Ctrl-C do not reach this process.
pub fn leave_session() {
    let _ = setsid();
}

/// Asks a process to end (SIGTERM).
pub fn end(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Ends a process at once (SIGKILL).
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// True if there is a process with this id, of any user.
#[must_use]
pub fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::report::{Event, Reporter};

    fn run(budget: Duration) -> Run {
        let (report, _) = Reporter::channel();
        Run { report, deadline: Deadline::after(budget), cancel: CancellationToken::new() }
    }

    fn shell(env: &[(&str, &str)]) -> Tool {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Tool::new("/bin/sh", env)
    }

    fn script(text: &str) -> Vec<String> {
        vec!["-c".to_owned(), text.to_owned()]
    }

    #[tokio::test]
    async fn both_streams_are_heard_and_only_the_given_variables_are_seen() {
        let mut lines = Vec::new();
        let args = script("echo out $GIVEN $CARGO_PKG_NAME; echo err >&2");
        let tool = shell(&[("GIVEN", "1")]);
        let written = tool.run(&args, &run(Duration::from_secs(20)), |line| lines.push(line.to_owned())).await;
        let written = written.expect("success");
        assert_eq!((written.stdout, written.stderr), (vec!["out 1".to_owned()], vec!["err".to_owned()]));
        lines.sort();
        assert_eq!(lines, ["err", "out 1"]);
    }

    #[tokio::test]
    async fn a_failure_ends_with_the_last_line_of_standard_error() {
        let args = script("printf '\\033[31mFATA\\033[0m no room\\n' >&2; exit 3");
        let failure = shell(&[]).run(&args, &run(Duration::from_secs(20)), |_| ()).await.expect_err("exit 3");
        assert_eq!(failure.failure(Reason::K3d).causes, ["exit status: 3", "FATA no room"]);
    }

    #[tokio::test]
    async fn a_flood_is_heard_to_its_end_and_its_newest_lines_are_kept() {
        let run = run(Duration::from_secs(60));
        let mut forwarded = 0;
        let args = script("i=0; while [ $i -lt 6000 ]; do echo $i; i=$((i+1)); done");
        let written = shell(&[]).run(&args, &run, |_| forwarded += 1).await.expect("success");
        assert_eq!((written.stdout.len(), forwarded), (KEPT, FORWARDED));
        assert_eq!(written.stdout.last().map(String::as_str), Some("5999"));
        let lines = run.report.output_log();
        assert!(lines.len() < 6000 && lines.last().is_some_and(|(_, line)| line == "5999"), "{}", lines.len());
    }

    #[tokio::test]
    async fn a_line_without_an_end_or_of_other_bytes_fails_nothing_and_fills_nothing() {
        let args = script(r"head -c 3000000 /dev/zero | tr '\0' x; printf '\n\377\000b\r\n\nlast'");
        let written = shell(&[]).run(&args, &run(Duration::from_secs(60)), |_| ()).await.expect("success");
        let lines: Vec<_> = written.stdout.iter().map(String::as_str).collect();
        assert_eq!(lines, [&"x".repeat(LINE), "\u{fffd}\0b", "", "last"]);
    }

    #[tokio::test]
    async fn what_outlives_its_deadline_is_killed_with_its_children() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let args = script(&format!("sleep 60 & echo $! >{}; wait", file.path().display()));
        let failure = shell(&[]).run(&args, &run(Duration::from_millis(300)), |_| ()).await.expect_err("deadline");
        assert!(matches!(failure.cause, Cause::TimedOut), "{failure:?}");
        let child = std::fs::read_to_string(file.path()).expect("pid");
        let stat = Path::new("/proc").join(child.trim()).join("stat");
        let gone = async {
            // A killed orphan may stay a zombie until somebody reaps it.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        Deadline::fixed(Duration::from_secs(5)).limit(gone).await.expect("the child ends too");
    }

    #[tokio::test]
    async fn a_child_that_leaves_a_process_behind_has_ended() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let args = script(&format!("sleep 60 & echo $! >{}; echo done", file.path().display()));
        let (report, mut events) = Reporter::channel();
        let run = Run { report, ..run(Duration::from_secs(20)) };
        let written = shell(&[]).run(&args, &run, |_| ()).await.expect("success");
        let left = std::fs::read_to_string(file.path()).expect("pid").trim().parse().expect("a number");
        kill(left);
        assert_eq!(written.stdout, ["done"]);
        let Ok(Event::Warning { message }) = events.try_recv() else { panic!("no warning") };
        assert_eq!(message, "`sh` ended, and left a process behind that holds its output open");
    }
}
