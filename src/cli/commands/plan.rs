//! `sandbox plan`

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Planned, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::evidence::mask::Mask;
use crate::lifecycle::{self, Comparison, Leaving, Place};
use crate::plan::{Difference, Plan};
use crate::report::Waiting;
use crate::spec::{Origin, Provenance, Secret};

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    spec: SpecFlags,
}

pub(in crate::cli) async fn run(session: &Session, args: &PlanArgs) -> Result<(), CommandError> {
    let Planned { plan, provenance, leaving } = session.plan(&args.spec).await?;
    let running = compared(session, &plan, leaving).await;
    match session.output() {
        Output::Json => {
            let mut json = serde_json::json!({ "plan": plan, "provenance": provenance, "running": running });
            for secret in plan.spec.secrets() {
                hide(&secret, &mut json);
            }
            // A bundle has Secrets of its own.
            json["plan"] = Mask::new([]).value(json["plan"].take());
            session.print_json(&json).await?
        }
        Output::Human => {
            let difference = running.as_ref().map(against).unwrap_or_default();
            session.print(&format!("{}{difference}", shown(&plan, &provenance))).await?
        }
    }
    Ok(())
}

/// The plan against the sandbox that runs. A plan is of use where Docker is not, too.
async fn compared(session: &Session, plan: &Plan, leaving: Vec<Leaving>) -> Option<Comparison> {
    let (host, run) = (session.host(), session.silent_run());
    let compared = session.query(lifecycle::compare(plan, leaving, &host, &run)).await;
    compared.unwrap_or_else(|failure| {
        session.warn([format!("whether the sandbox runs, and how it differs, is not known: {failure}")]);
        None
    })
}

fn against(Comparison { difference, leaving, waiting, outdated, lacking }: &Comparison) -> String {
    let mut text = "\nagainst the sandbox that runs".to_owned();
    if difference.is_empty() && outdated.is_empty() && lacking.is_empty() {
        text.push_str(": nothing would change");
    }
    text.push('\n');
    let Difference { projects_added, created, changed, edited, pruned, .. } = difference;
    for project in projects_added {
        let _ = writeln!(text, "  project {project} would be added");
    }
    for one in leaving {
        let _ = writeln!(text, "  {}", left(one));
    }
    for (objects, would) in [(created, "create"), (changed, "change"), (pruned, "remove")] {
        if !objects.is_empty() {
            let names = objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "  {would} {}: {names}", objects.len());
        }
    }
    for edit in edited {
        let _ = writeln!(text, "  apply again, since somebody changed {edit}");
    }
    for outdated in outdated {
        let _ = writeln!(text, "  restart {outdated}");
    }
    for Waiting { object, reason } in lacking {
        let _ = writeln!(text, "  mend {object}: {reason}");
    }
    for Waiting { object, reason } in waiting {
        let _ = writeln!(text, "  wait for {object}: {reason}");
    }
    text
}

/// What becomes of a project or a domain that the spec lacks, and what it has.
fn left(leaving: &Leaving) -> String {
    let Leaving { place, kept, objects, bytes, unknown, .. } = leaving;
    let bucket = match (place, objects, bytes) {
        (Place::Domain(_), ..) => String::new(),
        (_, Some(objects), Some(bytes)) => format!("; {objects} objects, {bytes} bytes in its bucket"),
        _ => "; its bucket could not be asked".to_owned(),
    };
    let why = unknown.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let has = format!("{}{bucket}{why}", leaving.counted());
    match kept {
        true => format!("{place} is not in the spec and stays: {has}; `sandbox up {}` removes it", place.flag()),
        false => format!("{place} would be removed, with all that runs in it: {has}"),
    }
}

/// A plan is for a log too; `sandbox render` is what has the manifests as they are.
fn hide(secret: &Secret, value: &mut Value) {
    match value {
        Value::String(text) => *text = secret.masked(text),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(secret, item)),
        Value::Object(map) => map.values_mut().for_each(|item| hide(secret, item)),
        _ => {}
    }
}

fn shown(plan: &Plan, provenance: &Provenance) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "sandbox {}", plan.spec.name);
    for (key, origin) in provenance.iter().filter(|(_, origin)| **origin != Origin::Default) {
        let _ = match origin {
            Origin::Generated => writeln!(text, "  {key} is generated"),
            _ => writeln!(text, "  {key} is set by {origin}"),
        };
    }
    if let Some(context) = plan.spec.context.as_deref().filter(|_| !plan.spec.scope().owns_cluster) {
        let _ = writeln!(text, "\non the cluster of context {context}, in existing namespaces");
    } else {
        node(&mut text, plan);
    }
    let _ = writeln!(text, "\nnamespaces");
    let _ = writeln!(text, "  {} for Flyte itself", plan.spec.system_namespace());
    for namespace in plan.spec.workflow_namespaces() {
        let _ = writeln!(text, "  {} for project {}, domain {}", namespace.name, namespace.project, namespace.domain);
    }
    let _ = writeln!(text, "\nimages");
    for image in plan.images.iter().chain(&plan.node_images) {
        let _ = writeln!(text, "  {image}");
    }
    for wave in &plan.waves {
        let mut kinds = BTreeMap::<_, Vec<_>>::new();
        for object in &wave.objects {
            kinds.entry(object.kind()).or_default().push(object.name());
        }
        let _ = writeln!(text, "\nwave {}: {} objects", wave.name, wave.objects.len());
        for (kind, names) in kinds {
            let _ = writeln!(text, "  {} {kind}: {}", names.len(), names.join(", "));
        }
    }
    let _ = writeln!(text, "\ndigest {}", plan.digest);
    text
}

fn node(text: &mut String, plan: &Plan) {
    let by = plan.spec.engine.map(|engine| format!(", made by {}", engine.name())).unwrap_or_default();
    let _ = writeln!(text, "\ncluster {} of one node, {}{by}", plan.spec.name, plan.spec.node_image);
    for port in &plan.cluster.ports {
        let _ = writeln!(text, "  127.0.0.1:{} -> {} {}", port.host, port.node, port.purpose);
    }
}
