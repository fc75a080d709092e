//! What `up` would do to a sandbox that runs: the plan against what was applied last.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Plan;
use crate::manifest::{Edit, ObjectRef};
use crate::spec::Spec;

/// What `up` would do to a sandbox that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Projects that it has not yet.
    pub projects_added: Vec<String>,
    /// Projects that it has, and would lose with all that runs in them.
    pub projects_removed: Vec<String>,
    /// Objects that it has not yet.
    pub created: Vec<ObjectRef>,
    /// Objects that it has otherwise, or may have: an `up` that did not end leaves that open.
    pub changed: Vec<ObjectRef>,
    /// Objects that somebody changed since they were applied, and which would be as applied again. Only a look at the
    /// cluster tells.
    pub edited: Vec<Edit>,
    /// Objects that it has, and would lose.
    pub pruned: Vec<ObjectRef>,
}

impl Difference {
    /// From the spec that a sandbox was brought up for, and the digests of what was applied then, to the plan.
    #[must_use]
    pub fn between(running: &Spec, applied: &BTreeMap<ObjectRef, Option<String>>, plan: &Plan) -> Self {
        let lacking = |of: &[String], other: &[String]| {
            of.iter().filter(|project| !other.contains(project)).cloned().collect::<Vec<_>>()
        };
        let digests: BTreeMap<_, _> =
            applied.iter().map(|(object, digest)| (object.identity(), digest.as_ref())).collect();
        let wanted = plan.digests();
        let kept: BTreeSet<_> = wanted.keys().map(ObjectRef::identity).collect();
        let mut difference = Self {
            projects_added: lacking(&plan.spec.projects, &running.projects),
            projects_removed: lacking(&running.projects, &plan.spec.projects),
            pruned: applied.keys().filter(|object| !kept.contains(&object.identity())).cloned().collect(),
            ..Self::default()
        };
        for (object, digest) in &wanted {
            match digests.get(&object.identity()) {
                None => difference.created.push(object.clone()),
                Some(applied) if *applied != Some(digest) => difference.changed.push(object.clone()),
                Some(_) => {}
            }
        }
        difference
    }

    /// Whether `up` would have nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;

    fn applied(plan: &Plan) -> BTreeMap<ObjectRef, Option<String>> {
        plan.digests().into_iter().map(|(object, digest)| (object, Some(digest))).collect()
    }

    fn plan(projects: &[&str]) -> Plan {
        let projects = projects.iter().map(ToString::to_string).collect();
        let spec = Spec { projects, ..Spec::default() };
        let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
        Plan::new(spec, rendered).expect("a plan")
    }

    fn names(objects: &[ObjectRef]) -> Vec<String> {
        objects.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plan_does_not_differ_from_itself() {
        let plan = plan(&["x", "y"]);
        assert!(Difference::between(&plan.spec, &applied(&plan), &plan).is_empty());
    }

    #[test]
    fn a_project_more_touches_nothing_of_the_others_but_the_dashboards_list() {
        let (before, after) = (plan(&["x", "y"]), plan(&["x", "y", "z"]));
        let more = Difference::between(&before.spec, &applied(&before), &after);
        assert_eq!(more.projects_added, ["z"]);
        assert_eq!(names(&more.changed), ["configmap 103020-flytepoc-dev/kubernetes-dashboard-settings"]);
        assert!(names(&more.created).iter().all(|name| name.contains("-z")), "{:?}", names(&more.created));
        assert_eq!(more.created.iter().filter(|object| object.kind == "Namespace").count(), 3);
        assert_eq!(more.pruned, []);

        let less = Difference::between(&after.spec, &applied(&after), &before);
        assert_eq!((less.projects_removed, less.changed), (vec!["z".to_owned()], more.changed));
        assert_eq!(less.pruned, more.created);
    }

    #[test]
    fn what_an_up_that_did_not_end_leaves_open_may_change() {
        let plan = plan(&["x"]);
        let mut applied = applied(&plan);
        let (first, digest) = applied.iter_mut().next().expect("objects");
        *digest = None;
        let first = first.clone();
        assert_eq!(Difference::between(&plan.spec, &applied, &plan).changed, [first]);
    }
}
