//! Whatever text evidence is, a secret that is known is not in it afterwards; every `$` of the input stands for one.

use flyte_sandbox::evidence::mask::Mask;

const SECRET: &str = "88b7295698b56ad2b72651967815b1945a0ee487";

pub(super) fn holds(text: &str) {
    let mask = Mask::new([SECRET.to_owned()]);
    let text = text.replace('$', SECRET);
    assert!(!mask.text(&text).contains(SECRET));
    if let Ok(value) = serde_json::from_str(&text) {
        assert!(!mask.value(value).to_string().contains(SECRET));
    }
}
