//! `minimal-permissions`: every ServiceAccount has exactly the permissions that its component's code uses, in
//! namespaces only, and pods that do not talk to Kubernetes have no token.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::{put, words};
use crate::flyte::{labels, names, workflow};
use crate::manifest::Object;

const API: &str = "rbac.authorization.k8s.io";

/// Writes keys that only authentication reads, and needs write access to Secrets for it: what admin's program is told.
const GENERATE_SECRETS: [&str; 2] = ["secrets", "init"];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    drop_given(context, draft);
    for workload in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        if let Some(component) = component_of(workload) {
            restrict_pod(workload, component);
            name_account(workload, component);
        }
    }
    let tokenless = |object: &Object| component_of(object).is_some_and(|component| !component.uses_kubernetes());
    for account in draft.objects.iter_mut().filter(|object| object.kind() == "ServiceAccount" && tokenless(object)) {
        account.set(&["automountServiceAccountToken"], false);
    }
    add_accounts(context, draft);
    disarm_tasks(context, draft);
    draft.objects.extend(grants(context).into_iter().flat_map(|grant| grant.objects(&context.system)));
    Ok(())
}

/// What one ServiceAccount of the system namespace may do in one namespace.
struct Grant<'a> {
    component: Component,
    name: String,
    account: String,
    namespace: &'a str,
    rules: Value,
}

impl Grant<'_> {
    fn objects(self, system: &str) -> [Object; 2] {
        let bare = |kind: &str| {
            let mut object = Object::named(&format!("{API}/v1"), kind, &self.name);
            object.set(&["metadata", "namespace"], self.namespace);
            object.set(&["metadata", "labels", "app.kubernetes.io/name"], self.component.id());
            object.set(&["metadata", "labels", "app.kubernetes.io/instance"], "flyte");
            if self.namespace != system {
                object.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], self.namespace);
            }
            object
        };
        let (mut role, mut binding) = (bare("Role"), bare("RoleBinding"));
        role.set(&["rules"], self.rules);
        binding.set(&["roleRef"], json!({"apiGroup": API, "kind": "Role", "name": self.name}));
        binding.set(&["subjects"], json!([{"kind": "ServiceAccount", "name": self.account, "namespace": system}]));
        [role, binding]
    }
}

fn grants<'a>(context: &'a Context<'_>) -> Vec<Grant<'a>> {
    let system = context.system.as_str();
    let mut grants = vec![Grant {
        component: Component::Dashboard,
        name: "kubernetes-dashboard".to_owned(),
        account: Component::Dashboard.id().to_owned(),
        namespace: system,
        rules: json!([
            {"apiGroups": [""], "resources": ["secrets"],
             "resourceNames": ["kubernetes-dashboard-csrf", "kubernetes-dashboard-key-holder"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["configmaps"],
             "resourceNames": ["kubernetes-dashboard-settings"], "verbs": ["get", "update"]},
        ]),
    }];
    for project in &context.spec.projects {
        let own = context.workflows.iter().filter(|workflow| workflow.project == *project);
        let locks: Vec<String> = own.map(names::propeller_lock).collect();
        let election = context.spec.flyte.facts().election;
        grants.push(Grant {
            component: Component::Flytepropeller,
            name: names::propeller_lock_role(project),
            account: names::propeller_account(project),
            namespace: system,
            rules: json!([
                // A creation cannot be limited by name.
                {"apiGroups": [election.group()], "resources": [election.plural()], "verbs": ["create"]},
                {"apiGroups": [election.group()], "resources": [election.plural()],
                 "resourceNames": locks, "verbs": ["get", "update"]},
            ]),
        });
    }
    for workflow in &context.workflows {
        let grant = |component: Component, name: String, account: &str, rules: Value| Grant {
            component,
            name,
            account: account.to_owned(),
            namespace: workflow.name.as_str(),
            rules,
        };
        let named = |component: Component| format!("{component}-{}", workflow.name);
        grants.push(grant(
            Component::Flyteadmin,
            named(Component::Flyteadmin),
            Component::Flyteadmin.id(),
            json!([{"apiGroups": [workflow::GROUP], "resources": [workflow::PLURAL], "verbs": ["create", "delete"]}]),
        ));
        grants.push(grant(
            Component::Flytepropeller,
            named(Component::Flytepropeller),
            &names::propeller_account(&workflow.project),
            json!([
                {"apiGroups": [workflow::GROUP], "resources": [workflow::PLURAL],
                 "verbs": ["get", "list", "watch", "update", "deletecollection"]},
                {"apiGroups": [workflow::GROUP], "resources": [format!("{}/finalizers", workflow::PLURAL)], "verbs": ["update"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "delete"]},
            ]),
        ));
        grants.push(grant(
            Component::Dashboard,
            "kubernetes-dashboard-logs".to_owned(),
            Component::Dashboard.id(),
            json!([
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
            ]),
        ));
    }
    grants
}

/// Drops whatever was granted before: everything in the whole cluster, everything to Flyte's ServiceAccounts, and
/// everything in namespaces that are not rendered.
fn drop_given(context: &Context<'_>, draft: &mut Draft) {
    let reaches_cluster = |object: &Object| matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding");
    let unknown: Vec<Object> = draft
        .objects
        .iter()
        .filter(|object| reaches_cluster(object) && component_of(object).is_none())
        .cloned()
        .collect();
    for object in unknown {
        draft.warn(Effect::Harmless, &object, "is left out: nothing in a sandbox has permissions in the whole cluster");
    }
    let accounts: BTreeSet<String> = draft
        .objects
        .iter()
        .filter(|object| object.kind() == "ServiceAccount" && component_of(object).is_some())
        .map(|object| object.name().to_owned())
        .collect();
    let ours = |binding: &Object| {
        let subjects = binding.get("/subjects").and_then(Value::as_array).into_iter().flatten();
        let mut names = subjects.filter_map(|subject| subject.get("name")?.as_str());
        component_of(binding).is_some() || names.any(|name| accounts.contains(name))
    };
    let bound: BTreeSet<(Option<String>, String)> = draft
        .objects
        .iter()
        .filter(|object| object.kind() == "RoleBinding" && ours(object))
        .filter_map(|binding| {
            let role = binding.get("/roleRef/name")?.as_str()?;
            Some((binding.namespace().map(str::to_owned), role.to_owned()))
        })
        .collect();
    draft.objects.retain(|object| {
        let stray = || !object.namespace().is_some_and(|namespace| context.is_ours(namespace));
        match object.kind() {
            "ClusterRole" | "ClusterRoleBinding" => false,
            "RoleBinding" => !ours(object) && !stray(),
            "Role" => {
                let key = (object.namespace().map(str::to_owned), object.name().to_owned());
                component_of(object).is_none() && !bound.contains(&key) && !stray()
            }
            _ => true,
        }
    });
    for kept in draft.objects.iter().filter(|object| object.kind() == "Role").cloned().collect::<Vec<_>>() {
        draft.warn(Effect::Differs, &kept, "is kept, though no component of Flyte needs it");
    }
}

fn restrict_pod(workload: &mut Object, component: Component) {
    let Some(pod) = workload.pod_spec_mut() else { return };
    if !component.uses_kubernetes() {
        put(pod, "automountServiceAccountToken", json!(false));
    }
    if let Some(containers) = pod.get_mut("initContainers").and_then(Value::as_array_mut) {
        containers.retain(|container| {
            let words: Vec<&str> = words(container).collect();
            !words.windows(2).any(|pair| pair == GENERATE_SECRETS)
        });
    }
}

/// The account of a component's pods gets the name that permissions are granted to and `smoke` asks about: Kustomize's
/// `namePrefix` gives it another. A propeller has the account of its project.
fn name_account(workload: &mut Object, component: Component) {
    let is_fixed = matches!(component, Component::Flyteadmin | Component::Dashboard | Component::Datacatalog);
    if let Some(pod) = workload.pod_spec_mut().filter(|pod| is_fixed && pod.get("serviceAccountName").is_some()) {
        put(pod, "serviceAccountName", component.id());
        if let Some(pod) = pod.as_object_mut() {
            pod.shift_remove("serviceAccount");
        }
    }
}

/// Task pods run as the `default` account of their namespace, which may do nothing: its token is of no use to them.
/// On an attached cluster that account is not ours to change.
fn disarm_tasks(context: &Context<'_>, draft: &mut Draft) {
    if !context.spec.scope().owns_cluster {
        return;
    }
    let elsewhere = |object: &Object| object.namespace() != Some(context.system.as_str());
    draft.objects.retain(|object| !(object.is("ServiceAccount", "default") && elsewhere(object)));
    draft.objects.extend(context.workflows.iter().map(|workflow| {
        let mut account = Object::named("v1", "ServiceAccount", "default");
        account.set(&["metadata", "namespace"], workflow.name.as_str());
        account.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], workflow.name.as_str());
        account.set(&["automountServiceAccountToken"], false);
        account
    }));
}

/// Adds the ServiceAccounts that pods name and nobody brought, and names one where a pod that needs it names none.
fn add_accounts(context: &Context<'_>, draft: &mut Draft) {
    let mut named = BTreeSet::new();
    for workload in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        let Some((component, pod)) = component_of(workload).zip(workload.pod_spec_mut()) else { continue };
        if component.uses_kubernetes() && pod.get("serviceAccountName").is_none() {
            put(pod, "serviceAccountName", json!(component.id()));
        }
        named.extend(pod.get("serviceAccountName").and_then(Value::as_str).map(|name| (component, name.to_owned())));
    }
    let accounts = named.into_iter().map(|(component, name)| {
        let mut account = Object::named("v1", "ServiceAccount", &name);
        account.set(&["metadata", "namespace"], context.system.as_str());
        account.set(&["metadata", "labels", "app.kubernetes.io/name"], component.id());
        account
    });
    draft.add_missing(accounts.collect());
}
