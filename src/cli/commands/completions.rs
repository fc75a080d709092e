//! `sandbox completions`

use clap::Args;

use crate::cli::session::{CommandError, Session};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(in crate::cli) async fn run(
    session: &Session,
    args: &CompletionsArgs,
    mut command_line: clap::Command,
) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "sandbox", &mut script);
    Ok(session.print(&String::from_utf8_lossy(&script)).await?)
}
