//! Workloads: selectors, strategies, schedules, and the pods that they make.

use serde_json::{Value, json};

use super::names::labels;
use super::pod::pod;
use super::{Check, text};

/// Checks a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or Pod.
pub(super) fn workload(object: &Value) -> Check {
    let spec = &object["spec"];
    match text(&object["kind"]) {
        "Pod" => pod(spec, &["Always", "OnFailure", "Never"], "spec"),
        "Job" => job(spec, "spec"),
        "CronJob" => {
            let schedule = text(&spec["schedule"]);
            let fields = schedule.split_ascii_whitespace().count();
            if !schedule.starts_with('@') && fields != 5 {
                let told = format!("Expected exactly 5 fields, found {fields}: {schedule}");
                return Err(format!("spec.schedule: Invalid value: \"{schedule}\": {told}"));
            }
            job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")
        }
        kind => lasting(spec, kind),
    }
}

/// Checks what keeps its pods running.
fn lasting(spec: &Value, kind: &str) -> Check {
    if let Some(replicas) = spec["replicas"].as_i64().filter(|replicas| *replicas < 0) {
        return Err(format!("spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0"));
    }
    let template = &spec["template"];
    let carried = &template["metadata"]["labels"];
    let selector = &spec["selector"];
    if selector.is_null() {
        return Err("spec.selector: Required value".to_owned());
    }
    let wanted = selector["matchLabels"].as_object().filter(|wanted| !wanted.is_empty());
    if wanted.is_none() && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty) {
        let kind = kind.to_lowercase();
        return Err(format!("spec.selector: Invalid value: {selector}: empty selector is invalid for {kind}"));
    }
    labels(&selector["matchLabels"], "spec.selector.matchLabels")?;
    labels(carried, "spec.template.labels")?;
    if wanted.into_iter().flatten().any(|(key, value)| carried[key] != *value) {
        return Err(format!(
            "spec.template.metadata.labels: Invalid value: {carried}: `selector` does not match template `labels`"
        ));
    }
    if kind == "Deployment" {
        strategy(&spec["strategy"])?;
    }
    pod(&template["spec"], &["Always"], "spec.template.spec")
}

fn strategy(strategy: &Value) -> Check {
    let rolling = &strategy["rollingUpdate"];
    match strategy["type"].as_str() {
        Some("Recreate") if !rolling.is_null() => {
            Err("spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
                .to_owned())
        }
        None | Some("RollingUpdate") if rolling["maxSurge"] == 0 && rolling["maxUnavailable"] == 0 => {
            Err("spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
                .to_owned())
        }
        None | Some("Recreate" | "RollingUpdate") => Ok(()),
        Some(_) => Err(format!(
            "spec.strategy: Unsupported value: {strategy}: supported values: \"Recreate\", \"RollingUpdate\""
        )),
    }
}

fn job(spec: &Value, at: &str) -> Check {
    if !spec["selector"].is_null() && spec["manualSelector"] != json!(true) {
        return Err(format!("{at}.selector: Invalid value: {}: `selector` not auto-generated", spec["selector"]));
    }
    pod(&spec["template"]["spec"], &["OnFailure", "Never"], &format!("{at}.template.spec"))
}
