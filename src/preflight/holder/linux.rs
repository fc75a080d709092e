//! The process that uses a port, from `/proc`. Of other users' processes it knows the user.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;

use super::{PortUse, Process};

/// The state of a listening socket (`TCP_LISTEN` in the kernel's `tcp_states.h`).
const LISTENING: &str = "0A";

/// The local addresses that keep others from a port on 127.0.0.1: all, and that one, in both tables of `/proc`, whose
/// numbers have their lowest byte first.
const ADDRESSES: [&str; 4] =
    ["00000000", "0100007F", "00000000000000000000000000000000", "0000000000000000FFFF00000100007F"];

/// The use of a TCP port on 127.0.0.1: by a listener, or else by a connection.
pub(in crate::preflight) fn port_use(port: u16) -> Option<PortUse> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut sockets: Vec<Socket> = tables.iter().flat_map(|table| sockets(table, port)).collect();
    let listens = sockets.iter().any(|socket| socket.listens);
    sockets.retain(|socket| socket.listens == listens);
    let uid = sockets.first()?.uid;
    let links: HashSet<OsString> = sockets.iter().map(|socket| format!("socket:[{}]", socket.inode).into()).collect();
    Some(PortUse { listens, process: process(&links), uid })
}

/// The process that has one of these sockets open.
fn process(links: &HashSet<OsString>) -> Option<Process> {
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| links.contains(target.as_os_str()))
    })?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some(Process::new(pid, program(&line), &String::from_utf8_lossy(&line)))
}

/// The program's name in a command line of `/proc`. A program may have written its title there.
fn program(command_line: &[u8]) -> String {
    let first = command_line.split(|byte| *byte == 0 || *byte == b' ').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A TCP socket of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Socket {
    listens: bool,
    uid: u32,
    inode: String,
}

/// The sockets that have this port on 127.0.0.1. A line is `sl local_address rem_address st … uid timeout inode …`,
/// addresses in hexadecimal with the port behind a colon (proc(5)).
fn sockets(table: &str, port: u16) -> Vec<Socket> {
    let port = format!("{port:04X}");
    let is_ours = |local: &str| local.split_once(':').is_some_and(|(at, of)| ADDRESSES.contains(&at) && of == port);
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.filter(|words| words.len() > 9 && is_ours(words[1]));
    let socket = |words: Vec<&str>| {
        Some(Socket { listens: words[3] == LISTENING, uid: words[7].parse().ok()?, inode: words[9].to_owned() })
    };
    found.filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:7582 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n   1: 0100007F:7582 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";

    #[test]
    fn only_sockets_of_the_port_are_found() {
        let socket = |listens, inode: &str| Socket { listens, uid: 0, inode: inode.to_owned() };
        assert_eq!(sockets(TABLE, 0x7582), [socket(true, "4711"), socket(false, "4712")]);
        assert_eq!(sockets(TABLE, 80), [socket(true, "4713")]);
        // Others' addresses are free for a port of ours; all addresses are not.
        let table = |address: &str| TABLE.replace("0100007F:7582 00", &format!("{address}:7582 00"));
        for (address, found) in [
            ("0200007F", false),
            ("0101A8C0", false),
            ("00000000000000000000000001000000", false),
            ("00000000000000000000000000000000", true),
            ("0000000000000000FFFF00000100007F", true),
        ] {
            let listens = sockets(&table(address), 0x7582).iter().any(|socket| socket.listens);
            assert_eq!(listens, found, "{address}");
        }
        // The other end of a connection is not ours.
        assert!(sockets(TABLE, 0x9999).is_empty() && sockets("", 80).is_empty() && sockets("a b", 80).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_on_another_address_does_not_hold_the_port() {
        let ours = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = ours.local_addr().expect("address").port();
        drop(ours);
        for address in ["127.0.0.2", "::1"] {
            // A machine may have no IPv6.
            let Ok(other) = std::net::TcpListener::bind((address, port)) else { continue };
            assert_eq!(port_use(port), None, "{other:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_named_for_a_port_it_listens_on() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        let found = port_use(port).expect("in use");
        let process = found.process.expect("this one");
        assert!(found.listens);
        assert_eq!(process.pid, std::process::id());
        assert!(!process.command.contains([' ', '/']), "arguments may have a password in them: {}", process.command);
    }

    #[test]
    fn a_process_is_its_program_and_nothing_that_it_was_told() {
        for (line, name) in [
            ("/usr/bin/docker-proxy\0-proto\0tcp\0", "docker-proxy"),
            ("mysql\0-pmiddle-name\0", "mysql"),
            ("nginx: master process nginx -g secret\0", "nginx:"),
            ("", ""),
        ] {
            assert_eq!(program(line.as_bytes()), name);
        }
    }
}
