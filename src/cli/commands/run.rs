//! `sandbox run`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::sync::mpsc::{self, Sender};

use super::config::Client;
use super::logs;
use crate::cli::args::TimeoutArg;
use crate::cli::completion;
use crate::cli::session::{CommandError, Session};
use crate::failure::{Failure, Reason};
use crate::files::private_folder;
use crate::flyte::launch::Launch;
use crate::flytekit::{Module, Refusal, Registration, SCRIPT, Unclear, choose, code};
use crate::kubernetes::{self, LogLine, PodSelection};
use crate::lifecycle::{self, HeldBack};
use crate::limits;
use crate::process::{self, Tool};
use crate::run::{Deadline, on_thread};
use crate::site::{self, Host, Running};
use crate::spec::{Spec, closest};

/// What gets a flytekit that is known to work.
const INSTALL: &str = "`pip install 'flytekit==1.10.7' 'numpy<2' 'pandas<3' 'pyarrow<20'` installs one, with Python 3.8 to 3.11; docs/clients.md has the versions that work";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The Python file; what is in its folder goes into the tasks' pods
    file: PathBuf,
    /// The workflow, or a launch plan; the only workflow of the file where absent
    workflow: Option<String>,
    /// The project to run it in; the sandbox's first where absent
    #[arg(long, short, value_name = "ID", add = completion::projects())]
    project: Option<String>,
    /// The domain to run it in; the sandbox's first where absent
    #[arg(long, short, value_name = "ID", add = completion::domains())]
    domain: Option<String>,
    /// The image of tasks that name none; where absent, that of flytekit's own release
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// An input of the workflow: text as it is, all else as JSON
    #[arg(long = "input", value_name = "KEY=VALUE", value_parser = key_value)]
    inputs: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::RUN.as_secs() }>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(in crate::cli) async fn run(session: &Session, args: &RunArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let host = session.host();
    let running = session.query(async { site::running(&name, &host).await }).await?;
    let spec = &running.inventory.spec;
    let client = Client::of(spec, args.project.as_deref())?;
    let job = Job {
        flytekit: Flytekit::find(&host)?,
        module: module(&args.file)?,
        domain: domain(spec, args.domain.as_deref())?,
        id: fresh_name(),
        launched: OnceLock::new(),
        began: Instant::now(),
        session,
        args,
        host: &host,
        running: &running,
        client: &client,
    };
    let (lines, printed) = mpsc::channel(logs::READ_AHEAD);
    let mut held = HeldBack::default();
    let work = async { tokio::try_join!(job.to_the_end(lines, &mut held), logs::print(session, printed, false)) };
    let ended = session.until_stopped(work).await;
    let goes_on = format!("execution {} goes on; `sandbox logs -f --execution {}` shows it", job.id, job.id);
    let ended = ended.map_err(|error| match (error, job.launched.get()) {
        (CommandError::Unreported(failure), Some(launch)) if failure.reason == Reason::TimedOut => {
            CommandError::Unreported(held.explain(failure, launch).hint(goes_on.clone()))
        }
        (error, _) => error,
    });
    if let Ok(selection) = PodSelection::of_execution(&job.id, &running.client, spec).await {
        let pods = session.query(selection.pods(&running.client)).await.unwrap_or_default();
        session.warn(kubernetes::out_of_memory(&pods).iter().map(logs::killed));
        if matches!(ended, Err(CommandError::Reported(_))) {
            session.warn(held.line());
            session.warn([goes_on]);
        }
    }
    ended.map(|_| ())
}

/// A run of a file: the code to the sandbox, and its execution to the end.
struct Job<'a> {
    session: &'a Session,
    args: &'a RunArgs,
    host: &'a Host,
    running: &'a Running,
    client: &'a Client<'a>,
    flytekit: Flytekit,
    module: Module,
    domain: String,
    /// The name of the execution, and the version of what is registered for it.
    id: String,
    /// Set once the execution is there.
    launched: OnceLock<Launch>,
    began: Instant,
}

impl Job<'_> {
    async fn to_the_end(&self, lines: Sender<LogLine>, held: &mut HeldBack) -> Result<(), Failure> {
        let plan = self.register().await?;
        let registered = self.began.elapsed().as_secs_f32();
        let Self { client: Client { project, .. }, domain, id, .. } = self;
        let launch = Launch {
            project: project.clone(),
            domain: domain.clone(),
            plan,
            version: id.clone(),
            execution: id.clone(),
        };
        let (client, spec) = (&self.running.client, &self.running.inventory.spec);
        let run = self.session.silent_run();
        lifecycle::launch(client, spec, &launch, &self.args.inputs, &run).await?;
        let launch = self.launched.get_or_init(|| launch);
        self.tell(&lines, format!("{} registered in {project}/{domain} ({registered:.1} s)", launch.plan)).await;
        self.tell(&lines, format!("http://{}/console{}", self.client.admin(), launch.page())).await;

        let selection = PodSelection::of_execution(&self.id, client, spec).await?;
        let streaming = kubernetes::streaming_client(&self.running.kubeconfig)?;
        let is_there = async || site::running(&spec.name, self.host).await.map(|_| ());
        let is_quiet = self.session.is_quiet();
        let follow = async {
            if is_quiet {
                return Ok(());
            }
            kubernetes::follow(client, &streaming, &selection, i64::MAX, &lines, is_there).await
        };
        let watch = lifecycle::watch(client, spec, launch, (&selection, held), &run, async |label, text| {
            if !is_quiet {
                let _ = lines.send(LogLine { label, text }).await;
            }
        });
        let (mut follow, mut watch) = (std::pin::pin!(follow), std::pin::pin!(watch));
        let outputs = tokio::select! {
            ended = &mut watch => {
                Deadline::fixed(limits::LAST_LINES).limit(follow).await.unwrap_or(Ok(()))?;
                ended?
            }
            followed = &mut follow => {
                followed?;
                watch.await?
            }
        };
        // Its phase is told already where all of them are.
        let end = is_quiet.then(|| "SUCCEEDED".to_owned());
        for line in end.into_iter().chain(outputs) {
            self.print(&lines, line).await;
        }
        Ok(())
    }

    /// Brings the code to the project's bucket, and its tasks and workflows to admin.
    /// Returns the launch plan's name.
    async fn register(&self) -> Result<String, Failure> {
        let Self { client, module, .. } = self;
        let folder =
            Scratch::make(&self.host.state.sandbox(&self.running.inventory.spec.name).path().join("run"), &self.id)?;
        let (copy, output) = (folder.0.join("code"), folder.0.join("out"));
        let (from, to) = (module.root.clone(), copy.clone());
        on_thread(move || code::copy(&from, &to)).await?.map_err(|error| {
            Failure::new(Reason::Usage, "cannot take the code along").on(module.root.display()).because_of(&error).hint(
                "the file's folder goes into the tasks' pods: move the file to one that has its code alone; data goes into \
                 the image or the bucket",
            )
        })?;
        fs::create_dir(&output).map_err(|error| {
            Failure::new(Reason::StateUnwritable, "cannot make a folder").on(output.display()).because_of(&error)
        })?;
        let admin = client.admin();
        let registration = Registration {
            module: &module.name,
            root: &copy,
            output: &output,
            image: self.args.image.as_deref(),
            project: &client.project,
            domain: &self.domain,
            version: &self.id,
            admin: &admin,
            bucket: &client.bucket,
        };
        let environment = client.environment(&client.write(self.host)?, self.host);
        // Whoever reads the user's paths knows nothing of the copy.
        let theirs = |mut failure: Failure| {
            let shown = |line: &String| line.replace(&*copy.to_string_lossy(), &module.root.to_string_lossy());
            failure.evidence = failure.evidence.iter().map(shown).collect();
            failure
        };
        let script = folder.0.join("register.py");
        fs::write(&script, SCRIPT).map_err(|error| {
            Failure::new(Reason::StateUnwritable, "cannot write a file").on(script.display()).because_of(&error)
        })?;
        let args: Vec<_> =
            [script.to_string_lossy().into_owned()].into_iter().chain(registration.arguments()).collect();
        let tool = Tool::new(&self.flytekit.python, environment);
        tool.run(&args, &self.session.silent_run(), |_| ()).await.map_err(|error| {
            let code = match &error.cause {
                process::Cause::Exit { status, .. } => status.code(),
                _ => None,
            };
            let failure = theirs(error.failure(Reason::WorkflowFailed));
            let Some(refusal) = code.and_then(Refusal::of) else { return failure };
            // The command line is long, and none of the user's.
            let causes = failure.causes.get(1..).unwrap_or_default().to_vec();
            let told = |what: &str, hint: &str| {
                Failure { what: what.to_owned(), causes: causes.clone(), ..failure.clone() }
                    .on(self.args.file.display())
                    .hint(hint)
            };
            match refusal {
                Refusal::NoFlytekit => Failure { reason: Reason::Usage, ..told("flytekit cannot be used", INSTALL) },
                Refusal::NotLoaded => told("flytekit cannot load the file", "its words are above"),
                Refusal::NotRegistered if self.running.rehearsal => told(
                    "flytekit cannot register the file",
                    "a rehearsal has no gRPC: flytekit can register nothing there",
                ),
                Refusal::NotRegistered => told(
                    "flytekit cannot register the file",
                    "its words are above, and admin's are in `sandbox logs flyteadmin`",
                ),
            }
        })?;
        let named = self.args.workflow.as_deref();
        choose(&names(&output), &module.name, named).map_err(|Unclear { what, why, hint, known }| {
            let close = named.and_then(|named| closest(named, known.iter().map(String::as_str)));
            let hint = close.map_or_else(|| hint.to_owned(), |close| format!("did you mean `{close}`?"));
            Failure::new(Reason::Usage, what).on(self.args.file.display()).because(why).hint(hint)
        })
    }

    /// A line of progress.
    async fn tell(&self, lines: &Sender<LogLine>, text: String) {
        if !self.session.is_quiet() {
            self.print(lines, text).await;
        }
    }

    async fn print(&self, lines: &Sender<LogLine>, text: String) {
        // Whoever printed them is gone: the exit code still counts.
        let _ = lines.send(LogLine { label: self.id.clone(), text }).await;
    }
}

/// flytekit, in the environment of the user.
struct Flytekit {
    /// The interpreter that has it.
    python: PathBuf,
}

impl Flytekit {
    /// That of the virtual environment, or else of the `PATH`: the interpreter that its program pyflyte names, or else the one
    /// beside it.
    fn find(host: &Host) -> Result<Self, Failure> {
        let variables: &BTreeMap<String, String> = &host.variables;
        let environment = variables.get("VIRTUAL_ENV").map(|folder| Path::new(folder).join("bin/pyflyte"));
        let pyflyte = environment.filter(|file| file.is_file()).or_else(|| process::find("pyflyte", variables));
        let missing =
            |why: String| Failure::new(Reason::Usage, "flytekit is not installed here").because(why).hint(INSTALL);
        let pyflyte = pyflyte.ok_or_else(|| missing("there is no pyflyte in VIRTUAL_ENV or on the PATH".to_owned()))?;
        let named = fs::read(&pyflyte).ok().and_then(|script| interpreter(&script)).filter(|python| python.is_file());
        let beside =
            || ["python3", "python"].map(|name| pyflyte.with_file_name(name)).into_iter().find(|it| it.is_file());
        let python = named.or_else(beside);
        let python = python.ok_or_else(|| missing(format!("{} does not tell its Python", pyflyte.display())))?;
        Ok(Self { python })
    }
}

/// The Python that a script's first line names.
fn interpreter(script: &[u8]) -> Option<PathBuf> {
    let first = script.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let path = Path::new(std::str::from_utf8(first).ok()?.trim());
    let is_python = path.file_name()?.to_str()?.starts_with("python");
    is_python.then(|| path.to_owned())
}

/// A folder that is gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &Path, name: &str) -> Result<Self, Failure> {
        let folder = parent.join(name);
        private_folder(&folder).map_err(|error| {
            Failure::new(Reason::StateUnwritable, "cannot make a folder").on(folder.display()).because_of(&error)
        })?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn module(file: &Path) -> Result<Module, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::new(Reason::Usage, "cannot run the file").on(file.display()).because(why)
    };
    let absolute = fs::canonicalize(file).map_err(|error| unusable(&error))?;
    Module::of(&absolute, |folder| folder.join("__init__.py").is_file()).map_err(|why| unusable(&why))
}

fn domain(spec: &Spec, named: Option<&str>) -> Result<String, Failure> {
    let known: Vec<_> = spec.domains.iter().map(|domain| domain.id.as_str()).collect();
    match named.or(known.first().copied()).filter(|named| known.contains(named)) {
        Some(domain) => Ok(domain.to_owned()),
        None => Err(Failure::new(Reason::Usage, "there is no such domain in the sandbox")
            .on(format!("domain {}", named.unwrap_or_default()))
            .hint(format!("there are: {}", known.join(", ")))),
    }
}

/// A name that no other execution has, by the moment.
fn fresh_name() -> String {
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("r{:x}", moment.as_micros())
}

/// The names of the files in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
