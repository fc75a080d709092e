//! A Docker daemon in a virtual machine, played: a second dockerd in namespaces of its own, so that what it publishes on
//! loopback is not this machine's, with all its files in a folder; and the forwarder that brings its ports here.
//!
//! Its processes have a process namespace and its mounts a mount namespace, so that the kernel takes all of them away with
//! the first process, also where this program is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::docker::try_docker;
use super::images;
use crate::standin::{FAR_END, FORWARDER, Forwarding};

/// What it takes, beside root.
const PROGRAMS: [&str; 7] = ["docker", "dockerd", "ip", "mount", "setpriv", "sh", "unshare"];
/// With namespaces of its own.
const APART: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// Takes the far end, its socket, and dockerd's arguments. A containerd of this machine must not be found, and nothing that
/// is written for it here must stay.
const START: &str = r#"set -e
ip link set lo up
mkdir -p /run/containerd
mount -t tmpfs none /run/containerd
"$1" "$2" &
shift 2
exec dockerd "$@""#;
/// How a machine's containers are run, where that is not the usual way.
const SETTINGS: &str = "/etc/docker/daemon.json";
const CGROUPS: &str = "/sys/fs/cgroup";
/// Before the process id of whose machine it is, in the names of folders and groups.
const MARK: &str = "sandbox-vm-";

const STARTED: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// A daemon in a machine of its own. It ends with this value, and leaves nothing.
pub(crate) struct Vm {
    process: Child,
    /// What the processes within are known by.
    namespace: Option<PathBuf>,
    /// The group of its containers, in all hierarchies.
    group: String,
    folder: TempDir,
}

/// What listens here for a machine's ports. It ends with this value.
pub(crate) struct Forwarder {
    process: Child,
    log: NamedTempFile,
}

impl Vm {
    /// With the stand-ins' images. Where this machine cannot play one, the reason.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn start(name: &str) -> Result<Self, String> {
        possible()?;
        let began = Instant::now();
        sweep();
        let mark = format!("{MARK}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&mark).tempdir().expect("a folder");
        let path = |inner: &str| folder.path().join(inner);
        for link in [FORWARDER, FAR_END] {
            symlink(std::env::current_exe().expect("this program"), path(link)).expect("a link");
        }
        std::fs::write(path("daemon.json"), settings().to_string()).expect("a file");
        let group = format!("{mark}{name}");
        let option = |name: &str, value: &OsStr| {
            let mut option = std::ffi::OsString::from(format!("--{name}="));
            option.push(value);
            option
        };
        let mut socket = std::ffi::OsString::from("unix://");
        socket.push(path("docker.sock"));
        let log = File::create(path("dockerd.log")).expect("a file");
        let mut start = bound(OsStr::new("unshare"));
        start.args(APART).args(["sh", "-c", START, "sh"]).arg(path(FAR_END)).arg(path("end.sock"));
        start
            .arg(option("host", &socket))
            .arg(option("config-file", path("daemon.json").as_os_str()))
            .arg(option("data-root", path("data").as_os_str()))
            .arg(option("exec-root", path("run").as_os_str()))
            .arg(option("pidfile", path("pid").as_os_str()))
            .arg(option("cgroup-parent", OsStr::new(&format!("/{group}"))))
            // systemd's driver asks this machine's systemd, which knows nothing of processes there.
            .arg("--exec-opt=native.cgroupdriver=cgroupfs");
        start.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let process = start.spawn().expect("setpriv");
        let mut vm = Self { process, namespace: None, group, folder };
        vm.until_it_answers(began);
        images::make_on(|args| vm.docker(args));
        println!("docker: {} (in a machine that is played), {:.1} s", vm.version(), began.elapsed().as_secs_f32());
        Ok(vm)
    }

    /// The daemon's address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    pub(crate) fn docker(&self, args: &[&str]) -> String {
        self.try_docker(args).unwrap_or_else(|why| panic!("docker {}: {why}", args.join(" ")))
    }

    /// All that is on its daemon, images and Docker's own networks aside.
    pub(crate) fn things(&self) -> Vec<String> {
        let listed: [&[&str]; 3] = [
            &["ps", "--all", "--format", "container {{.Names}}"],
            &["network", "ls", "--filter", "type=custom", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
        ];
        listed.iter().flat_map(|args| self.docker(args).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Starts to bring its ports here.
    pub(crate) fn forward(&self, forwarding: Forwarding) -> Forwarder {
        let forwarding = Forwarding { docker: self.path("docker.sock"), end: self.path("end.sock"), ..forwarding };
        let log = NamedTempFile::new_in(&self.folder).expect("a file");
        let mut start = bound(self.path(FORWARDER).as_os_str());
        start.arg(json!(forwarding).to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let process = start.stderr(log.reopen().expect("a file")).spawn().expect("setpriv");
        Forwarder { process, log }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        try_docker(&[&["--host", &self.host()], args].concat())
    }

    fn version(&self) -> String {
        self.docker(&["version", "--format", "{{.Server.Version}}"])
    }

    fn until_it_answers(&mut self, began: Instant) {
        let ask = ["version", "--format", "{{.Server.Version}}"];
        while let Err(why) = self.try_docker(&ask) {
            let ended = self.process.try_wait().expect("a child");
            if ended.is_some() || began.elapsed() > STARTED {
                let log = std::fs::read_to_string(self.path("dockerd.log")).unwrap_or_default();
                panic!("dockerd in namespaces of its own: {ended:?}, {why}\n{log}");
            }
            std::thread::sleep(LOOK);
        }
        // Of the first child, which is there by now.
        self.namespace = std::fs::read_link(format!("/proc/{}/ns/pid_for_children", self.process.id())).ok();
    }

    /// Whether a process within is still there.
    fn has_processes(&self) -> bool {
        let Some(namespace) = &self.namespace else { return false };
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| std::fs::read_link(entry.path().join("ns/pid")).ok()).any(|of| of == *namespace)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // The kernel kills the first process within with this one, and all others with that.
        let _ = (self.process.kill(), self.process.wait());
        let began = Instant::now();
        let groups = || hierarchies().map(|hierarchy| hierarchy.join(&self.group)).filter(|group| group.exists());
        while self.has_processes() || groups().any(|group| !remove_group(&group)) {
            if began.elapsed() > GONE {
                eprintln!("left of a machine that was played: {:?}", groups().collect::<Vec<_>>());
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Forwarder {
    /// Waits until its log has this in it.
    #[track_caller]
    pub(crate) fn until_it_logs(&self, what: &str) {
        let began = Instant::now();
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        while !log().contains(what) {
            assert!(began.elapsed() < STARTED, "the forwarder does not log {what:?}:\n{}", log());
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

/// Whether this machine can play one.
fn possible() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("this is not root".to_owned());
    }
    if let Some(absent) = PROGRAMS.iter().find(|program| which::which(program).is_err()) {
        return Err(format!("there is no {absent}"));
    }
    let tried = Command::new("unshare").args(APART).arg("true").output().map_err(|error| error.to_string())?;
    if tried.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()) }
}

/// A program that ends with this one, however that ends.
fn bound(program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// The settings of this machine's own daemon that say how a container is run.
fn settings() -> Value {
    let text = std::fs::read_to_string(SETTINGS).unwrap_or_default();
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    let kept = ["runtimes", "default-runtime"].into_iter().filter(|key| !all[key].is_null());
    kept.map(|key| (key.to_owned(), all[key].clone())).collect()
}

/// The places where groups are: one with cgroup v2, one for each controller with v1.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let inner = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    inner.chain([PathBuf::from(CGROUPS)])
}

/// Removes what a program that was killed left of its machine: files and groups without a process.
fn sweep() {
    for place in hierarchies().chain([std::env::temp_dir()]) {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(MARK)?.split_once('-')).map(|(pid, _)| pid);
            let is_gone = owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
            if is_gone && !remove_group(&entry.path()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Removes a group and those below it, which have no processes any more. Whether it could.
fn remove_group(group: &Path) -> bool {
    let inner = std::fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = inner.filter(|path| path.is_dir()).all(|path| remove_group(&path));
    all && std::fs::remove_dir(group).is_ok()
}
