//! `limit-namespace`: one propeller for each workflow namespace. Its setting takes one namespace or `all`, and `all`
//! needs permissions in the whole cluster. Instances that share a lock would elect one leader and leave the others idle.

use serde_json::{Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::config::Config;
use super::super::context::{Context, Draft, settings_config_maps};
use super::super::error::RenderError;
use super::edit::put;
use super::project_storage;
use crate::flyte::{labels, names};
use crate::manifest::Object;
use crate::spec::WorkflowNamespace;

const PROPELLER: Component = Component::Flytepropeller;
const HOME: &str = "core.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let Some(workload) = draft.workloads(PROPELLER).next().cloned() else { return Ok(()) };
    let shape = |what| RenderError::Shape { object: Box::new(workload.reference()), what };
    let config_map = template(draft, &workload).cloned().ok_or_else(|| shape("ConfigMap with its settings"))?;
    let template_name = config_map.name().to_owned();
    let config = Config::open(&config_map)?;
    let account = account(context, draft);

    let all = draft.workloads(PROPELLER).filter_map(|one| template(draft, one).map(|found| found.name().to_owned()));
    let instances: Vec<String> = all.collect();
    draft.objects.retain(|object| {
        let replaced = component_of(object) == Some(PROPELLER)
            && (is_workload(object) || object.kind() == "ServiceAccount")
            || object.kind() == "ConfigMap" && instances.iter().any(|name| name == object.name());
        !replaced
    });
    for project in &context.spec.projects {
        let mut account = account.clone();
        account.set(&["metadata", "name"], names::propeller_account(project));
        draft.objects.push(account);
    }
    for workflow in &context.workflows {
        let name = names::propeller_config(workflow);
        draft.objects.push(instance_config(context, &config_map, config.clone(), &name, workflow));
        draft.objects.push(instance(&workload, &template_name, &name, workflow));
    }
    Ok(())
}

/// The ConfigMap that a propeller's own settings stand in: `one-config-file` put them all into one.
fn template<'a>(draft: &'a Draft, workload: &Object) -> Option<&'a Object> {
    let named = |name: &str| {
        draft.objects.iter().find(|one| one.is("ConfigMap", name) && one.namespace() == workload.namespace())
    };
    let settings: Vec<&Object> = settings_config_maps(workload).into_iter().filter_map(named).collect();
    let is_own = |one: &&&Object| one.get("/data").is_some_and(|data| data.get(HOME).is_some());
    settings.iter().find(is_own).or(settings.first()).copied()
}

fn account(context: &Context<'_>, draft: &Draft) -> Object {
    let given = draft
        .objects
        .iter()
        .find(|object| object.kind() == "ServiceAccount" && component_of(object) == Some(PROPELLER));
    given.cloned().unwrap_or_else(|| {
        let mut account = Object::named("v1", "ServiceAccount", PROPELLER.id());
        account.set(&["metadata", "namespace"], context.system.as_str());
        account.set(&["metadata", "labels", "app.kubernetes.io/name"], PROPELLER.id());
        account
    })
}

fn instance_config(
    context: &Context<'_>,
    template: &Object,
    mut config: Config,
    name: &str,
    workflow: &WorkflowNamespace,
) -> Object {
    let mut object = template.clone();
    object.set(&["metadata", "name"], name);
    object.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], workflow.name.as_str());
    config.set(HOME, &["propeller", "limit-namespace"], workflow.name.as_str());
    let election = ["propeller", "leader-election"];
    let path = |keys: &[&'static str]| [&election[..], keys].concat();
    config.set(HOME, &path(&["enabled"]), true);
    config.set(HOME, &path(&["lock-config-map", "name"]), names::propeller_lock(workflow));
    config.set(HOME, &path(&["lock-config-map", "namespace"]), context.system.as_str());
    project_storage::configure(&mut config, context.spec, &workflow.project);
    config.close(&mut object);
    object
}

fn instance(template: &Object, config_template: &str, config: &str, workflow: &WorkflowNamespace) -> Object {
    let mut object = template.clone();
    let own = workflow.name.as_str();
    object.set(&["metadata", "name"], names::propeller(workflow));
    object.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], own);
    // Where upstream leaves it out, the name that said so is gone.
    object.set(&["metadata", "labels", "app.kubernetes.io/name"], PROPELLER.id());
    object.set(&["spec", "selector", "matchLabels", labels::WORKFLOW_NAMESPACE], own);
    object.set(&["spec", "template", "metadata", "labels", labels::WORKFLOW_NAMESPACE], own);
    object.set(&["spec", "replicas"], 1);
    object.set(&["spec", "strategy"], json!({"type": "Recreate"}));
    if let Some(pod) = object.pod_spec_mut() {
        put(pod, "serviceAccountName", json!(names::propeller_account(&workflow.project)));
        rename_config(pod, config_template, config);
    }
    object
}

/// Points every reference to a ConfigMap to another one.
fn rename_config(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.get_mut("name") {
                    Some(name) if key == "configMap" && name == from => *name = json!(to),
                    _ => rename_config(value, from, to),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_config(item, from, to)),
        _ => {}
    }
}
