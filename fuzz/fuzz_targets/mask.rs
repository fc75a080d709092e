//! Whatever text evidence is, a secret that is known is not in it afterwards; every `$` of the input stands for one.
#![no_main]

use flyte_sandbox::evidence::mask::Mask;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "88b7295698b56ad2b72651967815b1945a0ee487";

fuzz_target!(|text: &str| {
    let mask = Mask::new([SECRET.to_owned()]);
    let text = text.replace('$', SECRET);
    assert!(!mask.text(&text).contains(SECRET));
    if let Ok(value) = serde_json::from_str(&text) {
        assert!(!mask.value(value).to_string().contains(SECRET));
    }
});
