//! `sandbox logs`

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::args::{Output, query_deadline};
use crate::cli::completion;
use crate::cli::session::{CommandError, Session};
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::kubernetes::{self, LogLine, OutOfMemory, PodSelection};
use crate::report::LogLines;
use crate::site::{self, Running};

/// Lines that may be read before they are printed.
pub(super) const READ_AHEAD: usize = 1000;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Components, such as flyteadmin or flytepropeller-x-d-dev, pods or executions; without any, a list of components
    #[arg(value_name = "COMPONENT|POD|EXECUTION", add = completion::components())]
    names: Vec<String>,
    /// The pods of this execution
    #[arg(long, value_name = "ID", conflicts_with = "names")]
    execution: Option<String>,
    /// Go on with what is written from now on, by the pods that come after these too; to the end of an execution
    #[arg(long, short)]
    follow: bool,
    /// How many lines from the end of each log
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    tail: i64,
}

impl LogsArgs {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        if self.follow { Deadline::fixed(Duration::MAX) } else { query_deadline() }
    }
}

pub(in crate::cli) async fn run(session: &Session, args: &LogsArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let (running, selections) = session
        .query(async {
            let running = site::running(&name, &session.host()).await?;
            let selections = selections(args, &running).await?;
            Ok((running, selections))
        })
        .await?;
    if selections.is_empty() {
        let components = running.inventory.workloads().map(|workload| format!("{}\n", workload.name));
        return Ok(session.print(&components.collect::<String>()).await?);
    }
    let (sender, lines) = mpsc::channel(READ_AHEAD);
    let read = async {
        // Dropped at the end, which ends the printing.
        let lines = sender;
        if !args.follow {
            for selection in &selections {
                kubernetes::logs(&running.client, selection, args.tail, &lines).await?;
            }
            return Ok(());
        }
        let streaming = kubernetes::streaming_client(&running.kubeconfig)?;
        let is_there = async || site::running(&name, &session.host()).await.map(|_| ());
        let followed = selections
            .iter()
            .map(|selection| kubernetes::follow(&running.client, &streaming, selection, args.tail, &lines, &is_there));
        futures::future::try_join_all(followed).await.map(|_| ())
    };
    // A log of one container alone is printed as it is.
    let alone = args.execution.is_none() && selections.len() == 1 && {
        let selection = &selections[0];
        session
            .query(async { Ok(selection.pods(&running.client).await?.iter().all(PodSelection::is_of_one_container)) })
            .await?
    };
    session.until_stopped(async { tokio::try_join!(read, print(session, lines, alone)) }).await?;
    for selection in &selections {
        let pods = session.query(selection.pods(&running.client)).await?;
        let lacking = selection.execution().filter(|_| pods.is_empty() && !args.follow);
        session.warn(lacking.map(without_pods));
        session.warn(kubernetes::out_of_memory(&pods).iter().map(killed));
    }
    Ok(())
}

/// Why an execution has no log.
fn without_pods(id: &str) -> String {
    format!(
        "execution {id} has no pod: none was made yet, or they are removed and their logs with them, as a map task's are \
         after the run; `sandbox logs -f --execution {id}` shows them while it runs"
    )
}

/// What no log says: that its container was killed.
pub(super) fn killed(OutOfMemory { pod, limit }: &OutOfMemory) -> String {
    match limit {
        Some(limit) => format!(
            "{pod} was killed for lack of memory: its limit is {limit}; a task sets it by `@task(requests=Resources(mem=\"1Gi\"), limits=Resources(mem=\"1Gi\"))`, and `tasks: {{memory: 1Gi}}` in sandbox.yaml for those that name none"
        ),
        None => format!("{pod} was killed for lack of memory: the node had no more"),
    }
}

async fn selections(args: &LogsArgs, running: &Running) -> Result<Vec<PodSelection>, Failure> {
    let Running { client, inventory, .. } = running;
    if let Some(id) = &args.execution {
        return Ok(vec![PodSelection::of_execution(id, client, &inventory.spec).await?]);
    }
    let mut selections = Vec::new();
    for name in &args.names {
        selections.push(PodSelection::named(name, client, inventory).await?);
    }
    Ok(selections)
}

/// Prints lines as they come, several at a time where they come fast.
pub(super) async fn print(session: &Session, mut lines: mpsc::Receiver<LogLine>, alone: bool) -> Result<(), Failure> {
    let mut names = LogLines::new(session.prints_in_colour());
    let is_json = session.output() == Output::Json;
    let mut came = Vec::new();
    while lines.recv_many(&mut came, READ_AHEAD).await > 0 {
        let shown = came.drain(..).map(|LogLine { label, text }| match (is_json, alone) {
            (true, _) => format!("{}\n", json!({ "log": label, "text": text })),
            (false, true) => format!("{text}\n"),
            (false, false) => names.line(&label, &text),
        });
        if !session.print_on(&shown.collect::<String>()).await? {
            break;
        }
    }
    Ok(())
}
