//! `sandbox completions`

use clap::Args;
use clap_complete::env::Shells;

use crate::cli::completion::VARIABLE;
use crate::cli::session::{CommandError, Session};
use crate::failure::{Failure, Reason};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// The script asks this program for what may stand next, so that names are completed too.
pub(in crate::cli) async fn run(session: &Session, args: &CompletionsArgs) -> Result<(), CommandError> {
    let mut script = Vec::new();
    let shell = args.shell.to_string();
    let failed = |why: String| Failure::new(Reason::Internal, "cannot write the script").because(why);
    let shells = Shells::builtins();
    let writer = shells.completer(&shell).ok_or_else(|| failed(format!("there is none for {shell}")))?;
    let written = writer.write_registration(VARIABLE, "sandbox", "sandbox", "sandbox", &mut script);
    written.map_err(|error| failed(error.to_string()))?;
    Ok(session.print(&String::from_utf8_lossy(&script)).await?)
}
