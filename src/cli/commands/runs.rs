//! `sandbox runs`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::args::{Output, ReportArgs};
use crate::cli::session::{CommandError, Session};
use crate::cli::table::table;
use crate::failure::{Failure, Reason};
use crate::page::Form;
use crate::report::{Json, Junit, Plain, Verbosity, span};
use crate::run::on_thread;
use crate::runs::{Folder, Recorded, Summary};
use crate::timeline::{Change, compare};

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Print the runs that were recorded on this machine, the newest last
    List,
    /// Print what a run said
    Show(ShowArgs),
    /// Write a run's recording to a file, which `show` reads elsewhere
    Export(ExportArgs),
    /// Print what got slower from one run to another, by stage, image, workload and workflow
    Diff(DiffArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// The run's id, or how it begins, or the file of an exported one; the newest run where absent
    run: Option<PathBuf>,
    /// Print it as a page of HTML
    #[arg(long)]
    html: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The run's id, or how it begins
    run: PathBuf,
    /// Where to
    file: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArgs {
    /// The earlier run: its id, or how it begins, or a file
    before: PathBuf,
    /// The later run; the newest where absent
    after: Option<PathBuf>,
}

pub(in crate::cli) async fn run(session: &Session, command: &RunsCommand) -> Result<(), CommandError> {
    let folder = Folder::of(session.host().state.path());
    match command {
        RunsCommand::List => {
            let rows = session.query(on_thread(move || rows(&folder))).await?;
            match session.output() {
                Output::Json => session.print_json(&rows).await?,
                Output::Human => session.print(&listed(&rows)).await?,
            }
        }
        RunsCommand::Show(args) => {
            let (args, output) = (args.clone(), session.output());
            let work = move || shown(&folder, &args, output);
            if let Some(text) = session.query(async { on_thread(work).await? }).await? {
                session.print(&text).await?;
            }
        }
        RunsCommand::Diff(args) => {
            let args = args.clone();
            let work = move || {
                let (before, after) = (read(&folder, Some(&args.before))?, read(&folder, args.after.as_deref())?);
                Ok(compare(&before.events, &after.events))
            };
            let changes = session.query(async { on_thread(work).await? }).await?;
            match session.output() {
                Output::Json => session.print_json(&changes).await?,
                Output::Human => session.print(&differences(&changes)).await?,
            }
        }
        RunsCommand::Export(ExportArgs { run, file }) => {
            let (run, file) = (run.clone(), file.clone());
            let work = move || {
                let from = place(&folder, Some(&run))?;
                fs::copy(from, &file).map_err(|error| unwritable(&file, &error)).map(drop)
            };
            session.query(async { on_thread(work).await? }).await?;
        }
    }
    Ok(())
}

/// Where the recording is that is meant.
fn place(folder: &Folder, run: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(file) = run.filter(|run| run.is_file()) {
        return Ok(file.to_owned());
    }
    let id = run.map(|run| run.to_string_lossy());
    folder.find(id.as_deref()).map(|entry| entry.path).ok_or_else(|| match id {
        None => Failure::new(Reason::NotFound, "no run was recorded yet"),
        Some(id) => Failure::new(Reason::NotFound, "no recorded run, or more than one, has this id")
            .on(format!("run {id}"))
            .hint("`sandbox runs list` lists them"),
    })
}

fn read(folder: &Folder, run: Option<&Path>) -> Result<Recorded, Failure> {
    let path = place(folder, run)?;
    Recorded::read(&path).map_err(|error| {
        Failure::new(Reason::Usage, "cannot read the recording")
            .on(path.display())
            .because(error)
            .hint("what `sandbox runs export` wrote is read by the version of it, and by later ones")
    })
}

/// The text to print; absent where files were asked for.
fn shown(folder: &Folder, args: &ShowArgs, output: Output) -> Result<Option<String>, Failure> {
    let recorded = read(folder, args.run.as_deref())?;
    let text = |form: Form| {
        let text = form.text(recorded.began, &recorded.events, recorded.unread);
        text.map_err(|error| Failure::new(Reason::Internal, "cannot make the page").because(error))
    };
    if args.html {
        return text(Form::Page).map(Some);
    }
    if !args.reports.any() {
        return printed(&recorded, output).map(Some);
    }
    for (form, path) in args.reports.forms() {
        form.write(path, &text(form)?).map_err(|error| unwritable(path, &error))?;
    }
    if let Some(path) = &args.reports.junit {
        let replayed = Junit::create(path).and_then(|mut view| recorded.replay(&mut view));
        replayed.map_err(|error| unwritable(path, &error))?;
    }
    Ok(None)
}

/// What takes longer or shorter by a tenth of a second and a tenth of its time, a line each, with the time of all.
fn differences(changes: &[Change]) -> String {
    const LEAST: i64 = 100;
    let seconds =
        |millis: Option<u64>| millis.map(|millis| format!("{:.1}s", Duration::from_millis(millis).as_secs_f64()));
    let differs = |change: &&Change| {
        let by = change.slower().abs();
        let of = i64::try_from(change.before.unwrap_or_default()).unwrap_or(i64::MAX);
        by >= LEAST && by >= of / 10
    };
    let rows: Vec<_> = changes
        .iter()
        .filter(differs)
        .map(|change| {
            let slower = change.slower();
            let sign = if slower < 0 { '-' } else { '+' };
            let by = Duration::from_millis(slower.unsigned_abs()).as_secs_f64();
            let name = Some(change.name.clone());
            [
                Some(change.kind.to_owned()),
                name,
                seconds(change.before),
                seconds(change.after),
                Some(format!("{sign}{by:.1}s")),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "nothing takes a tenth of its time longer or shorter\n".to_owned();
    }
    table(["WHAT", "NAME", "BEFORE", "AFTER", "BY"], rows.into_iter())
}

fn printed(recorded: &Recorded, output: Output) -> Result<String, Failure> {
    let mut text = Vec::new();
    let replayed = match output {
        Output::Json => recorded.replay(&mut Json::new(&mut text)),
        Output::Human => recorded.replay(&mut Plain::new(&mut text, false, Verbosity::Verbose)),
    };
    replayed.map_err(|error| Failure::new(Reason::Internal, "cannot show the recording").because(error))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let (Output::Human, 1..) = (output, recorded.unread) {
        text.push_str(&format!("{} lines are of a later version of this program, or were cut off\n", recorded.unread));
    }
    Ok(text)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Reason::ReportUnwritable, "cannot write the file").on(path.display()).because(error)
}

fn rows(folder: &Folder) -> Vec<Summary> {
    folder.entries().into_iter().filter_map(|entry| Some(Recorded::read(&entry.path).ok()?.summary(entry.id))).collect()
}

fn listed(rows: &[Summary]) -> String {
    table(
        ["ID", "BEGAN", "COMMAND", "SANDBOX", "TOOK", "OUTCOME"],
        rows.iter().map(|row| {
            let took = row.millis.map(|millis| match millis {
                ..60_000 => format!("{:.1}s", Duration::from_millis(millis).as_secs_f64()),
                _ => span(Duration::from_millis(millis)),
            });
            let cells = [Some(row.id.clone()), Some(row.began.clone()), row.command.clone(), row.sandbox.clone(), took];
            let [id, began, command, sandbox, took] = cells;
            [id, began, command, sandbox, took, Some(row.ended())]
        }),
    )
}
