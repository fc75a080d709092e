//! The forwarder of a virtual machine's ports, as Lima has it: `limactl`, which learns from the machine's daemon what is
//! published, listens for it on this machine, and passes on what arrives; and its other end, within the machine.
//!
//! Of a port that is taken it tells in its log alone, and a container starts and ends without it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at who connects.
const ACCEPT: Duration = Duration::from_millis(10);
const ANSWER: Duration = Duration::from_secs(2);

/// What a forwarder passes on, and what it does not.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Forwarding {
    /// The daemon's socket.
    pub(crate) docker: PathBuf,
    /// The socket of the other end.
    pub(crate) end: PathBuf,
    /// How much later than its container a port comes, and goes. Lima looks every three seconds, so this is the worst of it.
    pub(crate) late: Duration,
    /// Ports of containers that never arrive.
    pub(crate) ignored: Vec<u16>,
    /// Ports of this machine that it has for somebody else's containers.
    pub(crate) held: Vec<u16>,
}

/// `limactl FORWARDING`.
pub(super) fn here(args: &[String]) -> ExitCode {
    let told = args.first().and_then(|text| serde_json::from_str(text).ok());
    let forwarding: Forwarding = told.expect("what to pass on");
    let mut open: BTreeMap<u16, TcpListener> = BTreeMap::new();
    let mut due: BTreeMap<u16, Instant> = BTreeMap::new();
    loop {
        // A daemon that does not answer publishes nothing.
        let mut wanted = forwarding.published().unwrap_or_default();
        wanted.extend(&forwarding.held);
        let is_right =
            |port: u16, open: &BTreeMap<u16, TcpListener>| wanted.contains(&port) == open.contains_key(&port);
        due.retain(|port, _| !is_right(*port, &open));
        for port in wanted.iter().chain(&open.keys().copied().collect::<Vec<_>>()).copied() {
            if is_right(port, &open) || due.entry(port).or_insert_with(Instant::now).elapsed() < forwarding.late {
                continue;
            }
            if open.remove(&port).is_some() {
                continue;
            }
            match listen(port) {
                Ok(listener) => {
                    eprintln!("forwarding tcp: 127.0.0.1:{port}");
                    open.insert(port, listener);
                }
                Err(error) => {
                    eprintln!("failed to listen tcp: 127.0.0.1:{port}: {error}");
                    due.insert(port, Instant::now());
                }
            }
        }
        let looked = Instant::now();
        while looked.elapsed() < LOOK {
            for (port, listener) in &open {
                while let Ok((client, _)) = listener.accept() {
                    forwarding.pass_on(client, *port);
                }
            }
            std::thread::sleep(ACCEPT);
        }
    }
}

/// `standin-end SOCKET`, within the machine.
pub(super) fn there(args: &[String]) -> ExitCode {
    let listener = UnixListener::bind(Path::new(&args[0])).expect("a socket");
    for from in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let (mut from, mut port) = (from, [0; 2]);
            from.read_exact(&mut port)?;
            join(&TcpStream::connect((Ipv4Addr::LOCALHOST, u16::from_be_bytes(port)))?, &from)
        });
    }
    ExitCode::FAILURE
}

impl Forwarding {
    /// The ports of this machine that the daemon publishes for its containers.
    fn published(&self) -> io::Result<BTreeSet<u16>> {
        let mut daemon = UnixStream::connect(&self.docker)?;
        daemon.set_read_timeout(Some(ANSWER))?;
        // Version 1.0 has the answer in one piece.
        daemon.write_all(b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = String::new();
        daemon.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let containers: Vec<Value> = serde_json::from_str(body)?;
        let ports = containers.iter().flat_map(|container| container["Ports"].as_array().into_iter().flatten());
        let number = |port: &Value, key: &str| port[key].as_u64().and_then(|number| u16::try_from(number).ok());
        let arrives = |port: &&Value| !number(port, "PrivatePort").is_some_and(|inner| self.ignored.contains(&inner));
        Ok(ports.filter(arrives).filter_map(|port| number(port, "PublicPort")).collect())
    }

    /// As `ssh` does, it accepts what nobody may answer.
    fn pass_on(&self, client: TcpStream, port: u16) {
        let end = self.end.clone();
        std::thread::spawn(move || {
            let mut end = UnixStream::connect(end)?;
            end.write_all(&port.to_be_bytes())?;
            join(&client, &end)
        });
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Copies both ways, each until its side has said all.
fn join(tcp: &TcpStream, unix: &UnixStream) -> io::Result<()> {
    let (mut from_tcp, mut to_unix) = (tcp.try_clone()?, unix.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_tcp, &mut to_unix);
        let _ = to_unix.shutdown(Shutdown::Write);
    });
    let (mut from_unix, mut to_tcp) = (unix, tcp);
    io::copy(&mut from_unix, &mut to_tcp)?;
    tcp.shutdown(Shutdown::Write)
}
