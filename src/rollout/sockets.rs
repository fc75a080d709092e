//! The ports that a container listens on, as its kernel tells: where a probe is refused, the program may listen elsewhere.

use std::collections::BTreeSet;

use kube::Client;

use super::model::ContainerRef;
use crate::deadline::Deadline;
use crate::kubernetes::Container;
use crate::limits::FAILURE_LOG;

/// The state `LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";
const FILES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The TCP ports that programs in a container's pod listen on; none where that cannot be asked.
pub(super) async fn listening(client: &Client, container: &ContainerRef) -> BTreeSet<u16> {
    let ContainerRef { namespace, pod, container, .. } = container;
    let container = Container::of(client, namespace, pod, container);
    let mut table = Vec::new();
    let read = container.run(&["cat", FILES[0], FILES[1]], |bytes| {
        table.extend_from_slice(bytes);
        Ok(())
    });
    // Without IPv6 there is only one of the two files, and `cat` ends with an error after it.
    if let Some(Err(error)) = Deadline::fixed(FAILURE_LOG).limit(read).await {
        tracing::debug!(%error, pod, "its sockets are not known");
    }
    ports(&String::from_utf8_lossy(&table))
}

/// The ports of the rows that listen: `sl local_address rem_address st …`, in hexadecimal.
fn ports(table: &str) -> BTreeSet<u16> {
    let rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row.get(3) == Some(&LISTEN));
    listening.filter_map(|row| u16::from_str_radix(row[1].rsplit(':').next()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_rows_that_listen_are_told() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                       0: 00000000:1F99 00000000:0000 0A 00000000:00000000\n\
                       1: 0100007F:9C40 0100007F:1F99 01 00000000:00000000\n\
                       0: 00000000000000000000000000000000:280E 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(ports(table), BTreeSet::from([8089, 10254]));
        assert_eq!(ports("cat: not found"), BTreeSet::new());
    }
}
