//! The progress of a pull, layer by layer.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;

/// A progress message about one layer of a pull. Status words differ between engines and are never looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullEvent {
    /// The layer's short id.
    pub layer: String,
    /// Bytes so far.
    pub current: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

impl PullEvent {
    /// Nothing where a line is not about a layer's bytes.
    pub(super) fn read(said: CreateImageInfo) -> Option<Self> {
        let (layer, detail) = (said.id?, said.progress_detail?);
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        Some(Self { layer, current: number(detail.current)?, total: number(detail.total) })
    }
}

/// The progress of a pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullState {
    layers: BTreeMap<String, (u64, Option<u64>)>,
}

impl PullState {
    /// Takes in one event. Extracting reports its own bytes from zero after downloading did; what was reached stays.
    pub fn fold(&mut self, event: PullEvent) {
        let (bytes, total) = self.layers.entry(event.layer).or_default();
        *bytes = (*bytes).max(event.current);
        *total = (*total).max(event.total);
    }

    /// Bytes so far, over all layers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layers.values().fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes))
    }

    /// Bytes in all, as far as the layers have said.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let known: Vec<u64> = self.layers.values().filter_map(|(_, total)| *total).collect();
        known.into_iter().reduce(u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(layer: &str, current: u64, total: Option<u64>) -> PullEvent {
        PullEvent { layer: layer.into(), current, total }
    }

    #[test]
    fn extracting_does_not_take_back_what_was_downloaded() {
        let mut state = PullState::default();
        for said in [event("a", 5, Some(10)), event("a", 10, Some(10)), event("a", 1, Some(10)), event("b", 3, None)] {
            state.fold(said);
        }
        assert_eq!((state.bytes(), state.total()), (13, Some(10)));
    }

    #[test]
    fn without_totals_there_is_no_total() {
        let mut state = PullState::default();
        state.fold(event("a", 5, None));
        assert_eq!(state.total(), None);
    }

    #[test]
    fn sizes_that_no_image_has_do_not_overflow() {
        let mut state = PullState::default();
        for layer in ["a", "b", "c"] {
            state.fold(event(layer, u64::MAX, Some(u64::MAX)));
        }
        assert_eq!((state.bytes(), state.total()), (u64::MAX, Some(u64::MAX)));
    }

    proptest::proptest! {
        #[test]
        fn bytes_never_go_back(events in proptest::collection::vec((0..4u8, 0..100u64), 0..40)) {
            let mut state = PullState::default();
            for (layer, current) in events {
                let before = state.bytes();
                state.fold(event(&layer.to_string(), current, Some(100)));
                proptest::prop_assert!(state.bytes() >= before);
            }
        }
    }
}
