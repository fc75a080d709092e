//! The input of a command in a container, in pieces that the container acknowledges.
//!
//! Before Kubernetes 1.30 the API has no way to say that an input has ended. And k3s has one tunnel to the node's kubelet:
//! input that no one takes fills it, and every other command and log ends with it. So input comes in pieces, each behind a
//! line with its size, 0 says that there is no more, and little is sent that the command has not taken.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Bytes of a piece.
pub(super) const PIECE: usize = 32 << 10;
/// Pieces on their way. containerd has two pipes of 64 KiB before the command's own, and a buffer of 32 KiB between them:
/// with these pieces they are not full.
const WINDOW: usize = 4;

/// Takes the pieces, and writes `$0` to standard error for each that the command has taken; `read` takes a byte at a time, and
/// so does not take from a piece. It stays until the command ends, so that its process id is its own, and ends by no signal:
/// in Postgres' pod a child that does is a crash to the server.
const FEED: &str = r#"sh -c '
    trap "exit 0" TERM
    trap "" PIPE
    echo $$
    while read -r size && [ "$size" -gt 0 ] && dd bs="$size" count=1 iflag=fullblock 2>/dev/null; do printf %s "$0" >&2; done
    exec >&-
    while read -r _; do :; done' "$0" |
{
    read -r feeder
    "$@"
    code=$?
    kill "$feeder" 2>/dev/null
    exit "$code"
}"#;

/// What is sent and not yet taken.
pub(super) struct Feed {
    taken: String,
    window: Semaphore,
}

impl Feed {
    pub(super) fn new() -> Self {
        // Nobody writes this by accident.
        let taken = format!("\u{1}taken-{:016x}\u{2}", RandomState::new().hash_one(()));
        Self { taken, window: Semaphore::new(WINDOW) }
    }

    /// The command that runs `command` and feeds it.
    pub(super) fn command<'a>(&'a self, command: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
        ["sh", "-c", FEED, self.taken.as_str()].into_iter().chain(command)
    }

    /// Writes these bytes as the container takes them; no bytes are the end of the input.
    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return to.write_all(b"0\n").await;
        }
        for piece in bytes.chunks(PIECE) {
            if let Ok(permit) = self.window.acquire().await {
                permit.forget();
            }
            to.write_all(format!("{}\n", piece.len()).as_bytes()).await?;
            to.write_all(piece).await?;
        }
        Ok(())
    }

    /// The command's standard error, without what is written there for pieces.
    pub(super) const fn errors(&self) -> Errors<'_> {
        Errors { feed: self, held: Vec::new() }
    }
}

/// A command's standard error, as it comes.
pub(super) struct Errors<'a> {
    feed: &'a Feed,
    /// What may be the begin of what is written for a piece.
    held: Vec<u8>,
}

impl Errors<'_> {
    /// What the command itself wrote.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let taken = self.feed.taken.as_bytes();
        let all = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
        let (mut own, mut rest) = (Vec::new(), all.as_slice());
        while let Some(at) = rest.iter().position(|byte| *byte == taken[0]) {
            own.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if let Some(behind) = rest.strip_prefix(taken) {
                self.feed.window.add_permits(1);
                rest = behind;
            } else if taken.starts_with(rest) {
                self.held = rest.to_vec();
                return own;
            } else {
                own.push(rest[0]);
                rest = &rest[1..];
            }
        }
        own.extend_from_slice(rest);
        own
    }

    /// What was held back.
    pub(super) fn end(self) -> Vec<u8> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::process::Command;

    use super::*;

    /// What the shell within the container makes of pieces, by a shell of this machine. The input stays open, as the
    /// connection does.
    async fn fed(input: &[u8], command: &[&str]) -> (Option<i32>, Vec<u8>, Vec<u8>) {
        let feed = Feed::new();
        let words: Vec<_> = feed.command(command.iter().copied()).collect();
        let mut shell = Command::new(words[0]);
        shell.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell");
        let (stdin, stdout, stderr) = (shell.stdin.take(), shell.stdout.take(), shell.stderr.take());
        let (mut stdin, mut stdout, mut stderr) =
            (stdin.expect("piped"), stdout.expect("piped"), stderr.expect("piped"));
        let write = async {
            let _ = feed.write(&mut stdin, input).await;
            let _ = feed.write(&mut stdin, b"").await;
            std::future::pending::<()>().await;
        };
        let (mut out, mut own, mut errors) = (Vec::new(), Vec::new(), feed.errors());
        let read = async {
            let mut bytes = [0; 100];
            loop {
                match stderr.read(&mut bytes).await.expect("read") {
                    0 => break,
                    count => own.extend(errors.take(&bytes[..count])),
                }
            }
            own.extend(errors.end());
        };
        let ended = async { tokio::join!(read, stdout.read_to_end(&mut out), shell.wait()).2.expect("ended").code() };
        let code = tokio::select! { code = ended => code, () = write => None };
        (code, out, own)
    }

    #[tokio::test]
    async fn an_input_arrives_byte_for_byte_and_ends_while_its_connection_stays_open() {
        let all: Vec<u8> = (0..200_000_u32).map(|byte| (byte % 251) as u8).collect();
        for input in [&b""[..], b"one\ntwo", b"0\n12\n\0\xff", &all] {
            assert_eq!(fed(input, &["cat"]).await, (Some(0), input.to_vec(), Vec::new()));
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_read_its_input_ends_with_its_own_code() {
        let all = vec![b'\n'; 1 << 20];
        for input in [&b"unread"[..], &all] {
            let command = ["sh", "-c", "echo out; echo err >&2; exit 3"];
            assert_eq!(fed(input, &command).await, (Some(3), b"out\n".to_vec(), b"err\n".to_vec()));
        }
        assert_eq!(fed(&all, &["head", "-c", "3"]).await, (Some(0), b"\n\n\n".to_vec(), Vec::new()));
        assert_eq!(fed(b"", &["printf", "%s", "a  b"]).await, (Some(0), b"a  b".to_vec(), Vec::new()));
    }

    #[tokio::test]
    async fn no_more_is_sent_than_the_pipes_of_the_container_hold() {
        let feed = Feed::new();
        let (mut to, mut from) = duplex(10 * PIECE);
        let write = async { feed.write(&mut to, &vec![7; 9 * PIECE]).await };
        tokio::select! {
            biased;
            _ = write => panic!("all is sent"),
            () = tokio::task::yield_now() => {}
        }
        to.shutdown().await.expect("ends");
        let mut sent = Vec::new();
        from.read_to_end(&mut sent).await.expect("read");
        assert_eq!(sent.iter().filter(|byte| **byte == 7).count(), WINDOW * PIECE);
    }

    proptest! {
        #[test]
        fn what_is_written_for_pieces_is_taken_out_however_it_is_cut(
            parts in prop::collection::vec(prop_oneof![Just(None), prop::collection::vec(0..3_u8, 0..5).prop_map(Some)], 0..9),
            cut in 1..40_usize,
        ) {
            let feed = Feed::new();
            let written: Vec<u8> =
                parts.iter().flat_map(|own| own.as_deref().unwrap_or(feed.taken.as_bytes()).to_vec()).collect();
            let (mut errors, mut own) = (feed.errors(), Vec::new());
            written.chunks(cut).for_each(|bytes| own.extend(errors.take(bytes)));
            own.extend(errors.end());
            prop_assert_eq!(own, parts.iter().flatten().flatten().copied().collect::<Vec<_>>());
            prop_assert_eq!(feed.window.available_permits(), WINDOW + parts.iter().filter(|own| own.is_none()).count());
        }
    }
}
