//! The process that uses a port, as macOS tells of the processes of the same user.

use listeners::{Listener, Protocol, SocketState};

use super::{PortUse, Process};

/// The use of a TCP port on 127.0.0.1: by a listener, or else by a connection. Only processes of this user are seen.
pub(in crate::preflight) fn port_use(port: u16) -> Option<PortUse> {
    let is_ours = |listener: &Listener| {
        let address = listener.socket.ip();
        let here = address.is_unspecified() || address.to_canonical() == std::net::Ipv4Addr::LOCALHOST;
        listener.protocol == Protocol::TCP && listener.socket.port() == port && here
    };
    let mut found: Vec<_> = listeners::get_all().ok()?.into_iter().filter(is_ours).collect();
    found.sort_by_key(|listener| listener.state != SocketState::Listen);
    let Listener { process, state, .. } = found.into_iter().next()?;
    Some(PortUse {
        listens: state == SocketState::Listen,
        process: Some(Process::new(process.pid, process.name, &process.path)),
        uid: rustix::process::getuid().as_raw(),
    })
}
