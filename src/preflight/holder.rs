//! Which process listens on a port, from `/proc`; elsewhere than on Linux, and of other users' processes, nothing.

use std::fs;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: u32,
    /// Its command line.
    pub(super) command: String,
}

impl Process {
    /// Whether it is the daemon's own, which listens for a container: the container is what is in the way.
    pub(super) fn is_dockers(&self) -> bool {
        let program = self.command.split(' ').next().unwrap_or_default();
        program.rsplit('/').next() == Some("docker-proxy")
    }
}

/// The process that listens on this TCP port of the host.
pub(super) fn listener(port: u16) -> Option<Process> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| inodes(table, port)).collect();
    if sockets.is_empty() {
        return None;
    }
    let links: Vec<String> = sockets.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    })?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Some(Process { pid, command: words.join(" ") })
}

/// Inodes of the sockets that listen on a port. A line is `sl local_address rem_address st … inode …`, addresses in
/// hexadecimal with the port behind a colon, state `0A` for listening (proc(5)).
fn inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = lines.filter(|words| words.len() > 9 && words[1].ends_with(&suffix) && words[3] == "0A");
    listening.map(|words| words[9].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:7582 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n   1: 0100007F:7582 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";

    #[test]
    fn only_listening_sockets_of_the_port_are_found() {
        assert_eq!(inodes(TABLE, 0x7582), ["4711"]);
        assert_eq!(inodes(TABLE, 80), ["4713"]);
        assert!(inodes(TABLE, 81).is_empty() && inodes("", 80).is_empty() && inodes("a b", 80).is_empty());
    }

    #[test]
    fn dockers_own_listener_is_told_from_others() {
        let process = |command: &str| Process { pid: 1, command: command.to_owned() };
        assert!(process("/usr/bin/docker-proxy -proto tcp -host-port 30084").is_dockers());
        assert!(!process("python3 docker-proxy").is_dockers() && !process("").is_dockers());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_named_for_a_port_it_listens_on() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        assert_eq!(listener(port).map(|process| process.pid), Some(std::process::id()));
    }
}
