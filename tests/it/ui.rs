//! The page of this machine's sandboxes, as the real binary serves it for a rehearsal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::machine::Machine;
use crate::support::wait::wait_for;

/// `sandbox ui` under way.
struct Served {
    child: Child,
    port: u16,
    /// `/TOKEN/`.
    root: String,
}

impl Served {
    fn on(machine: &Machine) -> Self {
        let mut command = machine.command();
        command.args(["ui", "-o", "json"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut text = String::new();
        while !text.contains('}') {
            assert!(out.read_line(&mut text).expect("text") > 0, "{text}");
        }
        let told: Value = serde_json::from_str(&text).expect("JSON");
        let url = told["url"].as_str().expect("a URL");
        let (port, root) = url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/')).expect("local");
        Self { child, port: port.parse().expect("a port"), root: format!("/{root}") }
    }

    /// The answer to a request, head and body, until it ends or has these words.
    fn ask(&self, method: &str, path: &str, host: &str, until: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
        let (mut seen, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut part).expect("an answer");
            seen.extend(&part[..read]);
            let text = String::from_utf8_lossy(&seen);
            if read == 0 || !until.is_empty() && text.contains(until) {
                return text.into_owned();
            }
        }
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", &format!("{}{path}", self.root), &format!("127.0.0.1:{}", self.port), "")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn the_page_is_for_who_has_its_url_and_is_only_read() {
    let machine = Machine::new();
    let served = Served::on(&machine);
    let (root, host) = (served.root.as_str(), format!("127.0.0.1:{}", served.port));
    let empty = served.get("");
    assert_eq!(status(&empty), "200", "{empty}");
    for header in [
        "content-security-policy: default-src 'none'",
        "script-src 'nonce-",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
    ] {
        assert!(empty.contains(header), "{header}: {empty}");
    }
    let wrong = format!("{}0/", &root[..root.len() - 2]);
    for (method, path, host, expected) in [
        ("GET", "/", host.as_str(), "404"),
        ("GET", &wrong, &host, "404"),
        ("POST", &wrong, &host, "404"),
        ("POST", root, &host, "405"),
        ("PUT", &format!("{root}parts"), &host, "405"),
        ("GET", root, &format!("evil.example:{}", served.port), "403"),
        ("GET", &format!("{root}nothing"), &host, "404"),
        ("GET", &format!("{root}logs/..%2f../minio"), &host, "404"),
        ("GET", &format!("{root}follow/%2e%2e/minio"), &host, "404"),
        ("GET", &format!("{root}runs/..%2fmachine.key"), &host, "404"),
        ("HEAD", root, &format!("localhost:{}", served.port), "200"),
    ] {
        let answer = served.ask(method, path, host, "");
        let is_told = root.trim_matches('/');
        assert!(status(&answer) == expected && !answer.contains(is_told), "{method} {path} {host}: {answer}");
    }
}

#[test]
fn the_page_has_workloads_executions_links_logs_and_runs_and_ends_well_by_ctrl_c() {
    let machine = Machine::new();
    machine.up(&["--project", "x"]).exits(0);
    let mut served = Served::on(&machine);
    let page = wait_for("executions", || {
        let page = served.get("");
        page.contains("SUCCEEDED").then_some(page)
    });
    let console = machine.ports[0].replace("--port-console=", "http://127.0.0.1:");
    for words in [
        "A rehearsal: nothing of Flyte runs.",
        "deployment/flyteadmin",
        "✓ ready",
        "sandbox.smoke.wf",
        "project x, domain d-dev",
        &format!("href=\"{console}/console\""),
        &format!("href=\"{console}/console/projects/x/domains/d-dev/executions/"),
        "/minio/\"",
        "`sandbox credentials --name flyte` prints the keys",
        "href=\"logs/flyte/flytepropeller-x-d-dev\"",
        "sandbox up</a>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let run = page.split("href=\"runs/").nth(1).and_then(|rest| rest.split('"').next()).expect("a run");
    let run = served.get(&format!("runs/{run}"));
    assert!(status(&run) == "200" && run.contains("What took the time"), "{run}");
    assert_eq!(status(&served.get("logs/flyte/minio")), "200");
    let missing = served.get("follow/flyte/minoi");
    assert!(status(&missing) == "404" && missing.contains("did you mean `minio`?"), "{missing}");
    let host = format!("127.0.0.1:{}", served.port);
    let log = served.ask("GET", &format!("{}follow/flyte/minio", served.root), &host, "REHEARSAL: ");
    assert!(log.contains("content-type: text/plain"), "{log}");

    let pid = Pid::from_raw(i32::try_from(served.child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("sent");
    let ended = wait_for("it ends", || served.child.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(0), "this is how it ends");
}

#[test]
fn what_is_opened_is_printed_where_no_person_reads() {
    let machine = Machine::new();
    machine.run(&["open", "minio"]).exits(4);
    machine.up(&["--project", "x"]).exits(0);
    let at = |port: usize, name: &str| machine.ports[port].replace(&format!("--port-{name}="), "http://127.0.0.1:");
    assert_eq!(machine.run(&["open", "dashboard"]).exits(0).out(), format!("{}/\n", at(1, "dashboard")));
    let minio: Value =
        serde_json::from_str(&machine.run(&["open", "minio", "-o", "json"]).exits(0).out()).expect("JSON");
    assert_eq!(minio["url"], format!("{}/minio/", at(2, "minio")));
    assert_eq!(minio["credentials"], "`sandbox credentials --name flyte` prints the keys");
}
