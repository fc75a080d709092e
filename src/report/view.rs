//! Views, and the loop that passes every event to all of them.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::event::Event;
use super::stall::Stalls;

/// The interval at which views may write without an event.
const TICK: Duration = Duration::from_secs(1);

/// A fold of the stream. Times are since the start of the run.
pub trait View: Send {
    /// Something happened.
    ///
    /// # Errors
    /// An error of the view's output; the view gets no more events.
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()>;

    /// Time passed; about once a second.
    ///
    /// # Errors
    /// As [`View::on`].
    fn tick(&mut self, at: Duration) -> io::Result<()> {
        let _ = at;
        Ok(())
    }

    /// The stream ended, with or without [`Event::RunFinished`].
    ///
    /// # Errors
    /// As [`View::on`].
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows every event to all views, and warnings of stages that stall, until the last [`super::Reporter`] is gone. A view that fails is left out from then
/// on, and the others go on.
///
/// # Errors
/// The first view's error. A reader that went away (`sandbox … | head`) is not one.
pub async fn drive(mut events: UnboundedReceiver<Event>, mut views: Vec<Box<dyn View>>) -> io::Result<()> {
    let started = Instant::now();
    let mut first = Ok(());
    let mut show = |views: &mut Vec<Box<dyn View>>, act: &mut dyn FnMut(&mut dyn View) -> io::Result<()>| {
        views.retain_mut(|view| match act(view.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                if first.is_ok() && error.kind() != io::ErrorKind::BrokenPipe {
                    first = Err(error);
                }
                false
            }
        });
    };
    let mut stalls = Stalls::default();
    let mut clock = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(event) => {
                    // The same for all views: a recording says what was printed.
                    let at = started.elapsed();
                    stalls.observe(&event, at);
                    show(&mut views, &mut |view| view.on(at, &event));
                }
                None => break,
            },
            _ = clock.tick() => {
                for warning in stalls.warnings(started.elapsed()) {
                    show(&mut views, &mut |view| view.on(started.elapsed(), &warning));
                }
                show(&mut views, &mut |view| view.tick(started.elapsed()));
            }
        }
    }
    show(&mut views, &mut |view| view.end());
    first
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::{Event, Reporter, Stage};
    use super::{View, drive};

    struct Breaks(io::ErrorKind, Arc<Mutex<usize>>);

    impl View for Breaks {
        fn on(&mut self, _: Duration, _: &Event) -> io::Result<()> {
            *self.1.lock().expect("not poisoned") += 1;
            Err(self.0.into())
        }
    }

    async fn shown(kind: io::ErrorKind) -> (usize, io::Result<()>) {
        let (report, events) = Reporter::channel();
        let count = Arc::default();
        report.progress(Stage::Plan, "a");
        report.progress(Stage::Plan, "b");
        drop(report);
        let done = drive(events, vec![Box::new(Breaks(kind, Arc::clone(&count)))]).await;
        let count = *count.lock().expect("not poisoned");
        (count, done)
    }

    #[tokio::test]
    async fn a_view_that_fails_is_shown_nothing_more_and_the_error_is_kept() {
        let (count, done) = shown(io::ErrorKind::StorageFull).await;
        assert_eq!((count, done.expect_err("kept").kind()), (1, io::ErrorKind::StorageFull));
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_no_error() {
        let (count, done) = shown(io::ErrorKind::BrokenPipe).await;
        assert!(count == 1 && done.is_ok());
    }
}
