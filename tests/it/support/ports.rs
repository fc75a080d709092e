//! Ports for a process that a test starts and that binds them itself, later.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

/// Below those that the system hands out on its own, and not those of a sandbox of the user's.
const RANGE: std::ops::Range<u16> = 12_000..28_000;

/// Free ports that no other test takes until this process ends, in ascending order. Whoever has the socket that is
/// called after a port has the port; an abstract one is gone with its process, however that ends.
pub(crate) fn reserve<const N: usize>() -> [u16; N] {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let mut reserved = RESERVED.lock().expect("no test panics here");
    let mut free = RANGE.filter_map(|port| {
        let mark = SocketAddr::from_abstract_name(format!("flyte-sandbox test port {port}")).expect("a short name");
        let mark = UnixListener::bind_addr(&mark).ok()?;
        TcpListener::bind(("0.0.0.0", port)).ok()?;
        reserved.push(mark);
        Some(port)
    });
    std::array::from_fn(|_| free.next().expect("a free port"))
}
