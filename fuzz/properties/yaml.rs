//! Any text is YAML or an error with a place; what is read is the same again after it was written.

use flyte_sandbox::yaml;

pub(super) fn holds(text: &str) {
    let Ok(documents) = yaml::documents(text) else { return };
    for document in &documents {
        let written = yaml::emit(document);
        let again = yaml::document(&written);
        assert_eq!(again.as_ref().ok(), Some(document), "{written:?}: {again:?}");
    }
    let stream = yaml::emit_documents(&documents);
    assert_eq!(yaml::documents(&stream).ok().as_ref(), Some(&documents), "{stream:?}");
}
