//! `sandbox exec` and `sandbox psql`

use clap::Args;

use crate::cli::completion;
use crate::cli::session::{CommandError, Session};
use crate::cli::terminal::RawTerminal;
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, ExecError, Input, PodSelection};
use crate::render::Component;
use crate::site;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The component, or the pod
    #[arg(value_name = "COMPONENT|POD", add = completion::components())]
    target: String,
    /// The command and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PsqlArgs {
    /// Arguments of psql, such as `-c "select 1"`; options of this program come before them
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(in crate::cli) async fn run(session: &Session, args: &ExecArgs) -> Result<(), CommandError> {
    within(session, &args.target, &args.command).await
}

/// As the server's own user; what `args` say comes before what the variables do.
pub(in crate::cli) async fn psql(session: &Session, args: &PsqlArgs) -> Result<(), CommandError> {
    let psql = r#"PGUSER="${POSTGRES_USER:-postgres}" PGDATABASE="${POSTGRES_DB:-postgres}" exec psql "$@""#;
    let command = ["sh", "-c", psql, "psql"].into_iter().map(str::to_owned);
    within(session, Component::Postgres.id(), &command.chain(args.args.clone()).collect::<Vec<_>>()).await
}

/// Runs a command in a container, with the standard streams of this process; its exit code is ours.
async fn within(session: &Session, target: &str, command: &[String]) -> Result<(), CommandError> {
    let name = session.name().await?;
    let (streaming, container) = session
        .query(async {
            let running = site::running(&name, &session.host()).await?;
            if running.rehearsal {
                return Err(Failure::new(Reason::Usage, "in a rehearsal there is nothing that could run a command")
                    .on(format!("sandbox {name}")));
            }
            let selection = PodSelection::named(target, &running.client, &running.inventory).await?;
            let container = kubernetes::running_container(&running.client, &selection, target).await?;
            Ok((kubernetes::streaming_client(&running.kubeconfig)?, container))
        })
        .await?;
    let terminal = RawTerminal::take();
    let input = match &terminal {
        Some(terminal) => Input::Terminal(tokio::io::stdin(), terminal.sizes()),
        None if RawTerminal::has_input() => Input::Piped(tokio::io::stdin()),
        None => Input::None,
    };
    let (stdout, stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let run = kubernetes::attach(&streaming, &container, command, input, stdout, stderr);
    let code = session.until_stopped(async { run.await.map_err(|error| failure(error, command)) }).await;
    drop(terminal);
    match code? {
        0 => Ok(()),
        code => Err(CommandError::Reported(code)),
    }
}

fn failure(error: ExecError, command: &[String]) -> Failure {
    let failure = |reason| Failure::new(reason, "cannot run the command").on(command.join(" "));
    match error {
        ExecError::Failed { message, .. } => failure(Reason::Usage).because(message),
        ExecError::Output(error) => failure(Reason::ReportUnwritable).because(error),
        error => failure(Reason::ClusterNotReady).caused_by(error),
    }
}
