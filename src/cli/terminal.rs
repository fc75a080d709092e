//! The terminal that a command runs on.

use std::io::{self, IsTerminal};

use futures::channel::mpsc::{Receiver, channel};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// A terminal whose keys are passed on as they are, Ctrl-C too; as it was before when dropped.
#[derive(Debug)]
pub(super) struct RawTerminal(Termios);

impl RawTerminal {
    /// The terminal of this process, where its input and its output are one.
    pub(super) fn take() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }

    /// Whether something other than a keyboard may be read: `/dev/null` has nothing.
    pub(super) fn has_input() -> bool {
        let stdin = rustix::fs::fstat(io::stdin());
        !stdin.is_ok_and(|stdin| rustix::fs::FileType::from_raw_mode(stdin.st_mode).is_char_device())
    }

    /// Its width and height, now and whenever they change.
    pub(super) fn sizes(&self) -> Receiver<(u16, u16)> {
        let (mut sender, sizes) = channel(1);
        tokio::spawn(async move {
            let mut changes = signal(SignalKind::window_change()).ok();
            loop {
                let Ok(size) = tcgetwinsize(io::stdout()) else { return };
                if futures::SinkExt::send(&mut sender, (size.ws_col, size.ws_row)).await.is_err() {
                    return;
                }
                let Some(changes) = &mut changes else { return };
                changes.recv().await;
            }
        });
        sizes
    }
}

/// Whether a person reads standard output.
pub(super) fn prints_to_terminal() -> bool {
    io::stdout().is_terminal()
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
