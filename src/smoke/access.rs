//! Access rules: which ServiceAccount is allowed what, as a pure table from the spec.
//!
//! The allowed half is what the components' code calls. The denied half is each step outwards:
//! secrets, another project, the control plane, the cluster.

use std::fmt;

use crate::flyte::{names, workflow};
use crate::spec::{Spec, WorkflowNamespace};

/// An access rule: one question to the authoriser, and the expected answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// The namespace of the ServiceAccount.
    pub account_namespace: String,
    /// The ServiceAccount's name.
    pub account: String,
    /// The verb, such as `list`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, plural, such as `pods`.
    pub resource: &'static str,
    /// The subresource, such as `log`, or empty.
    pub subresource: &'static str,
    /// The object's name, or empty for any.
    pub name: String,
    /// The namespace; empty for the whole cluster.
    pub namespace: String,
    /// The expected answer.
    pub allowed: bool,
}

impl fmt::Display for AccessRule {
    /// For example `flyteadmin list pods in kube-system`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.account, self.verb, self.resource)?;
        for (separator, part) in [("/", self.subresource), (".", self.group), (" ", self.name.as_str())] {
            if !part.is_empty() {
                write!(f, "{separator}{part}")?;
            }
        }
        if self.namespace.is_empty() { f.write_str(" cluster-wide") } else { write!(f, " in {}", self.namespace) }
    }
}

/// Verb, group, resource, subresource.
type Right = (&'static str, &'static str, &'static str, &'static str);

const ADMIN: [Right; 2] =
    [("create", workflow::GROUP, workflow::PLURAL, ""), ("delete", workflow::GROUP, workflow::PLURAL, "")];
const PROPELLER: [Right; 10] = [
    ("list", workflow::GROUP, workflow::PLURAL, ""),
    ("watch", workflow::GROUP, workflow::PLURAL, ""),
    ("update", workflow::GROUP, workflow::PLURAL, ""),
    ("deletecollection", workflow::GROUP, workflow::PLURAL, ""),
    ("update", workflow::GROUP, workflow::PLURAL, "finalizers"),
    ("get", "", "pods", ""),
    ("list", "", "pods", ""),
    ("watch", "", "pods", ""),
    ("create", "", "pods", ""),
    ("delete", "", "pods", ""),
];
const DASHBOARD: [Right; 3] = [("get", "", "pods", ""), ("list", "", "pods", ""), ("get", "", "pods", "log")];
/// Denied to every account in every namespace.
const SECRETS: [Right; 2] = [("get", "", "secrets", ""), ("list", "", "secrets", "")];
/// Denied to every account cluster-wide. Propellers since 1.0 ask for all PodTemplates, whatever namespace they are limited to.
const CLUSTER: [Right; 4] = [
    ("list", "", "pods", ""),
    ("list", "", "namespaces", ""),
    ("list", "", "secrets", ""),
    ("list", "", "podtemplates", ""),
];

struct Table<'a> {
    system: &'a str,
    rows: Vec<AccessRule>,
}

impl Table<'_> {
    fn push(&mut self, account: &str, rights: &[Right], namespace: &str, allowed: bool) {
        for (verb, group, resource, subresource) in rights {
            self.rows.push(AccessRule {
                account_namespace: self.system.to_owned(),
                account: account.to_owned(),
                verb,
                group,
                resource,
                subresource,
                name: String::new(),
                namespace: namespace.to_owned(),
                allowed,
            });
        }
    }

    /// Rules for the ServiceAccount `default` of a workflow namespace, which task pods run as.
    fn push_for_tasks(&mut self, rights: &[Right], namespace: &str) {
        let first = self.rows.len();
        self.push("default", rights, namespace, false);
        for row in &mut self.rows[first..] {
            namespace.clone_into(&mut row.account_namespace);
        }
    }

    fn push_named(&mut self, account: &str, right: Right, namespace: &str, name: String, allowed: bool) {
        self.push(account, &[right], namespace, allowed);
        if let Some(row) = self.rows.last_mut() {
            row.name = name;
        }
    }
}

/// Every access rule that the smoke stage checks, allowed ones first. The length grows with the workflow namespaces: a
/// propeller is tried against the next project only, so that every project is tried once from outside.
#[must_use]
pub fn access_rules(spec: &Spec) -> Vec<AccessRule> {
    let system = spec.system_namespace();
    let namespaces = spec.workflow_namespaces();
    let mut table = Table { system: &system, rows: Vec::new() };
    allowed(&mut table, spec, &namespaces);
    denied(&mut table, spec, &namespaces);
    table.rows
}

fn allowed(table: &mut Table<'_>, spec: &Spec, namespaces: &[WorkflowNamespace]) {
    let election = spec.flyte.facts().election;
    for workflow in namespaces {
        let WorkflowNamespace { project, name, .. } = workflow;
        table.push(names::ADMIN, &ADMIN, name, true);
        let propeller = names::propeller_account(project);
        table.push(&propeller, &PROPELLER, name, true);
        for verb in ["get", "update"] {
            let right = (verb, election.group(), election.plural(), "");
            table.push_named(&propeller, right, table.system, names::propeller_lock(workflow), true);
        }
        table.push(names::DASHBOARD, &DASHBOARD, name, true);
    }
}

fn denied(table: &mut Table<'_>, spec: &Spec, namespaces: &[WorkflowNamespace]) {
    let (system, election) = (table.system, spec.flyte.facts().election);
    let mut accounts = vec![names::ADMIN.to_owned(), names::DASHBOARD.to_owned(), names::DATACATALOG.to_owned()];
    accounts.extend(spec.projects.iter().map(|project| names::propeller_account(project)));
    for account in &accounts {
        table.push(account, &CLUSTER, "", false);
        for namespace in [system, "kube-system"] {
            table.push(account, &SECRETS, namespace, false);
            table.push(account, &[("get", "", "pods", "log"), ("create", "", "pods", "")], namespace, false);
        }
    }
    for (index, project) in spec.projects.iter().enumerate() {
        let next = &spec.projects[(index + 1) % spec.projects.len()];
        let propeller = names::propeller_account(project);
        for place in namespaces {
            let WorkflowNamespace { project: owner, name, .. } = place;
            if owner == project {
                table.push(&propeller, &SECRETS, name, false);
                table.push(&propeller, &[("create", workflow::GROUP, workflow::PLURAL, "")], name, false);
            } else if owner == next {
                table.push(&propeller, &PROPELLER, name, false);
                let right = ("update", election.group(), election.plural(), "");
                table.push_named(&propeller, right, system, names::propeller_lock(place), false);
            }
        }
    }
    for WorkflowNamespace { name, .. } in namespaces {
        let of_propellers = [("list", "", "pods", ""), ("create", "", "pods", ""), ("get", "", "secrets", "")];
        table.push(names::ADMIN, &of_propellers, name, false);
        table.push(names::DASHBOARD, &[("delete", "", "pods", ""), ("get", "", "secrets", "")], name, false);
        table.push_for_tasks(&[("list", "", "pods", ""), ("get", "", "secrets", "")], name);
    }
}

#[cfg(test)]
mod tests {
    use super::access_rules;
    use crate::spec::Spec;

    fn two_projects_one_domain() -> Spec {
        let mut spec = Spec::default();
        spec.domains.truncate(1);
        spec
    }

    #[test]
    fn the_table_of_two_projects() {
        let lines = |allowed: bool| {
            let rows = access_rules(&two_projects_one_domain());
            rows.iter().filter(|row| row.allowed == allowed).map(|row| format!("{row}\n")).collect::<String>()
        };
        insta::assert_snapshot!("allowed", lines(true));
        insta::assert_snapshot!("denied", lines(false));
    }

    #[test]
    fn no_question_has_two_answers() {
        let mut rows: Vec<String> = access_rules(&Spec::default()).iter().map(ToString::to_string).collect();
        let all = rows.len();
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), all);
    }

    #[test]
    fn a_single_project_is_not_denied_its_own_namespaces() {
        let mut spec = Spec::default();
        spec.projects.truncate(1);
        let denied = access_rules(&spec).into_iter().filter(|row| !row.allowed && row.account == "flytepropeller-x");
        // It makes none; admin does.
        let own = denied.filter(|row| row.resource == "flyteworkflows" && row.verb != "create");
        assert_eq!(own.count(), 0);
    }

    #[test]
    fn it_grows_linearly_with_the_projects() {
        let of = |projects: usize| {
            access_rules(&Spec { projects: (0..projects).map(|n| format!("p{n}")).collect(), ..Spec::default() }).len()
        };
        assert_eq!(of(40) - of(30), of(30) - of(20));
    }
}
