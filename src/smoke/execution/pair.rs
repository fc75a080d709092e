//! One pair's three checks, one after the other: each needs the one before it.

use std::future::Future;
use std::time::{Duration, Instant};

use super::trial::Trial;
use super::{admin, log_link, progress, traces};
use crate::limits::EXECUTION_LISTED;
use crate::run::Deadline;
use crate::smoke::board::Board;
use crate::smoke::catalogue::{Check, EXECUTION};
use crate::smoke::miss::{Miss, Sight};
use crate::smoke::target::Context;
use crate::smoke::verdict::{Missed, Verdict};

const PAUSE: Duration = Duration::from_millis(250);

/// The verdicts, up to and with the first that is bad.
pub(super) async fn run(
    trial: &Trial,
    context: &Context<'_>,
    board: &Board<'_>,
    deadline: Deadline,
) -> (Vec<Verdict>, Option<Missed>) {
    let [registered, executed, logged] = EXECUTION;
    let mut pair = Pair { trial, board, verdicts: Vec::new() };
    let missed = async {
        pair.check(registered, async {
            admin::register(trial, context, deadline).await?;
            Ok("read back with its compiled workflow".to_owned())
        })
        .await?;
        pair.check(executed, async {
            admin::launch(trial, context, deadline).await?;
            made(trial, context, deadline).await?;
            let tell = |note: &str| board.missed(&trial.pair(), format!("{}: {note}", trial.pair()));
            let pod = progress::until_succeeded(trial, context, deadline, tell).await?;
            Ok(format!("SUCCEEDED, pod {pod} in {}", trial.at.name))
        })
        .await?;
        pair.check(logged, async {
            let link = admin::log_link(trial, context, deadline).await?;
            let pod = log_link::read(trial, context, &link, deadline).await?;
            Ok(format!("the log of {pod} in {}", trial.at.name))
        })
        .await
    };
    let missed = missed.await.err();
    (pair.verdicts, missed)
}

async fn made(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<(), Miss> {
    // Admin makes the FlyteWorkflow before it answers.
    let deadline = deadline.min(EXECUTION_LISTED);
    loop {
        match traces::is_in_its_namespace(trial, context).await {
            Err(miss) if !miss.settled && !deadline.has_passed() => tokio::time::sleep(PAUSE).await,
            seen => return seen,
        }
    }
}

struct Pair<'a> {
    trial: &'a Trial,
    board: &'a Board<'a>,
    verdicts: Vec<Verdict>,
}

impl Pair<'_> {
    async fn check(&mut self, check: Check, work: impl Future<Output = Sight>) -> Result<(), Missed> {
        let started = Instant::now();
        let sight = work.await;
        let verdict = Verdict::of(check, Some(self.trial.pair()), &sight, started);
        self.board.done(&self.trial.pair(), &verdict);
        let id = verdict.id();
        self.verdicts.push(verdict);
        sight.map(|_| ()).map_err(|miss| Missed { id, check, miss })
    }
}
