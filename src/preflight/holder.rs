//! The process that uses a port, and whether it listens for containers of some Docker. Linux tells by `/proc`, of other users'
//! processes the user alone; macOS tells of the user's own.

#[cfg(not(target_os = "macos"))]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(not(target_os = "macos"))]
pub(super) use linux::port_use;
#[cfg(target_os = "macos")]
pub(super) use macos::port_use;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// The process id.
    pub(super) pid: u32,
    /// The program's name, without arguments, which may have a password.
    pub(super) command: String,
    /// Whose containers it listens for, if it does.
    pub(super) forwards: Option<Forwarder>,
}

/// Whose containers a process listens for. To end it would be to end that Docker, or its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forwarder {
    /// Docker Engine's, of this machine.
    Engine,
    /// Those of a product that has a virtual machine.
    Product {
        /// Its name.
        name: &'static str,
        /// The context of Docker's that it makes, where it is the same everywhere.
        context: Option<&'static str>,
    },
}

impl Process {
    fn new(pid: u32, command: String, said: &str) -> Self {
        let forwards = Forwarder::of(&command, said);
        Self { pid, command, forwards }
    }
}

impl Forwarder {
    /// By a program's name and what else is known of it, its path or its arguments.
    fn of(command: &str, said: &str) -> Option<Self> {
        let product = |name, context| Some(Self::Product { name, context });
        match command {
            "docker-proxy" | "rootlesskit" => Some(Self::Engine),
            "com.docker.backend"
            | "com.docker.backend.exe"
            | "com.docker.vpnkit"
            | "com.docker.vpnkit-bridge"
            | "vpnkit" => product("Docker Desktop", Some("desktop-linux")),
            "gvproxy" => product("Podman", None),
            "wslrelay.exe" => product("WSL", None),
            "limactl" => product("Lima", None),
            "ssh" if said.contains("/_lima/") || said.contains("/.lima/") => product("Lima", None),
            // `lsof` and the kernel cut it at 15 or 16 letters.
            _ if command.starts_with("OrbStack") => product("OrbStack", Some("orbstack")),
            _ => None,
        }
    }
}

/// The use of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortUse {
    /// True for a listening socket, false for one end of a connection.
    pub(super) listens: bool,
    /// The process, if it is visible.
    pub(super) process: Option<Process>,
    /// The socket's user id.
    pub(super) uid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_listens_for_containers_is_known_by_its_name() {
        for (command, said, whose) in [
            ("docker-proxy", "", Some("Docker Engine")),
            ("rootlesskit", "", Some("Docker Engine")),
            ("com.docker.backend", "", Some("Docker Desktop")),
            ("com.docker.backend.exe", "", Some("Docker Desktop")),
            ("vpnkit", "", Some("Docker Desktop")),
            ("limactl", "", Some("Lima")),
            ("ssh", "ssh: /Users/me/.colima/_lima/colima/ssh.sock [mux]", Some("Lima")),
            ("ssh", "/usr/bin/ssh\0-F\0/Users/me/.lima/docker/ssh.config\0", Some("Lima")),
            ("ssh", "/usr/bin/ssh\0-L\x0030081:127.0.0.1:30081\0build1\0", None),
            ("OrbStack Helper", "", Some("OrbStack")),
            ("OrbStack Helpe", "", Some("OrbStack")),
            ("gvproxy", "", Some("Podman")),
            ("wslrelay.exe", "", Some("WSL")),
            ("python3", "", None),
            ("docker", "", None),
        ] {
            let found = Process::new(1, command.to_owned(), said).forwards.map(|forwarder| match forwarder {
                Forwarder::Engine => "Docker Engine",
                Forwarder::Product { name, .. } => name,
            });
            assert_eq!(found, whose, "{command} {said}");
        }
    }
}
