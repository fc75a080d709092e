//! R1 and R2: SubjectAccessReviews of the access rules.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::access::{AccessRule, access_rules};
use super::check_failure::{CheckFailure, CheckResult, all};
use super::roles;
use super::target::CheckContext;

/// Reviews at a time, of each of the two checks. An answer takes less than the TLS handshake of one connection more.
const AT_ONCE: usize = 4;

/// R1: every allowed rule is allowed.
pub(super) async fn allows(context: &CheckContext<'_>) -> CheckResult {
    review_all(context, true).await
}

/// R2: every denied rule is denied.
pub(super) async fn denies(context: &CheckContext<'_>) -> CheckResult {
    review_all(context, false).await
}

async fn review_all(context: &CheckContext<'_>, allowed: bool) -> CheckResult {
    let rows = access_rules(context.spec).into_iter().filter(|row| row.allowed == allowed);
    if !context.spec.scope().owns_cluster {
        return review_in_namespaces(context, rows.collect()).await;
    }
    let results = stream::iter(rows).map(|row| ask(context, row)).buffered(AT_ONCE);
    all(results.collect::<Vec<_>>().await, "access rules")
}

/// Reviews on an attached cluster, in the sandbox's namespaces only. If a part cannot be asked, the check is skipped.
async fn review_in_namespaces(context: &CheckContext<'_>, rows: Vec<AccessRule>) -> CheckResult {
    let ours = context.spec.namespaces();
    let (rows, beyond): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| ours.contains(&row.namespace));
    let mut skipped = Vec::new();
    let refused = match rows.first() {
        Some(first) => local_answer(context, first).await.err(),
        None => None,
    };
    let seen = match refused {
        Some(failure) if failure.code == Some(403) => {
            let granted = roles::read(context).await?;
            let bindings = match granted.unreadable {
                0 => String::new(),
                many => format!("; the rules of {many} bindings to ClusterRoles cannot be read"),
            };
            skipped.push(format!("access reviews are refused ({}){bindings}", failure.seen));
            let results = rows.iter().map(|row| compare(format!("Roles: {row}"), row, granted.allows(row)));
            all(results, "access rules evaluated from Roles and RoleBindings")?
        }
        Some(failure) => return Err(failure),
        None => {
            let ask = async |row: &AccessRule| compare(format!("can {row}"), row, local_answer(context, row).await?);
            let results = stream::iter(&rows).map(ask).buffered(AT_ONCE);
            all(results.collect::<Vec<_>>().await, "access rules")?
        }
    };
    if !beyond.is_empty() {
        skipped.push(format!("{} access rules about other namespaces and the whole cluster not checked", beyond.len()));
    }
    if skipped.is_empty() { Ok(seen) } else { Err(CheckFailure::skip(format!("{seen}; {}", skipped.join("; ")))) }
}

/// The answer to a LocalSubjectAccessReview, which an administrator of the namespace may make.
async fn local_answer(context: &CheckContext<'_>, row: &AccessRule) -> Result<bool, CheckFailure> {
    let reviews: Api<LocalSubjectAccessReview> = Api::namespaced(context.api.client(), &row.namespace);
    let SubjectAccessReview { spec, .. } = review(row);
    let metadata = ObjectMeta { namespace: Some(row.namespace.clone()), ..ObjectMeta::default() };
    let question = LocalSubjectAccessReview { metadata, spec, ..LocalSubjectAccessReview::default() };
    let answer = context.api.ask(&format!("can {row}"), reviews.create(&PostParams::default(), &question)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn ask(context: &CheckContext<'_>, row: AccessRule) -> CheckResult {
    let asked = format!("can {row}");
    let reviews: Api<SubjectAccessReview> = Api::all(context.api.client());
    let (params, question) = (PostParams::default(), review(&row));
    let answer = context.api.ask(&asked, reviews.create(&params, &question)).await?;
    compare(asked, &row, answer.status.is_some_and(|status| status.allowed))
}

fn compare(asked: String, row: &AccessRule, allowed: bool) -> CheckResult {
    if allowed == row.allowed {
        return Ok(String::new());
    }
    let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
    let hint = if row.allowed {
        "`sandbox up` applies the Roles and RoleBindings again"
    } else {
        "look for a RoleBinding or ClusterRoleBinding of the ServiceAccount that is not the sandbox's"
    };
    Err(CheckFailure::new(asked, format!("{}, must be {}", word(allowed), word(row.allowed))).hint(hint).final_answer())
}

fn review(row: &AccessRule) -> SubjectAccessReview {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let namespace = &row.account_namespace;
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{}", row.account)),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(ResourceAttributes {
                verb: filled(row.verb),
                group: filled(row.group),
                resource: filled(row.resource),
                subresource: filled(row.subresource),
                name: filled(&row.name),
                namespace: filled(&row.namespace),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
