//! Asks the API server about the access table.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::access::{Access, table};
use super::miss::{Miss, Sight, all};
use super::roles;
use super::target::Context;

/// Questions under way at once.
const AT_ONCE: usize = 16;

/// R1: what must be allowed is.
pub(super) async fn allows(context: &Context<'_>) -> Sight {
    answers(context, true).await
}

/// R2: what must be denied is.
pub(super) async fn denies(context: &Context<'_>) -> Sight {
    answers(context, false).await
}

async fn answers(context: &Context<'_>, allowed: bool) -> Sight {
    let rows = table(context.spec).into_iter().filter(|row| row.allowed == allowed);
    if !context.spec.scope().owns_cluster {
        return within(context, rows.collect()).await;
    }
    let sights = stream::iter(rows).map(|row| ask(context, row)).buffered(AT_ONCE);
    all(sights.collect::<Vec<_>>().await, "questions answered")
}

/// On a given cluster: what may be asked in a namespace of it, and nothing beyond. What is not wholly answered is not
/// passed.
async fn within(context: &Context<'_>, rows: Vec<Access>) -> Sight {
    let ours = context.spec.namespaces();
    let (rows, beyond): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| ours.contains(&row.namespace));
    let mut skipped = Vec::new();
    let refused = match rows.first() {
        Some(first) => local_answer(context, first).await.err(),
        None => None,
    };
    let seen = match refused {
        Some(miss) if miss.code == Some(403) => {
            let granted = roles::read(context).await?;
            let bindings = match granted.unread {
                0 => String::new(),
                many => format!("; {many} bindings to ClusterRoles cannot be read"),
            };
            skipped.push(format!("nobody else's rights may be asked for ({}){bindings}", miss.seen));
            let sights = rows.iter().map(|row| judge(format!("Roles let {row}"), row, granted.allows(row)));
            all(sights, "answers by Roles and RoleBindings are as they must be")?
        }
        Some(miss) => return Err(miss),
        None => {
            let ask = async |row: &Access| judge(format!("may {row}"), row, local_answer(context, row).await?);
            let sights = stream::iter(&rows).map(ask).buffered(AT_ONCE);
            all(sights.collect::<Vec<_>>().await, "questions answered")?
        }
    };
    if !beyond.is_empty() {
        skipped
            .push(format!("{} questions about other namespaces and the whole cluster may not be asked", beyond.len()));
    }
    if skipped.is_empty() { Ok(seen) } else { Err(Miss::skip(format!("{seen}; {}", skipped.join("; ")))) }
}

/// The answer of the namespace's own review, which its administrators may have made.
async fn local_answer(context: &Context<'_>, row: &Access) -> Result<bool, Miss> {
    let reviews: Api<LocalSubjectAccessReview> = Api::namespaced(context.api.client(), &row.namespace);
    let SubjectAccessReview { spec, .. } = review(row);
    let metadata = ObjectMeta { namespace: Some(row.namespace.clone()), ..ObjectMeta::default() };
    let question = LocalSubjectAccessReview { metadata, spec, ..LocalSubjectAccessReview::default() };
    let answer = context.api.ask(&format!("may {row}"), reviews.create(&PostParams::default(), &question)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn ask(context: &Context<'_>, row: Access) -> Sight {
    let asked = format!("may {row}");
    let reviews: Api<SubjectAccessReview> = Api::all(context.api.client());
    let (params, question) = (PostParams::default(), review(&row));
    let answer = context.api.ask(&asked, reviews.create(&params, &question)).await?;
    judge(asked, &row, answer.status.is_some_and(|status| status.allowed))
}

fn judge(asked: String, row: &Access, said: bool) -> Sight {
    if said == row.allowed {
        return Ok(String::new());
    }
    let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
    let hint = if row.allowed {
        "`sandbox up` applies the Roles and RoleBindings again"
    } else {
        "look for a RoleBinding or ClusterRoleBinding that names the ServiceAccount and is not the sandbox's"
    };
    Err(Miss::new(asked, format!("{}, must be {}", word(said), word(row.allowed))).hint(hint).settled())
}

fn review(row: &Access) -> SubjectAccessReview {
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
