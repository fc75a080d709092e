//! From a sandbox in any state to a folder.

use std::fmt;
use std::future::ready;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use kube::Client;
use serde_json::{Map, Value};

use super::folder::Folder;
use super::index::{Index, Row};
use super::mask::Mask;
use super::sink::{Filled, Sink};
use super::source::Found;
use super::{docker, kubernetes, run_log, story};
use crate::cluster;
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::plan::Plan;
use crate::report::{About, Event, Fact};
use crate::run::{Deadline, Run};
use crate::runs::Recorded;
use crate::state::StateRoot;

/// Request for the evidence of one sandbox: how its parts can be reached, or why they cannot.
#[derive(Debug, Clone)]
pub struct EvidenceRequest<'a> {
    /// The sandbox's name.
    pub name: &'a str,
    /// Why the run failed; where none did, what the sandbox is doing.
    pub why: Result<&'a str, &'a Failure>,
    /// The plan of its `up`.
    pub plan: Result<&'a Plan, &'a Failure>,
    /// The daemon that it is on.
    pub docker: Result<&'a Docker, &'a Failure>,
    /// The attached cluster that it is on, in place of a daemon.
    pub attached: Option<AttachedCluster<'a>>,
    /// Access to its API, where that is not to be had from Docker.
    pub kubeconfig: Option<String>,
    /// What made its node, with the version.
    pub engine: Result<String, &'a Failure>,
    /// Its secrets, besides those in the plan.
    pub secrets: Vec<String>,
    /// From when on events matter.
    pub since: SystemTime,
    /// The last run on it, where the evidence is not that of a run.
    pub last_run: Option<Recorded>,
}

/// A attached cluster, as far as the sandbox is in it.
#[derive(Clone)]
pub struct AttachedCluster<'a> {
    /// Its API.
    pub client: &'a Client,
    /// The namespaces; no other is asked about.
    pub namespaces: Vec<String>,
}

impl fmt::Debug for AttachedCluster<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedCluster").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

/// Collection of logs, events and descriptions into a new folder, whose path is returned. Whatever is broken is noted, the
/// rest is collected; nothing is changed but the folder.
///
/// # Errors
/// [`Reason::StateUnwritable`] when there cannot be a folder.
pub async fn collect(request: &EvidenceRequest<'_>, root: &StateRoot, run: &Run) -> Result<PathBuf, Failure> {
    let now = SystemTime::now();
    let unwritable = |error: &dyn std::fmt::Display| {
        Failure::new(Reason::StateUnwritable, "cannot keep the evidence").on(root.path().display()).because(error)
    };
    let deadline = run.deadline.min(limits::EVIDENCE);
    // What has been said until here: what follows is about the evidence itself.
    let (history, output) = (run.report.history(), run.report.output_log());
    let mut secrets = request.secrets.clone();
    let planned = request.plan.ok().into_iter().flat_map(|plan| plan.spec.secrets());
    secrets.extend(planned.map(|secret| secret.expose().to_owned()));
    let folder = Folder::create(root, request.name, now).map_err(|error| unwritable(&error))?;
    let sink = Sink::new(folder, Mask::new(secrets));
    sink.take(of_the_run(request, &history, &output).and(run_log::plan(request.plan)));
    let said = all(request, &sink, deadline).await;
    let versions = versions(request, &said);
    let shown: Map<_, _> = versions.iter().map(|(of, version)| ((*of).to_owned(), version.as_str().into())).collect();
    sink.take(Found::file("versions.json", "versions of all that had a part in it", Value::Object(shown)));
    let (Filled { folder, mut rows, missing, told }, mask) = sink.finish();
    // They came in no order that would mean something.
    rows.sort_by_key(|row| (row.path.contains('/'), row.path.clone()));
    let known = versions.iter().filter(|(_, version)| !version.starts_with("not known"));
    let facts = known.map(|(of, version)| Fact::new(*of, mask.text(version))).collect();
    let found: Vec<_> = std::iter::once(Event::Facts { about: About::Versions, facts }).chain(told).collect();
    let story = story::Story {
        name: request.name,
        why: request.why,
        last_run: request.last_run.as_ref(),
        began: run.report.began(),
        history: &history,
        found: &found,
    };
    let page = story.page(now, &mask).map_err(|error| unwritable(&error))?;
    let bytes = folder.keep_index("index.html", &page).map_err(|error| unwritable(&error))?;
    rows.insert(
        0,
        Row { path: "index.html".to_owned(), what: "all of this as a page, with a timeline".to_owned(), bytes },
    );
    let when = humantime::format_rfc3339_seconds(now).to_string();
    let index = Index {
        sandbox: request.name,
        when: &when,
        why: request.why,
        versions: &versions,
        history: &history,
        files: &rows,
        missing: &missing,
    };
    folder.keep_index("index.md", &mask.text(&index.page())).map_err(|error| unwritable(&error))?;
    // For those who have the run and not the folder.
    found.into_iter().for_each(|event| run.report.emit(event));
    folder.publish().map_err(|error| unwritable(&error))
}

/// What this program knows of a run that failed.
fn of_the_run(request: &EvidenceRequest<'_>, history: &[(Duration, Event)], output: &[(Duration, String)]) -> Found {
    match request.why {
        Ok(_) => Found::default(),
        Err(failure) => run_log::failure(failure).and(run_log::run(history)).and(run_log::program_output(output)),
    }
}

/// What Docker and Kubernetes say of their own versions.
#[derive(Debug, Default)]
struct Said {
    docker: Option<Value>,
    kubernetes: Option<Value>,
}

/// All sources at once, into the folder.
async fn all(request: &EvidenceRequest<'_>, sink: &Sink, deadline: Deadline) -> Said {
    let name = request.name;
    // Where Docker does not answer, that is told by all that is asked of it.
    let cluster_of = async |docker| cluster::cluster_of(docker, name).await.unwrap_or_else(|_| name.to_owned());
    let of_docker = async |docker| {
        let found = docker::sources(docker, &cluster_of(docker).await, request.since, deadline).await;
        let said = found.data("docker/daemon.json");
        sink.take(found);
        said
    };
    match (&request.attached, request.docker, &request.kubeconfig) {
        (Some(attached), _, _) => {
            let kubernetes = kubernetes::within(attached.client, &attached.namespaces, sink, deadline).await;
            Said { docker: None, kubernetes }
        }
        (None, Ok(docker), _) => {
            let kubeconfig = async { Ok(cluster::kubeconfig(docker, &cluster_of(docker).await).await?) };
            let kubernetes = kubernetes::sources(kubeconfig, sink, deadline);
            let (docker, kubernetes) = tokio::join!(of_docker(docker), kubernetes);
            Said { docker, kubernetes }
        }
        (None, Err(failure), Some(kubeconfig)) => {
            sink.take(Found::missing("all that Docker knows", failure.to_string()));
            let kubernetes = kubernetes::sources(ready(Ok(kubeconfig.clone())), sink, deadline).await;
            Said { docker: None, kubernetes }
        }
        (None, Err(failure), None) => {
            sink.take(Found::missing("all that Docker and Kubernetes know", failure.to_string()));
            Said::default()
        }
    }
}

/// The versions of all that had a part in it.
fn versions(request: &EvidenceRequest<'_>, said: &Said) -> Vec<(&'static str, String)> {
    let of = |value: &Option<Value>, pointer: &str| {
        let text = value.as_ref().and_then(|value| value.pointer(pointer)?.as_str());
        text.unwrap_or("not known").to_owned()
    };
    vec![
        ("sandbox", env!("CARGO_PKG_VERSION").to_owned()),
        ("engine", request.engine.clone().unwrap_or_else(|failure| format!("not known: {failure}"))),
        ("Docker", of(&said.docker, "/version/Version")),
        ("Kubernetes", of(&said.kubernetes, "/gitVersion")),
        ("kernel", of(&said.docker, "/info/KernelVersion")),
        ("system", of(&said.docker, "/info/OperatingSystem")),
    ]
}
