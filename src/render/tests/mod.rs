//! Tests of the whole pipeline.

mod attached;
mod brought;
mod data;
mod defects;
mod equivalence;
mod errors;
mod policies;
mod properties;
mod store;
mod tasks;

use serde_json::Value;

use super::{RenderError, Rendered, render};
use crate::manifest::{Bundle, Object, Source};
use crate::spec::Spec;

/// Upstream's manifest set, where it lies beside the project.
fn upstream() -> Option<Bundle> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/minimal-perms-jp.yaml");
    let text = std::fs::read_to_string(path).ok()?;
    Some(bundle(&text))
}

fn bundle(text: &str) -> Bundle {
    let source = Source { name: "test".to_owned(), text: text.to_owned() };
    Bundle::parse("test", [source]).expect("manifests")
}

fn ours() -> Bundle {
    Bundle::embedded(crate::release::Release::default()).expect("built-in manifests")
}

fn rendered(spec: &Spec, bundle: Bundle) -> Rendered {
    render(spec, bundle).unwrap_or_else(|error: RenderError| panic!("{error:?}"))
}

fn find<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> &'a Object {
    let found = rendered.objects.iter().find(|object| object.is(kind, name));
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn all<'a>(rendered: &'a Rendered, kind: &'a str) -> impl Iterator<Item = &'a Object> {
    rendered.objects.iter().filter(move |object| object.kind() == kind)
}

/// A setting in the YAML files of a ConfigMap.
fn setting(rendered: &Rendered, config_map: &str, path: &[&str]) -> Option<Value> {
    super::config::Config::open(find(rendered, "ConfigMap", config_map)).expect("YAML").get(path).cloned()
}
