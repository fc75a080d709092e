//! Images for stand-ins, made from this program by `docker import`; nothing is pulled. Their names are their own, so
//! that they are never taken for the real ones, and those of another build of this program are others.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use flyte_sandbox::spec::COMPONENTS;

use super::docker::{docker, try_docker};
use crate::standin::{NODE, TOOLS};

/// On every image that the tests of this checkout made, so that `scripts/lib.sh` finds them.
const LABEL: &str = concat!("sandbox.flyte/checkout=", env!("CARGO_MANIFEST_DIR"));
/// Set by nextest, which runs every test in a process of its own, several at a time.
const MANY_PROCESSES: &str = "NEXTEST";

/// The stand-in's image for a component; that of `k3s` is the node's.
pub(crate) fn name(component: &str) -> String {
    format!("sandbox-standin/{component}:{}", build())
}

/// Which build of this program it is.
fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let program = std::env::current_exe().and_then(std::fs::metadata).expect("this program");
        let written = program.modified().expect("a time").duration_since(SystemTime::UNIX_EPOCH).expect("a time");
        format!("e2e-{:x}-{:x}", written.as_millis(), program.len())
    })
}

static MADE: OnceLock<()> = OnceLock::new();

/// Makes them all, unless a process of this build has.
pub(crate) fn make() {
    MADE.get_or_init(|| {
        // The program itself is what all processes of a build have in common.
        let lock = File::open(std::env::current_exe().expect("this program")).expect("this program");
        lock.lock().expect("a lock");
        let there = docker(&["image", "ls", "--quiet", "--filter", &format!("reference={}", name("*"))]);
        if there.lines().count() >= COMPONENTS.len() {
            return;
        }
        make_on(docker);
    });
}

/// Makes them all on the daemon that is asked so.
pub(crate) fn make_on(docker: impl Fn(&[&str]) -> String) {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = folder.path().join("layer.tar");
    node_layer(&layer, folder.path());
    import(&docker, &layer, &name("k3s"), &[&format!("ENTRYPOINT [\"/bin/{NODE}\"]"), "ENV PATH=/bin"]);
    for component in COMPONENTS.iter().filter(|component| **component != "k3s") {
        let layer = folder.path().join(component);
        let mut archive = tar::Builder::new(File::create(&layer).expect("a file"));
        entry(&mut archive, &format!("standin-{component}"), b"", 0o644);
        archive.finish().expect("an archive");
        import(&docker, &layer, &name(component), &["CMD [\"/none\"]"]);
    }
}

/// Removes them all, if this process is the only one that uses them; where it is not, `scripts/test` does in the end.
pub(crate) fn remove() {
    if MADE.get().is_some() && std::env::var_os(MANY_PROCESSES).is_none() {
        for component in COMPONENTS {
            let _ = try_docker(&["image", "rm", "-f", &name(component)]);
        }
    }
}

fn import(docker: impl Fn(&[&str]) -> String, layer: &Path, image: &str, changes: &[&str]) {
    let layer = layer.to_string_lossy();
    let label = format!("LABEL {LABEL}");
    let mut args = vec!["import", "--change", &label];
    args.extend(changes.iter().flat_map(|change| ["--change", change]));
    args.extend([&*layer, image]);
    docker(&args);
}

fn entry(archive: &mut tar::Builder<File>, path: &str, content: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, path, content).expect("an entry");
}

/// This program, the libraries that it loads, and the folders that it writes to.
fn node_layer(layer: &Path, folder: &Path) {
    let program = stripped(folder);
    let mut archive = tar::Builder::new(File::create(layer).expect("a file"));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o777);
    header.set_size(0);
    for path in ["tmp", "run", "output", "var/lib/rancher/k3s/server", "var/lib/rancher/k3s/agent/containerd"] {
        archive.append_data(&mut header, path, std::io::empty()).expect("an entry");
    }
    entry(&mut archive, &format!("bin/{NODE}"), &std::fs::read(&program).expect("this program"), 0o755);
    for library in libraries(&program) {
        let inside = library.strip_prefix("/").expect("an absolute path");
        entry(&mut archive, &inside.to_string_lossy(), &std::fs::read(&library).expect("a library"), 0o755);
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    for tool in TOOLS {
        archive.append_link(&mut link, format!("bin/{tool}"), NODE).expect("an entry");
    }
    archive.finish().expect("an archive");
}

/// Without what only a debugger needs, where that can be taken away: most of the size.
fn stripped(folder: &Path) -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let small = folder.join("program");
    let done = Command::new("strip").arg("-o").arg(&small).arg(&program).stderr(Stdio::null()).status();
    if done.is_ok_and(|status| status.success()) { small } else { program }
}

/// From `ldd`: `name => /path (address)`, and the loader as `/path (address)`.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).collect()
}
