//! Manifests that a cluster admin applies before `up`: a pure function of the spec and of the permissions that `up` needs.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::rights::{REVIEW, Right, rights, rules, shown};
use crate::flyte::labels::{MANAGED_BY, SANDBOX_NAME};
use crate::flyte::workflow::DEFINITION;
use crate::manifest::{Bundle, Object};
use crate::plan::is_cluster_scoped;
use crate::render::{RenderError, render};
use crate::spec::Spec;

const RBAC: &str = "rbac.authorization.k8s.io";
/// The name of the Role and the RoleBinding in every namespace.
const NAME: &str = "sandbox-installer";

/// The user, group or ServiceAccount that runs `up`, as an RBAC subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RbacSubject {
    /// A user, by the name that the API server authenticates.
    User(String),
    /// A group of users.
    Group(String),
    /// A ServiceAccount.
    ServiceAccount {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
    },
}

impl FromStr for RbacSubject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is none of user:NAME, group:NAME, serviceaccount:NAMESPACE/NAME");
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty()).ok_or_else(wanted);
        match text.split_once(':').ok_or_else(wanted)? {
            ("user", name) => Ok(Self::User(filled(name)?)),
            ("group", name) => Ok(Self::Group(filled(name)?)),
            ("serviceaccount", account) => {
                let (namespace, name) = account.split_once('/').ok_or_else(wanted)?;
                Ok(Self::ServiceAccount { namespace: filled(namespace)?, name: filled(name)? })
            }
            _ => Err(wanted()),
        }
    }
}

impl RbacSubject {
    fn reference(&self) -> Value {
        match self {
            Self::User(name) => json!({"kind": "User", "name": name, "apiGroup": RBAC}),
            Self::Group(name) => json!({"kind": "Group", "name": name, "apiGroup": RBAC}),
            Self::ServiceAccount { namespace, name } => {
                json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
            }
        }
    }
}

/// Namespaces, the FlyteWorkflow kind, and in every namespace the Role with exactly what `up`, `smoke` and `down` use
/// there, bound to `subject`. None of it carries the sandbox's label: it stays when the sandbox goes.
///
/// # Errors
/// As [`render`].
pub fn manifests(spec: &Spec, bundle: Bundle, subject: &RbacSubject) -> Result<Vec<Object>, RenderError> {
    let alone = Spec { engine: None, context: None, kubeconfig: None, ..spec.clone() };
    let cluster_scoped =
        render(&alone, bundle.clone())?.objects.into_iter().filter(is_cluster_scoped).map(|mut object| {
            for label in [MANAGED_BY, SANDBOX_NAME] {
                object.remove(&["metadata", "labels", label]);
            }
            if object.get("/metadata/labels").and_then(Value::as_object).is_some_and(Map::is_empty) {
                object.remove(&["metadata", "labels"]);
            }
            object
        });
    let mut objects: Vec<_> = cluster_scoped.collect();
    let rights = rights(spec, &render(spec, bundle)?.objects);
    for namespace in spec.namespaces() {
        objects.extend(role(&namespace, &rights, subject));
    }
    Ok(objects)
}

fn role(namespace: &str, rights: &[Right], subject: &RbacSubject) -> [Object; 2] {
    let bare = |kind: &str| {
        let mut object = Object::named(&format!("{RBAC}/v1"), kind, NAME);
        object.set(&["metadata", "namespace"], namespace);
        object
    };
    let own = rights.iter().filter(|right| right.namespace == namespace);
    // Resources of a group with the same verbs are one rule.
    let mut alike = BTreeMap::<_, Vec<&str>>::new();
    for ((_, group, resource, name), verbs) in rules(own) {
        alike.entry((group, name, verbs)).or_default().push(resource);
    }
    let mut all: Vec<Value> = alike
        .into_iter()
        .map(|((group, name, verbs), resources)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !name.is_empty() {
                rule["resourceNames"] = json!([name]);
            }
            rule
        })
        .collect();
    // Neither is needed; they let preflight get the namespace, and smoke check permissions in it.
    let (group, resource, verb) = REVIEW;
    all.push(json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]}));
    all.push(json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace], "verbs": ["get"]}));
    let (mut role, mut binding) = (bare("Role"), bare("RoleBinding"));
    role.set(&["rules"], Value::Array(all));
    binding.set(&["roleRef"], json!({"apiGroup": RBAC, "kind": "Role", "name": NAME}));
    binding.set(&["subjects"], json!([subject.reference()]));
    [role, binding]
}

/// Missing prerequisites of an attached cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MissingPrerequisites {
    pub(super) namespaces: Vec<String>,
    /// Namespaces that the user cannot get, and that may be missing.
    pub(super) hidden: Vec<String>,
    pub(super) kind: bool,
    pub(super) rights: Vec<Right>,
}

impl MissingPrerequisites {
    /// The request to a cluster admin; none if nothing is missing.
    pub(super) fn exception(&self, context: &str) -> Option<String> {
        let mut requests = Vec::new();
        if !self.namespaces.is_empty() {
            requests.push(format!("create the namespaces {}", self.namespaces.join(", ")));
        }
        if !self.hidden.is_empty() {
            requests.push(format!("make sure that the namespaces {} exist", self.hidden.join(", ")));
        }
        if self.kind {
            requests.push(format!("apply the CustomResourceDefinition {DEFINITION} (namespaced)"));
        }
        let mut places = BTreeMap::<&str, Vec<String>>::new();
        for ((namespace, group, resource, name), verbs) in rules(&self.rights) {
            let what = format!("{} {}", verbs.join("/"), shown(group, resource, name));
            places.entry(namespace).or_default().push(what);
        }
        requests.extend(
            places.iter().map(|(namespace, what)| format!("in namespace {namespace} allow {}", what.join(", "))),
        );
        (!requests.is_empty()).then(|| {
            format!(
                "request for a cluster admin: \"For the user of context {context}, to run Flyte within its namespaces and \
                 without any cluster-wide right, please {}.\"",
                requests.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::EngineKind;
    use crate::yaml;

    fn spec() -> Spec {
        let mut spec = Spec { engine: Some(EngineKind::Context), ..Spec::default() };
        spec.projects.truncate(1);
        spec.domains.truncate(1);
        spec
    }

    #[test]
    fn what_an_admin_is_handed() {
        let bundle = Bundle::embedded(crate::release::Release::default()).expect("built in");
        let objects = manifests(&spec(), bundle, &RbacSubject::User("jane@example.com".to_owned())).expect("renders");
        insta::assert_snapshot!("admin", yaml::emit_documents(&objects));
    }

    #[test]
    fn subjects_are_read() {
        let account = RbacSubject::ServiceAccount { namespace: "ci".to_owned(), name: "sandbox".to_owned() };
        assert_eq!("serviceaccount:ci/sandbox".parse(), Ok(account));
        assert_eq!("group:a:b".parse(), Ok(RbacSubject::Group("a:b".to_owned())));
        for text in ["jane", "user:", "serviceaccount:ci", "serviceaccount:/a", "role:a"] {
            text.parse::<RbacSubject>().expect_err(text);
        }
    }

    #[test]
    fn the_exception_names_all_that_is_missing_and_nothing_else() {
        let right = |namespace: &str, verb: &str| Right {
            namespace: namespace.to_owned(),
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            name: String::new(),
            verb: verb.to_owned(),
        };
        let rights = vec![right("a", "list"), right("a", "patch"), right("b", "list")];
        let all =
            MissingPrerequisites { namespaces: vec!["b".to_owned()], hidden: vec!["a".to_owned()], kind: true, rights };
        insta::assert_snapshot!("exception", all.exception("team").expect("a text"));
        assert_eq!(MissingPrerequisites::default().exception("team"), None);
    }
}
