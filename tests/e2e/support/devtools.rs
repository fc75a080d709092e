//! Chromium's DevTools protocol, through a pipe: a command, its answer, and what the page said meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The most that an answer may take; the slowest is of `axe-core`, for the longest page.
const PATIENCE: Duration = Duration::from_secs(60);
/// The port of `discard`.
const NOWHERE: &str = "--proxy-server=http://127.0.0.1:9";
/// Chromium reads from the third and writes to the fourth descriptor.
const ON_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// A headless Chromium with one window.
pub(crate) struct DevTools {
    chromium: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    session: Option<String>,
    commands: u64,
    events: Vec<Value>,
    home: TempDir,
}

impl DevTools {
    /// With an empty window, whose pages reach others by this proxy alone. What Chromium asks for by itself goes nowhere.
    pub(crate) fn start(program: &Path, proxy: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let log = std::fs::File::create(home.path().join("stderr")).expect("a file");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ON_PIPES]).arg(program).args(["--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--remote-debugging-pipe", &format!("--user-data-dir={}", home.path().display())]);
        command.args([NOWHERE, "--disable-background-networking", "--no-first-run", "--hide-scrollbars"]);
        command.env("HOME", home.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut chromium = command.spawn().expect("a browser");
        let (to, out) = (chromium.stdin.take(), chromium.stdout.take().expect("piped"));
        let (sender, from) = mpsc::channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { break };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut this = Self { chromium, to, from, session: None, commands: 0, events: Vec::new(), home };
        let profile = json!({"proxyServer": proxy, "proxyBypassList": "<-loopback>"});
        let profile = this.ask("Target.createBrowserContext", profile);
        let window = json!({"url": "about:blank", "browserContextId": profile["browserContextId"]});
        let target = this.ask("Target.createTarget", window);
        let attached = this.ask("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        this.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            this.ask(&format!("{domain}.enable"), json!({}));
        }
        this
    }

    /// The answer to a command.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        let sent = self.to.as_mut().expect("open until it is dropped").write_all(&text);
        assert!(sent.is_ok(), "{method}: {sent:?}\n{}", self.said());
        let answer = self.await_message(method, |message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// What a script in the page comes to.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Opens a page until all of it is loaded; the events since then.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) -> Vec<Value> {
        self.events.clear();
        self.ask("Page.navigate", json!({"url": url}));
        if !self.events.iter().any(is_loaded) {
            self.await_message(url, is_loaded);
        }
        // What the page does when it is loaded comes before this answer.
        self.evaluate("0");
        std::mem::take(&mut self.events)
    }

    #[track_caller]
    fn await_message(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(message) = self.from.recv_timeout(left) else {
                panic!("{what}: no answer of the browser within {PATIENCE:?}\n{:?}\n{}", self.events, self.said());
            };
            assert_ne!(message["method"], "Page.javascriptDialogOpening", "{what}: {message}");
            if is_it(&message) {
                return message;
            }
            if message["method"].is_string() {
                self.events.push(message);
            }
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr")).unwrap_or_default()
    }
}

fn is_loaded(message: &Value) -> bool {
    message["method"] == "Page.loadEventFired"
}

impl Drop for DevTools {
    fn drop(&mut self) {
        // It ends with its pipe, and takes its children with it.
        drop(self.to.take());
        while self.from.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
    }
}
