//! Whatever the daemon says while it pulls, the bytes never go back. A line is an event: `["layer", bytes, total]`.

use flyte_sandbox::docker::{PullEvent, PullState};

pub(super) fn holds(lines: &str) {
    let mut state = PullState::default();
    for (layer, current, total) in lines.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        let before = state.bytes();
        state.fold(PullEvent { layer, current, total });
        assert!(state.bytes() >= before);
    }
    let _ = state.total();
}
