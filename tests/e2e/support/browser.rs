//! A browser that reaches this machine and nothing else: a headless Chromium.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::sandbox::Sandbox;

/// What it is called, by Debian, by others, and by those who made it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const ONLY_HERE: &str = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
/// Milliseconds of the page's own clock, which stands still while something is loaded.
const PATIENCE: &str = "--virtual-time-budget=10000";

/// Holds that the console shows these projects to a browser without internet.
#[track_caller]
pub(crate) fn shows_projects(sandbox: &Sandbox, projects: &[&str]) {
    if !sandbox.ground.is_real() {
        return println!("NOT HERE: a console that draws anything; src/smoke/console.rs judges what its page loads");
    }
    let Some(browser) = find() else {
        return println!("NOT TRIED: the console in a browser; none of {} is here", PROGRAMS.join(", "));
    };
    println!("browser: {} (real)", browser.display());
    let (page, said) = open(&browser, &format!("http://127.0.0.1:{}/console", sandbox.ports[0]));
    assert!(!said.contains("is not defined"), "{said}");
    for project in projects {
        assert!(page.contains(&format!(">{project}<")), "no {project}\n{page}\n{said}");
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// What a page has become, and what it and the browser said.
fn open(browser: &Path, url: &str) -> (String, String) {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]);
    command.args([ONLY_HERE, PATIENCE, &format!("--user-data-dir={}", home.path().display()), url]);
    let output = command.env("HOME", home.path()).stdin(Stdio::null()).output().expect("a browser");
    let [page, said] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}: {said}", output.status);
    (page, said)
}
