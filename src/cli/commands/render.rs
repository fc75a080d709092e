//! `sandbox render`

use std::fmt::Write;

use clap::Args;
use serde_json::json;
use similar::TextDiff;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::context::{self, RbacSubject};
use crate::manifest::{Bundle, Object};
use crate::render::{self, Change, Rendered, TRANSFORMS, Warning};
use crate::spec::{EngineKind, Spec};
use crate::yaml;

const ABOUT: &str = "\
# For a cluster admin: what `sandbox up --engine context` needs and cannot make itself.
#
# The namespaces that Flyte runs in, the kind of its workflows, which is namespaced, and for whoever installs it one Role
# in each of the namespaces. The Role has the rights that Flyte's own components get there too, because nobody may grant
# what he has not. There is no ClusterRole and no ClusterRoleBinding, neither here nor in what is installed with it.
";

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    spec: SpecFlags,
    /// List which transform changed what, and why, in place of the manifests
    #[arg(long, conflicts_with = "diff")]
    explain: bool,
    /// Show the difference to the input in place of the manifests
    #[arg(long)]
    diff: bool,
    /// For the engine `context`: what a cluster admin applies for SUBJECT to run `up`, in place of what `up` applies:
    /// namespaces, CustomResourceDefinition, and the SUBJECT's Roles; such as user:jane or serviceaccount:ci/sandbox
    #[arg(long, value_name = "user:NAME|group:NAME|serviceaccount:NAMESPACE/NAME")]
    #[arg(conflicts_with_all = ["explain", "diff"])]
    for_cluster: Option<RbacSubject>,
}

pub(in crate::cli) async fn run(session: &Session, args: &RenderArgs) -> Result<(), CommandError> {
    let spec = session.spec(&args.spec).await?.spec;
    let bundle = session.bundle(args.spec.manifests.as_ref(), spec.flyte).await?;
    if let Some(subject) = &args.for_cluster {
        return for_cluster(session, spec, bundle, subject).await;
    }
    if args.explain {
        return explain(session, &spec, bundle).await;
    }
    let before = args.diff.then(|| bundle.clone());
    let rendered = render::render(&spec, bundle)?;
    session.warn_of(&rendered);
    match (before, session.output()) {
        (Some(before), _) => session.print(&difference(before, &rendered.objects)).await?,
        (None, Output::Json) => session.print_json(&rendered.objects).await?,
        (None, Output::Human) => session.print(&yaml::emit_documents(&rendered.objects)).await?,
    }
    Ok(())
}

async fn explain(session: &Session, spec: &Spec, bundle: Bundle) -> Result<(), CommandError> {
    let (rendered, changes) = render::explain(spec, bundle)?;
    session.warn_of(&rendered);
    match session.output() {
        Output::Json => {
            session
                .print_json(&json!({
                    "changes": changes,
                    "deviations": rendered.deviations,
                    "warnings": rendered.warnings,
                }))
                .await?
        }
        Output::Human => session.print(&explanation(&changes, &rendered)).await?,
    }
    Ok(())
}

/// What a cluster admin applies before the engine `context` is used, with a word about it on top.
async fn for_cluster(session: &Session, spec: Spec, bundle: Bundle, subject: &RbacSubject) -> Result<(), CommandError> {
    let spec = Spec { engine: Some(EngineKind::Context), ..spec };
    let objects = context::manifests(&spec, bundle, subject)?;
    match session.output() {
        Output::Json => session.print_json(&objects).await?,
        Output::Human => session.print(&format!("{ABOUT}{}", yaml::emit_documents(&objects))).await?,
    }
    Ok(())
}

/// By transform: why it is there, and which object it touched where. Then what none of them touched, though the built-in
/// manifests say otherwise.
fn explanation(changes: &[Change], rendered: &Rendered) -> String {
    let deviations = &rendered.deviations;
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
    if !deviations.is_empty() {
        text.push_str("kept: the built-in manifests say otherwise, and only they were tried with the pinned images\n");
    }
    for kept in deviations {
        for (what, names) in [("containers", &kept.containers), ("settings", &kept.settings)] {
            if !names.is_empty() {
                let _ = writeln!(text, "  {}: {what} {}", kept.object, names.join(", "));
            }
        }
    }
    let kept = |warning: &&Warning| {
        deviations.iter().any(|one| one.object == warning.object && one.to_string() == warning.message)
    };
    let harmless = rendered.warnings.iter().filter(|warning| !warning.matters() && !kept(warning));
    let mut harmless = harmless.peekable();
    if harmless.peek().is_some() {
        text.push_str("harmless: told of here, and with `-v`\n");
    }
    for warning in harmless {
        let _ = writeln!(text, "  {warning}");
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
