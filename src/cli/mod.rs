//! The edge: the only user of argv, the environment, the standard streams, signals and exit codes.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | what may stand on the command line |
//! | `spec_flags.rs` | those of it that change the spec |
//! | `environment.rs` | the environment, as values |
//! | `load.rs` | from files, variables and flags to a spec and a bundle |
//! | `session.rs` | what a command works with: its inputs, its streams, a narrated run |
//! | `interrupt.rs` | SIGINT and SIGTERM |
//! | `commands/` | one file per command |

mod args;
mod commands;
mod environment;
mod interrupt;
mod load;
mod session;
mod spec_flags;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use environment::Environment;
use session::Session;

/// Runs the command line to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let environment = Environment::read();
    let checked = if uses_state(&cli.command) { environment.state.check() } else { Ok(()) };
    let session = Session::new(cli.global, matches, environment);
    if let Err(failure) = checked {
        return session.end(failure.into());
    }
    let done = match &cli.command {
        Command::Up(args) => commands::up::run(&session, args),
        Command::Down(args) => commands::down::run(&session, args),
        Command::Gc(args) => commands::gc::run(&session, args),
        Command::Status(args) => commands::status::run(&session, args),
        Command::Smoke(args) => commands::smoke::run(&session, args),
        Command::Diagnose(args) => commands::diagnose::run(&session, args),
        Command::Doctor(args) => commands::doctor::run(&session, args),
        Command::Plan(args) => commands::plan::run(&session, args),
        Command::Render(args) => commands::render::run(&session, args),
        Command::Logs(args) => commands::logs::run(&session, args),
        Command::Images(args) => commands::images::run(&session, args),
        Command::Project(args) => commands::project::run(&session, args),
        Command::Config(args) => commands::config::run(&session, args),
        Command::Kubeconfig(args) => commands::kubeconfig::run(&session, args),
        Command::Credentials(args) => commands::credentials::run(&session, args),
        Command::Schema(args) => commands::schema::run(&session, args),
        Command::Completions(args) => commands::completions::run(&session, args),
        Command::Rehearse(args) => commands::rehearse::run(&session, args),
        Command::Man(args) => commands::man::run(&session, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => session.end(ended),
    }
}

/// Whether a command reads or writes the state folder; `render` does where it needs the machine's key, and looks itself.
fn uses_state(command: &Command) -> bool {
    let without = matches!(
        command,
        Command::Render(_) | Command::Schema(_) | Command::Completions(_) | Command::Rehearse(_) | Command::Man(_)
    );
    !without
}
