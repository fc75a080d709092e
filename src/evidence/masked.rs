//! The view that hands a run's events on without their secrets.

use std::io;
use std::time::Duration;

use serde_json::Value;

use super::mask::Mask;
use crate::report::{Event, View};

/// Views of what leaves this machine's terminal, such as a file: they see no secrets.
pub struct Masked {
    mask: Mask,
    views: Vec<Box<dyn View>>,
}

impl Masked {
    /// Hides what the mask knows from these views.
    #[must_use]
    pub fn new(mask: Mask, views: Vec<Box<dyn View>>) -> Self {
        Self { mask, views }
    }
}

impl View for Masked {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        let event = masked(&self.mask, event)?;
        self.views.iter_mut().try_for_each(|view| view.on(at, &event))
    }

    fn tick(&mut self, at: Duration) -> io::Result<()> {
        self.views.iter_mut().try_for_each(|view| view.tick(at))
    }

    fn end(&mut self) -> io::Result<()> {
        self.views.iter_mut().try_for_each(|view| view.end())
    }
}

/// An event without secrets. Only its texts are looked at: the fields of events are no names of secrets, such as
/// `credentials`, which says how to get some.
///
/// # Errors
/// None that could be met: an event is JSON.
pub(super) fn masked(mask: &Mask, event: &Event) -> io::Result<Event> {
    Ok(serde_json::from_value(texts(mask, serde_json::to_value(event)?))?)
}

fn texts(mask: &Mask, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask.text(&text)),
        Value::Array(all) => Value::Array(all.into_iter().map(|one| texts(mask, one)).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, one)| (key, texts(mask, one))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Endpoint, Stage};

    #[test]
    fn secrets_go_and_the_way_to_get_them_stays() {
        let mask = Mask::new(["a-known-secret".to_owned()]);
        let note = |note: &str| Event::Progress { stage: Stage::Smoke, note: note.to_owned() };
        let event = masked(&mask, &note("key a-known-secret, password=hunter2")).expect("JSON");
        assert_eq!(event, note("key ***, password=***"));
        let minio = Endpoint {
            name: "minio".to_owned(),
            url: "http://127.0.0.1:1/".to_owned(),
            credentials: Some("`sandbox credentials` prints the keys".to_owned()),
        };
        let ready = Event::Ready { endpoints: vec![minio], kubectl: "kubectl".to_owned() };
        assert_eq!(masked(&mask, &ready).expect("JSON"), ready);
    }
}
