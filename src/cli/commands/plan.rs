//! `sandbox plan`

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::cli::args::{self, Output};
use crate::cli::session::{Ended, Session};
use crate::plan::Plan;
use crate::spec::{Origin, Provenance, Secret};

pub(in crate::cli) fn run(session: &Session, args: &args::Plan) -> Result<(), Ended> {
    let (plan, provenance) = session.plan(&args.spec)?;
    let printed = match session.output() {
        Output::Json => {
            let mut json = serde_json::json!({ "plan": plan, "provenance": provenance });
            hide(&plan.spec.storage.secret_key, &mut json);
            session.print_json(&json)
        }
        Output::Human => session.print(&shown(&plan, &provenance)),
    };
    Ok(printed?)
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
    let _ = writeln!(text, "\ncluster {} of one node, {}", plan.spec.name, plan.spec.node_image);
    for port in &plan.cluster.ports {
        let _ = writeln!(text, "  127.0.0.1:{} -> {} {}", port.host, port.node, port.purpose);
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
