//! Whatever the daemon says while it pulls, the bytes never go back.
#![no_main]

use flyte_sandbox::docker::{PullEvent, PullState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut state = PullState::default();
    for event in bytes.split(|byte| *byte == b'\n').filter_map(PullEvent::of_line) {
        let before = state.bytes();
        state.fold(event);
        assert!(state.bytes() >= before);
    }
    let _ = state.total();
});
