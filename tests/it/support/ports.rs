//! Ports for a process that a test starts and that binds them itself, later.

use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

/// Below those that the system hands out on its own, and not those of a sandbox of the user's.
const RANGE: std::ops::Range<u16> = 12_000..28_000;

/// Free ports that no other test takes until this process ends, in ascending order. Whoever has the UDP port of the
/// same number has the port: nothing listens there, and the system gives it back however the process ends.
pub(crate) fn reserve<const N: usize>() -> [u16; N] {
    static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let mut reserved = RESERVED.lock().expect("no test panics here");
    let mut free = RANGE.filter_map(|port| {
        let mark = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("0.0.0.0", port)).ok()?;
        reserved.push(mark);
        Some(port)
    });
    std::array::from_fn(|_| free.next().expect("a free port"))
}
