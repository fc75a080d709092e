//! Whatever k3d and k3s write is taken for a version, a message, the cause of a crash, or nothing.

use flyte_sandbox::cluster::{NodeDown, NodeEnd, Version};
use flyte_sandbox::failure::Failure;
use flyte_sandbox::reason::{Speaker, recognise};
use flyte_sandbox::text::{log_message, plain};

pub(super) fn holds(text: &str) {
    if let Some(version) = Version::parse(text) {
        let _ = version.dialect();
        assert!(!version.to_string().contains('\n'));
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &lines {
        assert!(!plain(line).contains('\u{1b}'), "{line:?}");
        assert!(log_message(line).is_none_or(|message| message.len() <= line.len()));
    }
    for speaker in [Speaker::Docker, Speaker::Registry, Speaker::K3d, Speaker::K3s, Speaker::Component] {
        let _ = recognise(speaker, text);
    }
    let count = lines.len();
    let failure = Failure::from(NodeDown { node: "n".to_owned(), end: NodeEnd::CrashedInside, log: lines });
    assert!(failure.exit_code() != 0 && failure.evidence.len() <= count);
}
