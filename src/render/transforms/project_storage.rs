//! `project-storage`: a bucket for each project, and keys that open it alone, for its propellers and its task pods.
//!
//! A propeller reads nothing that admin or datacatalog wrote: an execution's inputs come within the FlyteWorkflow, cached
//! outputs by gRPC. What it and its tasks hand each other (`metadata-prefix`, `rawoutput-prefix`) is in the base container.
//!
//! The keys are in one Secret for each project, in the system namespace, and in no ConfigMap. Propellers have them as
//! variables by reference: their own store takes them by flags, which win over files (`storage/config_flags.go`,
//! flytestdlib v0.3.17), and task pods by `default-env-vars-from-env`, which writes what is in the propeller's environment
//! into the pod (`flytek8s/k8s_resource_adds.go`, flyteplugins v0.5.56). That version has no `envFrom`, no `secretKeyRef`
//! and no PodTemplate for tasks. A later one refers to a Secret in the pods' namespace, and takes pods without it for
//! whole ones: so each workflow namespace has one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::component::{Component, component_of};
use super::super::config::Config;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put, put_variable};
use crate::flyte::labels;
use crate::manifest::Object;
use crate::release::TaskKeys;
use crate::spec::Spec;

const HOME: &str = "core.yaml";
const SECRET: &str = "flyte-storage-";
/// The Secret of task pods, in their own namespace.
const TASK_SECRET: &str = "flyte-storage";

/// The Secret's entry, the propeller's flag, its variable, and the task's.
const KEYS: [(&str, &str, &str, &str); 2] = [
    ("accessKey", "--storage.connection.access-key", "OBJECT_STORE_ACCESS_KEY", "FLYTE_AWS_ACCESS_KEY_ID"),
    ("secretKey", "--storage.connection.secret-key", "OBJECT_STORE_SECRET_KEY", "FLYTE_AWS_SECRET_ACCESS_KEY"),
];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    draft.objects.retain(|object| !is_keys(object));
    let own = context.spec.projects.iter().map(|project| {
        secret(context, &format!("{SECRET}{project}"), &context.system, project, KEYS.map(|(entry, ..)| entry))
    });
    draft.objects.extend(own);
    if context.spec.flyte.facts().task_keys == TaskKeys::Secret {
        let of_tasks = context.workflows.iter().map(|workflow| {
            secret(context, TASK_SECRET, &workflow.name, &workflow.project, KEYS.map(|(.., variable)| variable))
        });
        draft.objects.extend(of_tasks);
    }
    let projects: BTreeMap<&str, &str> =
        context.workflows.iter().map(|workflow| (workflow.name.as_str(), workflow.project.as_str())).collect();
    for object in draft.objects.iter_mut().filter(|object| object.kind() == "Deployment") {
        if let Some(project) = object.label(labels::WORKFLOW_NAMESPACE).and_then(|label| projects.get(label)) {
            hand_over(object, project);
        }
    }
    Ok(())
}

/// A Secret of a project's keys, as this transform made it before.
fn is_keys(object: &Object) -> bool {
    let entries = object.get("/stringData").or(object.get("/data")).and_then(Value::as_object);
    let has = |keys: [&str; 2]| {
        entries.is_some_and(|all| all.len() == keys.len() && keys.iter().all(|key| all.contains_key(*key)))
    };
    let is_own = object.name().starts_with(SECRET) && has(KEYS.map(|(entry, ..)| entry));
    let is_of_tasks = object.name() == TASK_SECRET && has(KEYS.map(|(.., variable)| variable));
    object.kind() == "Secret" && component_of(object) == Some(Component::Flytepropeller) && (is_own || is_of_tasks)
}

/// A Secret of a project's keys: the access key in the first entry, the secret key in the second.
fn secret(context: &Context<'_>, name: &str, namespace: &str, project: &str, entries: [&str; 2]) -> Object {
    // Without keys the Secret is shown and never applied: `up` has them issued first.
    let keys = context.spec.storage.keys_of(project);
    let (access, secret_key) =
        keys.as_ref().map_or(("", ""), |keys| (keys.access_key.as_str(), keys.secret_key.expose()));
    let mut secret = Object::named("v1", "Secret", name);
    secret.set(&["metadata", "namespace"], namespace);
    secret.set(&["metadata", "labels", "app.kubernetes.io/name"], Component::Flytepropeller.id());
    secret.set(&["metadata", "labels", "app.kubernetes.io/instance"], "flyte");
    secret.set(&["type"], "Opaque");
    secret.set(&["stringData"], json!({entries[0]: access, entries[1]: secret_key}));
    secret
}

/// Settings for the propellers of a project. `limit-namespace` writes them with its own: to read and write YAML once more
/// for each propeller would take most of the time of a render.
pub(super) fn configure(config: &mut Config, spec: &Spec, project: &str) {
    let bucket = spec.storage.bucket_of(project);
    raw_output(config, &bucket);
    config.set(HOME, &["storage", "container"], bucket.as_str());
    config.set(HOME, &["storage", "enable-multicontainer"], false);
    for key in ["access-key", "secret-key"] {
        config.remove(&["storage", "connection", key]);
    }
    // Lists of mappings of one key each: a mapping would have its keys in lower case when it is read.
    let k8s = ["plugins", "k8s"];
    let literal = [&k8s[..], &["default-env-vars"]].concat();
    let mut variables = config.get(&literal).and_then(Value::as_array).cloned().unwrap_or_default();
    variables.retain(|variable| KEYS.iter().all(|(.., task)| variable.get(task).is_none()));
    config.set(HOME, &literal, variables);
    let referred = [&k8s[..], &["default-env-vars-from-env"]].concat();
    let mut variables = config.get(&referred).and_then(Value::as_array).cloned().unwrap_or_default();
    variables.retain(|variable| KEYS.iter().all(|(.., task)| variable.get(task).is_none()));
    match spec.flyte.facts().task_keys {
        TaskKeys::Values => {
            variables.extend(KEYS.iter().map(|(_, _, own, task)| json!({*task: own})));
            config.set(HOME, &referred, variables);
        }
        TaskKeys::Secret => {
            config.set(HOME, &referred, variables);
            let secrets = [&k8s[..], &["default-env-from-secrets"]].concat();
            let mut names = config.get(&secrets).and_then(Value::as_array).cloned().unwrap_or_default();
            names.retain(|name| name != TASK_SECRET);
            names.push(json!(TASK_SECRET));
            config.set(HOME, &secrets, names);
        }
    }
}

/// Keeps what stands behind the bucket.
fn raw_output(config: &mut Config, bucket: &str) {
    let path = ["propeller", "rawoutput-prefix"];
    let before = config.get(&["storage", "container"]).and_then(Value::as_str);
    let given = config.get(&path).and_then(Value::as_str);
    let behind = given.zip(before).and_then(|(given, before)| {
        given.strip_prefix("s3://")?.strip_prefix(before).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let prefix = format!("s3://{bucket}{}", behind.unwrap_or("/"));
    config.set(HOME, &path, prefix);
}

/// Gives a propeller its project's keys as variables, and its store the variables as flags.
fn hand_over(workload: &mut Object, project: &str) {
    let own = |container: &&mut Value| container["name"] == Component::Flytepropeller.id();
    let Some(container) = workload.containers_mut("containers").find(own) else { return };
    let mut arguments = container["args"].as_array().cloned().unwrap_or_default();
    let is_key = |argument: &Value| {
        let flag = argument.as_str().and_then(|text| text.split_once('=')).map(|(flag, _)| flag);
        KEYS.iter().any(|key| flag == Some(key.1))
    };
    arguments.retain(|argument| !is_key(argument));
    for (entry, flag, variable, _) in KEYS {
        let reference = json!({"secretKeyRef": {"name": format!("{SECRET}{project}"), "key": entry}});
        put_variable(container, json!({"name": variable, "valueFrom": reference}));
        arguments.push(json!(format!("{flag}=$({variable})")));
    }
    put(container, "args", arguments);
}
