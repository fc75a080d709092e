//! A run of the binary under way.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ran::Ran;

/// For any run of the binary.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(10);

/// A run of the binary under way.
pub(crate) struct Running {
    child: Child,
    shown: String,
    began: Instant,
    out: Heard,
    err: Heard,
}

impl Running {
    pub(crate) fn start(mut command: Command, args: &[&str]) -> Self {
        let mut child = command.spawn().expect("the binary");
        let out = Heard::from(child.stdout.take().expect("a pipe"));
        let err = Heard::from(child.stderr.take().expect("a pipe"));
        let shown: String = format!("sandbox {}", args.join(" ")).chars().take(200).collect();
        Self { child, shown, began: Instant::now(), out, err }
    }

    /// The same, with something to write to it.
    pub(crate) fn start_with(command: Command, args: &[&str], write: impl FnOnce(ChildStdin)) -> Self {
        let mut running = Self::start(command, args);
        write(running.child.stdin.take().expect("a pipe"));
        running
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("a process to signal");
    }

    /// Waits for something that the run does.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, seen: impl Fn() -> bool) {
        while !seen() {
            let ended = self.child.try_wait().expect("a child").is_some();
            assert!(!ended, "{} ended before {what}\n{}\n{}", self.shown, self.out.so_far(), self.err.so_far());
            assert!(self.began.elapsed() < PATIENCE, "{}: {what} did not come", self.shown);
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it has begun with a stage, as a run with `--output json` says.
    #[track_caller]
    pub(crate) fn until_stage(&mut self, stage: &str) {
        let line = format!("\"event\":\"stage-started\",\"stage\":\"{stage}\"");
        let text = Arc::clone(&self.out.text);
        self.until(&format!("stage {stage}"), || String::from_utf8_lossy(&text.lock().expect("text")).contains(&line));
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break Some(status);
            }
            if self.began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                break None;
            }
            std::thread::sleep(LOOK);
        };
        let (out, err) = (self.out.whole(), self.err.whole());
        println!(
            "{:>7.1} s  {} -> {:?}",
            self.began.elapsed().as_secs_f32(),
            self.shown,
            status.and_then(|status| status.code())
        );
        let Some(status) = status else { panic!("{} did not end\n{out}\n{err}", self.shown) };
        Ran { status, out, err }
    }
}

/// What a stream has said so far.
struct Heard {
    text: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Heard {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 1 << 16];
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                heard.lock().expect("text").extend_from_slice(&chunk[..length]);
            }
        });
        Self { text, thread }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("text")).into_owned()
    }

    fn whole(self) -> String {
        self.thread.join().expect("a reader");
        String::from_utf8_lossy(&self.text.lock().expect("text")).into_owned()
    }
}

/// The processes that were started as this program.
pub(crate) fn processes(program: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let called = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next().is_some_and(|first| first == program.as_os_str().as_bytes())
    };
    pids.filter(called).collect()
}
