//! One request with a limit, and requests that are repeated until they are taken.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::sleep;

use super::error::{ApiError, Outlook};
use crate::limits::API_REQUEST;
use crate::report::Stage;
use crate::run::{Deadline, Run};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Awaits the answer to one request for at most `limit`.
///
/// # Errors
/// The API's answer, or [`ApiError::TimedOut`].
pub(crate) async fn ask<T, E: Into<ApiError>>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    match Deadline::fixed(limit).limit(request).await {
        Some(answer) => answer.map_err(Into::into),
        None => Err(ApiError::TimedOut(limit)),
    }
}

/// Repeats a request until it is taken or refused, or the run's deadline passes. What is not there may come within
/// `patience`. Says each time why.
///
/// # Errors
/// The last attempt's.
pub(crate) async fn retry<T, E, F>(
    run: &Run,
    object: &impl std::fmt::Display,
    patience: Duration,
    mut request: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    E: Into<ApiError>,
    F: Future<Output = Result<T, E>>,
{
    let patience = run.deadline.min(patience);
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
    let limited = || ask(run.deadline.remaining().min(API_REQUEST), request());
    let repeated = limited
        .retry(pauses.without_max_times())
        .sleep(sleep)
        .adjust(|error, pause| {
            let left = match error.outlook() {
                Outlook::Transient => run.deadline.remaining(),
                Outlook::Missing => patience.remaining(),
                Outlook::Immutable | Outlook::Refused => return None,
            };
            pause.filter(|pause| left > *pause).map(|pause| pause.max(error.retry_after()).min(left))
        })
        .notify(|error, _| run.report.progress(Stage::Apply, format!("{object}: {error}; trying again")));
    // On the heap: within the stages, it is more than some stacks have.
    Box::pin(repeated.into_future()).await
}
