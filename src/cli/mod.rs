//! The edge: the only user of argv, the environment, the standard streams, signals and exit codes.
//!
//! | file | what |
//! |---|---|
//! | `command_line.rs` | the list of commands |
//! | `args.rs` | flags that several commands share |
//! | `spec_file.rs` | the user's sandbox.yaml |
//! | `spec_flags.rs` | those of it that change the spec |
//! | `spec_arguments.rs` | the command line of another run with the same spec |
//! | `browser.rs` | what opens a URL on the user's desktop |
//! | `completion.rs` | names that a shell completes |
//! | `environment.rs` | the environment, as values |
//! | `facts.rs` | facts about a run: the machine, and the spec with its origins |
//! | `load.rs` | from files, variables and flags to a spec and a bundle |
//! | `session.rs` | what a command works with: its inputs, its streams, a reported run |
//! | `display.rs` | the views and standard output, on threads of their own |
//! | `signals.rs` | SIGINT, SIGTERM and the deadline, on a thread of its own |
//! | `table.rs` | tables of `list` commands |
//! | `terminal.rs` | the terminal that a command runs on |
//! | `commands/` | one file per command: its arguments, and what it does with them |

mod args;
mod browser;
mod command_line;
mod commands;
mod completion;
mod display;
mod environment;
mod facts;
mod load;
mod session;
mod signals;
mod spec_arguments;
mod spec_file;
mod spec_flags;
mod table;
mod terminal;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;

use crate::failure::Reason;
use command_line::{Cli, Command};
use display::UNWRITABLE;
use environment::Environment;
use session::{CommandError, Session};

/// Runs the command line to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    environment::drop_empty_variables();
    let completion = CompleteEnv::with_factory(Cli::command).var(completion::VARIABLE);
    // Files are completed by the current folder.
    let here = std::env::current_dir().ok();
    match completion.try_complete(std::env::args_os(), here.as_deref()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(message) => return explain(&message),
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(message) => return explain(&message),
    };
    let deadline = cli.command.deadline();
    let session = Session::new(cli.global, matches, Environment::read(), deadline);
    let exit_code = session::block_on(session.supervise(async {
        match Box::pin(run(&session, &cli.command)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => session.end(error).await,
        }
    }));
    exit_code.unwrap_or_else(|failure| ExitCode::from(failure.exit_code()))
}

/// Prints the help or version that was asked for, or what is wrong with the command line.
fn explain(message: &clap::Error) -> ExitCode {
    let printed = message.print().and_then(|()| io::stdout().flush());
    match printed {
        _ if message.use_stderr() => ExitCode::from(Reason::Usage.exit_code()),
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let reason = Reason::ReportUnwritable;
            let _ = writeln!(io::stderr(), "error[{}]: {UNWRITABLE}\n  because {error}", reason.entry().id);
            ExitCode::from(reason.exit_code())
        }
        _ => ExitCode::SUCCESS,
    }
}

async fn run(session: &Session, command: &Command) -> Result<(), CommandError> {
    if uses_state(command) {
        session.host().state.check()?;
    }
    match command {
        Command::Up(args) => commands::up::run(session, args).await,
        Command::Down(args) => commands::down::run(session, args).await,
        Command::Stop(args) => commands::stop::run(session, args).await,
        Command::Reset(args) => commands::reset::run(session, args).await,
        Command::Snapshot(args) => commands::snapshot::run(session, args).await,
        Command::Backup(args) => commands::backup::run(session, args).await,
        Command::Start(args) => commands::start::run(session, args).await,
        Command::Gc(args) => commands::gc::run(session, args).await,
        Command::Status(args) => commands::status::run(session, args).await,
        Command::Smoke(args) => commands::smoke::run(session, args).await,
        Command::Diagnose(args) => commands::diagnose::run(session, args).await,
        Command::Doctor(args) => commands::doctor::run(session, args).await,
        Command::Plan(args) => commands::plan::run(session, args).await,
        Command::Render(args) => commands::render::run(session, args).await,
        Command::List => commands::list::run(session).await,
        Command::Runs(command) => commands::runs::run(session, command).await,
        Command::Run(args) => commands::run::run(session, args).await,
        Command::Exec(args) => commands::exec::run(session, args).await,
        Command::Psql(args) => commands::exec::psql(session, args).await,
        Command::Open(args) => commands::open::run(session, args).await,
        Command::Ui => commands::ui::run(session).await,
        Command::Kubectl(args) => commands::kubectl::run(session, args).await,
        Command::Logs(args) => commands::logs::run(session, args).await,
        Command::Images(args) => commands::images::run(session, args).await,
        Command::Project(args) => commands::project::run(session, args).await,
        Command::Config(args) => commands::config::run(session, args).await,
        Command::Kubeconfig(args) => commands::kubeconfig::run(session, args).await,
        Command::Credentials(args) => commands::credentials::run(session, args).await,
        Command::Schema(args) => commands::schema::run(session, args).await,
        Command::Completions(args) => commands::completions::run(session, args).await,
        Command::Man(args) => commands::man::run(args, Cli::command()),
        Command::Rehearse(args) => commands::rehearse::run(session, args).await,
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
