//! `sandbox images`

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::args::{Output, TimeoutArg, query_deadline};
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::images::{self, Presence};
use crate::lifecycle;
use crate::limits;
use crate::manifest::{ImageRef, ImageRefError};

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Print the images that `up` needs, and whether they are here
    List(Box<ImagesListArgs>),
    /// Get into Docker what `up` needs and Docker has not
    Pull(Box<ImagesPullArgs>),
    /// Write every image that `up` needs to one file, for a machine without a registry
    Bundle(Box<ImagesBundleArgs>),
    /// Load into Docker what a bundle has and Docker has not
    Load(ImagesLoadArgs),
    /// Bring your own images into the running sandbox, without the layers that it has
    Import(ImagesImportArgs),
    /// Drop the stores that no sandbox uses
    Prune,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesListArgs {
    #[command(flatten)]
    spec: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesPullArgs {
    #[command(flatten)]
    spec: SpecFlags,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::IMAGES.as_secs() }>,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesBundleArgs {
    /// The file to write, such as images.tar.zst; one that is there is replaced
    file: PathBuf,
    #[command(flatten)]
    pull: ImagesPullArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesLoadArgs {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::IMAGES.as_secs() }>,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesImportArgs {
    /// An image that Docker has, or a file that `docker save` wrote
    #[arg(value_name = "IMAGE|FILE", required = true)]
    images: Vec<String>,
    /// Go on, and do it again whenever Docker has built one of the images anew
    #[arg(long, conflicts_with = "timeout")]
    watch: bool,
    #[command(flatten)]
    timeout: TimeoutArg<{ limits::IMAGES.as_secs() }>,
}

impl ImagesCommand {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        match self {
            Self::Pull(args) => args.timeout.deadline(),
            Self::Bundle(args) => args.pull.timeout.deadline(),
            Self::Load(args) => args.timeout.deadline(),
            Self::Import(args) if args.watch => Deadline::fixed(Duration::MAX),
            Self::Import(args) => args.timeout.deadline(),
            Self::List(_) | Self::Prune => query_deadline(),
        }
    }
}

pub(in crate::cli) async fn run(session: &Session, args: &ImagesCommand) -> Result<(), CommandError> {
    match args {
        ImagesCommand::List(args) => list(session, args).await,
        ImagesCommand::Pull(args) => pull(session, args).await,
        ImagesCommand::Bundle(args) => bundle(session, args).await,
        ImagesCommand::Load(args) => load(session, args).await,
        ImagesCommand::Import(args) => import(session, args).await,
        ImagesCommand::Prune => prune(session).await,
    }
}

async fn import(session: &Session, args: &ImagesImportArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let (files, images): (Vec<_>, Vec<_>) = args.images.iter().partition(|named| Path::new(named).is_file());
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let images = images.into_iter().map(|image| {
        image.parse().map_err(|error: ImageRefError| {
            Failure::new(Reason::Usage, "neither an image nor a file").on(image).caused_by(error)
        })
    });
    let images: Vec<ImageRef> = images.collect::<Result<_, _>>()?;
    if args.watch && images.is_empty() {
        return Err(Failure::new(Reason::Usage, "only images of Docker can be watched").into());
    }
    let host = session.host();
    loop {
        session
            .run_reported(RunSettings::new("images import", &name), async |run| {
                lifecycle::import(&name, &images, &files, &host, run).await
            })
            .await?;
        if !args.watch {
            return Ok(());
        }
        session.until_stopped(lifecycle::rebuilt(&images, &host)).await?;
    }
}

/// An image that `up` needs.
#[derive(Debug, Serialize)]
struct Needed {
    image: ImageRef,
    /// `node`, `workloads`, or `k3s` for what the node starts from and can get by itself.
    purpose: &'static str,
    present: bool,
}

async fn list(session: &Session, args: &ImagesListArgs) -> Result<(), CommandError> {
    let plan = session.plan(&args.spec).await?.plan;
    let node = std::slice::from_ref(&plan.cluster.node_image);
    let purposes = [("node", node), ("workloads", &plan.images[..]), ("k3s", &plan.node_images[..])];
    let needed = session
        .query(async {
            let docker = session.host().docker().await?;
            let mut needed = Vec::new();
            for (purpose, references) in purposes {
                let found = images::resolve(&docker, references).await?;
                needed.extend(references.iter().zip(found).map(|(image, presence)| Needed {
                    image: image.clone(),
                    purpose,
                    present: matches!(presence, Presence::Present(_)),
                }));
            }
            Ok(needed)
        })
        .await?;
    match session.output() {
        Output::Json => session.print_json(&needed).await?,
        Output::Human => session.print(&shown(&needed)).await?,
    }
    Ok(())
}

fn shown(needed: &[Needed]) -> String {
    let mut text = String::new();
    for Needed { image, purpose, present } in needed {
        let state = if *present { "here" } else { "absent" };
        let _ = writeln!(text, "{state:6}  {purpose:9}  {image}");
    }
    text
}

async fn pull(session: &Session, args: &ImagesPullArgs) -> Result<(), CommandError> {
    let request = session.request(&args.spec).await?;
    let name = request.spec.name.clone();
    session
        .run_planned(RunSettings::new("images pull", &name), request, async |plan, run| {
            lifecycle::pull(plan, &session.host(), run).await
        })
        .await
}

async fn bundle(session: &Session, args: &ImagesBundleArgs) -> Result<(), CommandError> {
    let request = session.request(&args.pull.spec).await?;
    let name = request.spec.name.clone();
    session
        .run_planned(RunSettings::new("images bundle", &name), request, async |plan, run| {
            lifecycle::bundle(plan, &session.host(), &args.file, run).await
        })
        .await
}

async fn load(session: &Session, args: &ImagesLoadArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    session
        .run_reported(RunSettings::new("images load", &name), async |run| {
            lifecycle::load(&args.file, &session.host(), run).await
        })
        .await
}

async fn prune(session: &Session) -> Result<(), CommandError> {
    let host = session.host();
    let removed = session
        .query(async {
            let docker = host.docker().await?;
            Ok(images::prune(&docker, host.state.path()).await?)
        })
        .await?;
    match session.output() {
        Output::Json => session.print_json(&removed).await?,
        Output::Human if removed.is_empty() => session.print("no store is unused").await?,
        Output::Human => {
            session.print(&removed.iter().map(|store| format!("{store} removed\n")).collect::<String>()).await?
        }
    }
    Ok(())
}
