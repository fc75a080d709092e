//! Any manifests are rendered or refused. What is read takes the place of the built-in objects of its identity, so that
//! a small input gets past "this is no Flyte" and into every transform.

use std::sync::LazyLock;

use flyte_sandbox::manifest::{Bundle, Source};
use flyte_sandbox::release::Release;
use flyte_sandbox::render;
use flyte_sandbox::spec::Spec;

static BUILT_IN: LazyLock<Bundle> =
    LazyLock::new(|| Bundle::embedded(Release::default()).expect("the built-in manifests"));
static SPEC: LazyLock<Spec> = LazyLock::new(Spec::default);

pub(super) fn holds(text: &str) {
    let source = Source { name: "input".to_owned(), text: text.to_owned() };
    let Ok(mut bundle) = Bundle::parse("input", [source]) else { return };
    let given = bundle.objects.len();
    for object in &BUILT_IN.objects {
        if !bundle.objects[..given].iter().any(|one| one.is(object.kind(), object.name())) {
            bundle.objects.push(object.clone());
        }
    }
    if let Ok(rendered) = render::render(&SPEC, bundle) {
        assert!(rendered.objects.iter().all(|object| !object.kind().starts_with("ClusterRole")));
    }
}
