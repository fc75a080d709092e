//! `sandbox render`

use std::fmt::Write;

use similar::TextDiff;

use crate::cli::args::{Output, Render};
use crate::cli::session::{Ended, Session};
use crate::manifest::{Bundle, Object};
use crate::render::{self, Change, TRANSFORMS};
use crate::spec::Spec;
use crate::yaml;

pub(in crate::cli) fn run(session: &Session, args: &Render) -> Result<(), Ended> {
    let spec = session.spec(&args.spec)?.spec;
    let bundle = session.bundle(&args.spec)?;
    if args.explain {
        return explain(session, &spec, bundle);
    }
    let before = args.diff.then(|| bundle.clone());
    let rendered = render::render(&spec, bundle)?;
    session.warn(rendered.warnings.iter().map(ToString::to_string));
    let printed = match (before, session.output()) {
        (Some(before), _) => session.print(&difference(before, &rendered.objects)),
        (None, Output::Json) => session.print_json(&rendered.objects),
        (None, Output::Human) => session.print(&yaml::emit_documents(&rendered.objects)),
    };
    Ok(printed?)
}

fn explain(session: &Session, spec: &Spec, bundle: Bundle) -> Result<(), Ended> {
    let (rendered, changes) = render::explain(spec, bundle)?;
    session.warn(rendered.warnings.iter().map(ToString::to_string));
    let printed = match session.output() {
        Output::Json => session.print_json(&changes),
        Output::Human => session.print(&explanation(&changes)),
    };
    Ok(printed?)
}

/// By transform: why it is there, and which object it touched where.
fn explanation(changes: &[Change]) -> String {
    let mut text = String::new();
    for transform in TRANSFORMS {
        let own: Vec<_> = changes.iter().filter(|change| change.transform == transform.name).collect();
        let _ = writeln!(text, "{}: {}", transform.name, transform.why);
        if own.is_empty() {
            let _ = writeln!(text, "  nothing to change");
        }
        for change in own {
            let _ = writeln!(text, "  {}: {}", change.object, change.what);
        }
        text.push('\n');
    }
    text
}

fn difference(before: Bundle, after: &[Object]) -> String {
    let mut before = before.objects;
    before.sort_by_key(Object::reference);
    let mut after: Vec<_> = after.iter().collect();
    after.sort_by_key(|object| object.reference());
    let (old, new) = (yaml::emit_documents(&before), yaml::emit_documents(after));
    TextDiff::from_lines(&old, &new).unified_diff().header("input", "rendered").to_string()
}
