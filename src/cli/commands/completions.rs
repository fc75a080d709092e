//! `sandbox completions`

use clap::CommandFactory;

use crate::cli::args::{Cli, Completions};
use crate::cli::session::{Ended, Session};

pub(in crate::cli) fn run(session: &Session, args: &Completions) -> Result<(), Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sandbox", &mut script);
    Ok(session.print(&String::from_utf8_lossy(&script))?)
}
