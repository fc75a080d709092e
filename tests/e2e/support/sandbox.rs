//! One sandbox to drive, and the guard that leaves nothing of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flyte_sandbox::spec::COMPONENTS;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::docker::{self, docker, try_docker};
use super::ground::Ground;
use super::images;
use super::ran::Ran;
use crate::standin::{Failing, Part};

/// For any run of the binary.
const PATIENCE: Duration = Duration::from_secs(240);
/// Set to anything, it says that others make and remove things on this daemon while the tests run.
const SHARED: &str = "SANDBOX_E2E_SHARED";
const LOOK: Duration = Duration::from_millis(20);

/// A sandbox's surroundings: a home, a spec, a `PATH`, and things of others beside it that must not be touched.
pub(crate) struct Sandbox {
    pub(crate) name: String,
    pub(crate) ports: [u16; 3],
    pub(crate) ground: Ground,
    folder: TempDir,
    others: BTreeMap<String, String>,
    stores: Vec<String>,
}

impl Sandbox {
    /// With a name and ports of its own.
    pub(crate) fn new(name: &str, ground: &Ground) -> Self {
        let name = format!("e2e-{name}");
        docker::remove_belongings(&name);
        remove_bystanders(&name);
        let stores = docker::stores();
        let folder = tempfile::tempdir().expect("a folder");
        let mut sandbox =
            Self { ports: free_ports(), ground: ground.clone(), folder, others: BTreeMap::new(), stores, name };
        for folder in ["home", "state", "bin"] {
            std::fs::create_dir(sandbox.path(folder)).expect("a folder");
        }
        std::fs::write(sandbox.path("sandbox.yaml"), sandbox.spec()).expect("a file");
        match &ground.k3d {
            Some(k3d) => std::os::unix::fs::symlink(k3d, sandbox.path("bin/k3d")).expect("a link"),
            None => sandbox.play(Failing::No),
        }
        std::os::unix::fs::symlink(docker::program(), sandbox.path("bin/docker")).expect("a link");
        sandbox.add_bystanders();
        sandbox.others = docker::others(&sandbox.name);
        sandbox
    }

    /// Puts a stand-in of k3d in the place of whichever is there.
    pub(crate) fn play(&self, failing: Failing) {
        assert!(!self.ground.is_real(), "only a stand-in can be told to fail");
        let link = self.path("bin/k3d");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(std::env::current_exe().expect("this program"), link).expect("a link");
        Part { version: self.ground.major.version().to_owned(), failing }.write(&self.path("bin"));
    }

    fn spec(&self) -> String {
        let [console, dashboard, minio] = self.ports;
        let name = &self.name;
        let mut text = format!("name: {name}\nports: {{console: {console}, dashboard: {dashboard}, minio: {minio}}}\n");
        if !self.ground.is_real() {
            text.push_str("images:\n");
            text.extend(COMPONENTS.iter().map(|component| format!("  {component}: {}\n", images::name(component))));
        }
        text
    }

    /// A path in the test's own folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn node(&self) -> String {
        format!("k3d-{}-server-0", self.name)
    }

    /// The node container's id.
    pub(crate) fn node_id(&self) -> String {
        docker(&["inspect", "--format", "{{.Id}}", &self.node()])
    }

    /// The binary, with nothing of this process's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]);
        command
            .args(args)
            .env_clear()
            .env("PATH", path.expect("a PATH"))
            .env("HOME", self.path("home"))
            .env("SANDBOX_STATE_DIR", self.path("state"))
            .env("DOCKER_HOST", &self.ground.docker_host)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.start(args).end()
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), args)
    }

    /// `up` and its flags. A store made of stand-ins would only take the place of a real one.
    pub(crate) fn up(&self, more: &[&str]) -> Ran {
        self.run(&self.up_args(more))
    }

    pub(crate) fn up_args<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["up", "--output", "json"];
        if !self.ground.is_real() {
            args.push("--no-cache");
        }
        args.extend(more);
        args
    }

    /// Holds that nothing of the sandbox is left, on the daemon or in its folder, and that nothing else was touched.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!(docker::belongings(&self.name), Vec::<String>::new());
        self.assert_others_untouched();
        let left = std::fs::read_dir(self.path("state")).expect("the state folder").flatten();
        let left = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // Locks of the image stores and the key belong to the machine; the evidence of failures is kept for the user.
        let left: Vec<_> = left
            .filter(|name| !name.starts_with("sandbox-store-") && !["failures", "machine.key"].contains(&name.as_str()))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "left in the state folder");
        assert!(
            !self.path("home/.kube").exists() && !self.path("home/.k3d").exists(),
            "the user's home was written to"
        );
    }

    #[track_caller]
    pub(crate) fn assert_others_untouched(&self) {
        let now = docker::others(&self.name);
        // Where others use the daemon too, only what was put there to look like this sandbox's own is held.
        let shared = std::env::var_os(SHARED).is_some();
        let bystander = format!("k3d-{}-other", self.name);
        let held = self.others.iter().filter(|(key, _)| !shared || key.contains(&bystander));
        let changed: Vec<_> = held.filter(|(key, what)| now.get(*key) != Some(what)).collect();
        assert!(changed.is_empty(), "not this sandbox's, and changed or gone: {changed:?}");
    }

    /// Things of others that look like this sandbox's.
    fn add_bystanders(&self) {
        let image = match self.ground.is_real() {
            true => docker(&["image", "ls", "--quiet"]).lines().next().expect("an image").to_owned(),
            false => images::name("k3s"),
        };
        let other = format!("{}-other", self.name);
        let label = format!("k3d.cluster={other}");
        docker(&[
            "create",
            "--name",
            &format!("k3d-{other}-server-0"),
            "--label",
            &label,
            "--label",
            "app=k3d",
            &image,
            "x",
        ]);
        docker(&["network", "create", "--label", "app=k3d", &format!("k3d-{other}")]);
        docker(&["volume", "create", "--label", &label, &format!("k3d-{other}-images")]);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        docker::remove_belongings(&self.name);
        remove_bystanders(&self.name);
        if !self.ground.is_real() {
            for store in docker::stores().iter().filter(|store| !self.stores.contains(store)) {
                let _ = try_docker(&["volume", "rm", store]);
            }
        }
    }
}

fn remove_bystanders(name: &str) {
    docker::remove_belongings(&format!("{name}-other"));
}

/// Three ports that are free now, far from those of a sandbox of the user's.
fn free_ports() -> [u16; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 20_000).expect("less than 20000");
    let candidates = std::iter::repeat_with(|| 33_000 + (seed + NEXT.fetch_add(7, Ordering::Relaxed)) % 20_000);
    let mut free = candidates.take(2000).filter(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok());
    let mut next = || free.next().expect("a free port");
    let mut ports = [next(), next(), next()];
    ports.sort_unstable();
    ports
}

/// A run of the binary under way.
pub(crate) struct Running {
    child: Child,
    shown: String,
    began: Instant,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command, args: &[&str]) -> Self {
        let mut child = command.spawn().expect("the binary");
        let out = child.stdout.take().map(read);
        let err = child.stderr.take().map(read);
        Self { child, shown: format!("sandbox {}", args.join(" ")), began: Instant::now(), out, err }
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
            assert!(self.child.try_wait().expect("a child").is_none(), "{} ended before {what}", self.shown);
            assert!(self.began.elapsed() < PATIENCE, "{}: {what} did not come", self.shown);
            std::thread::sleep(LOOK);
        }
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
        let text =
            |reader: Option<JoinHandle<String>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        let (out, err) = (text(self.out.take()), text(self.err.take()));
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

fn read(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Whether a container of this name runs.
pub(crate) fn is_running(container: &str) -> bool {
    try_docker(&["inspect", "--format", "{{.State.Running}}", container]).is_ok_and(|state| state == "true")
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
