//! A Docker daemon that goes wrong: a socket between the binary and the real daemon, which hands on what it is asked
//! until a request comes that something was said about.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

const LOOK: Duration = Duration::from_millis(5);
const HEAD_LIMIT: usize = 1 << 20;

/// What comes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Mishap {
    /// This status, with this message as Docker's.
    Refused(u16, &'static str),
    /// This status, with this body.
    Answer(u16, String),
    /// The answer, which is JSON, with this done to it.
    Changed(fn(&mut Value)),
    /// No answer, ever.
    Silence,
    /// An answer this much later.
    Late(Duration),
    /// The connection breaks once this many bytes of the answer have come.
    Broken(usize),
    /// The daemon ends, and every connection with it: nothing listens any more.
    Dies,
}

/// A daemon that goes wrong. It ends with this value.
pub(crate) struct Daemon {
    shared: Arc<Shared>,
}

struct Shared {
    real: PathBuf,
    socket: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mishaps: Vec<(&'static str, usize, Mishap)>,
    asked: Vec<String>,
    open: Vec<UnixStream>,
    /// Which life it is in; none while it is dead.
    life: Option<u64>,
}

impl Daemon {
    /// Before the daemon at `real`, on a socket of its own.
    ///
    /// # Panics
    /// When the real one does not listen on a socket.
    pub(crate) fn before(real: &str, socket: PathBuf) -> Self {
        let real = real.strip_prefix("unix://").expect("a daemon behind a socket").into();
        let daemon = Self { shared: Arc::new(Shared { real, socket, state: Mutex::default() }) };
        daemon.live();
        daemon
    }

    /// What `DOCKER_HOST` takes.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.shared.socket.display())
    }

    /// Says what comes of every request whose `METHOD /path?query` contains `what`; the API's version is not in it.
    pub(crate) fn always(&self, what: &'static str, mishap: Mishap) {
        self.shared.lock().mishaps.push((what, usize::MAX, mishap));
    }

    /// The same, of the next one only.
    pub(crate) fn once(&self, what: &'static str, mishap: Mishap) {
        self.shared.lock().mishaps.push((what, 1, mishap));
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.lock().asked.clone()
    }

    /// Starts it again, with nothing said about any request.
    pub(crate) fn recovers(&self) {
        self.shared.die();
        self.shared.lock().mishaps.clear();
        self.live();
    }

    fn live(&self) {
        let shared = Arc::clone(&self.shared);
        let _ = std::fs::remove_file(&shared.socket);
        let listener = UnixListener::bind(&shared.socket).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let life = {
            let mut state = shared.lock();
            let life = u64::try_from(state.asked.len()).expect("a count") + 1;
            state.life = Some(life);
            life
        };
        std::thread::spawn(move || {
            while shared.lock().life == Some(life) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).expect("a socket");
                        let shared = Arc::clone(&shared);
                        std::thread::spawn(move || shared.serve(stream));
                    }
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shared.die();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn die(&self) {
        let mut state = self.lock();
        state.life = None;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// One request: a connection is closed after it, so that each is seen.
    fn serve(&self, mut client: UnixStream) {
        self.lock().open.extend(client.try_clone());
        let Some(head) = head(&mut client) else { return };
        let request = request(&head);
        match self.mishap(&request) {
            Some(Mishap::Refused(status, message)) => {
                answer(&mut client, status, &json!({"message": message}).to_string())
            }
            Some(Mishap::Answer(status, body)) => answer(&mut client, status, &body),
            Some(Mishap::Changed(change)) => self.change(client, &head, change),
            Some(Mishap::Silence) => {
                // Until the other side gives up.
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            }
            Some(Mishap::Late(time)) => {
                std::thread::sleep(time);
                self.hand_on(client, &head, usize::MAX);
            }
            Some(Mishap::Broken(after)) => self.hand_on(client, &head, after),
            Some(Mishap::Dies) => self.die(),
            None => self.hand_on(client, &head, usize::MAX),
        }
    }

    fn mishap(&self, request: &str) -> Option<Mishap> {
        let mut state = self.lock();
        state.asked.push(request.to_owned());
        let due = |(what, times, _): &&mut (&'static str, usize, Mishap)| *times > 0 && request.contains(*what);
        let (_, times, mishap) = state.mishaps.iter_mut().find(due)?;
        *times -= 1;
        Some(mishap.clone())
    }

    fn change(&self, mut client: UnixStream, head: &str, change: fn(&mut Value)) {
        let Ok(mut real) = UnixStream::connect(&self.real) else { return };
        self.lock().open.extend(real.try_clone());
        // Version 1.0 has the answer in one piece.
        let head = closing(head).replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1);
        let mut said = String::new();
        if real.write_all(head.as_bytes()).and_then(|()| real.read_to_string(&mut said)).is_err() {
            return;
        }
        let body = said.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let Ok(mut body) = serde_json::from_str(body) else { return };
        change(&mut body);
        answer(&mut client, 200, &body.to_string());
    }

    fn hand_on(&self, mut client: UnixStream, head: &str, limit: usize) {
        let Ok(mut real) = UnixStream::connect(&self.real) else { return };
        self.lock().open.extend(real.try_clone());
        if real.write_all(closing(head).as_bytes()).is_err() {
            return;
        }
        let (Ok(mut from), Ok(mut to)) = (client.try_clone(), real.try_clone()) else { return };
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut Read::by_ref(&mut real).take(limit as u64), &mut client);
        let _ = (client.shutdown(Shutdown::Both), real.shutdown(Shutdown::Both));
    }
}

/// A request's head, with the empty line after it.
fn head(client: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_LIMIT || client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// `METHOD /path?query`, without the version of the API.
fn request(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => format!("/{rest}"),
        None => path.to_owned(),
    };
    format!("{method} {path}")
}

/// The head, asking for the connection to be closed after the answer; one that asks for the connection itself stays.
fn closing(head: &str) -> String {
    let is = |line: &str, key: &str| line.to_ascii_lowercase().starts_with(key);
    if head.lines().any(|line| is(line, "upgrade:")) {
        return head.to_owned();
    }
    let kept: Vec<&str> = head.trim_end().split("\r\n").filter(|line| !is(line, "connection:")).collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}

fn answer(client: &mut UnixStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(body.as_bytes()));
    // What is still being sent is read, so that closing does not take the answer back.
    let _ = client.shutdown(Shutdown::Write);
    let _ = std::io::copy(client, &mut std::io::sink());
}
