//! Asks the API server about the access table.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::access::{Access, table};
use super::miss::{Miss, Sight, all};
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
    let sights = stream::iter(rows).map(|row| ask(context, row)).buffered(AT_ONCE);
    all(sights.collect::<Vec<_>>().await, "questions answered")
}

async fn ask(context: &Context<'_>, row: Access) -> Sight {
    let asked = format!("may {row}");
    let reviews: Api<SubjectAccessReview> = Api::all(context.api.client());
    let (params, question) = (PostParams::default(), review(&row));
    let answer = context.api.ask(&asked, reviews.create(&params, &question)).await?;
    let said = answer.status.is_some_and(|status| status.allowed);
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
