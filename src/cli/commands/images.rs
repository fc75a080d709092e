//! `sandbox images`

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::{Images, ImagesBundle, ImagesList, ImagesLoad, ImagesPull, Output};
use crate::cli::session::{Ended, Session, Telling};
use crate::failure::Failure;
use crate::images::{self, Presence};
use crate::lifecycle;
use crate::manifest::ImageRef;

pub(in crate::cli) fn run(session: &Session, args: &Images) -> Result<(), Ended> {
    match args {
        Images::List(args) => list(session, args),
        Images::Pull(args) => pull(session, args),
        Images::Bundle(args) => bundle(session, args),
        Images::Load(args) => load(session, args),
        Images::Prune => prune(session),
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

fn list(session: &Session, args: &ImagesList) -> Result<(), Ended> {
    let (plan, _) = session.plan(&args.spec)?;
    let node = std::slice::from_ref(&plan.cluster.node_image);
    let purposes = [("node", node), ("workloads", &plan.images[..]), ("k3s", &plan.node_images[..])];
    let needed = session.block_on(async {
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
    })?;
    let printed = match session.output() {
        Output::Json => session.print_json(&needed),
        Output::Human => session.print(&shown(&needed)),
    };
    Ok(printed?)
}

fn shown(needed: &[Needed]) -> String {
    let mut text = String::new();
    for Needed { image, purpose, present } in needed {
        let state = if *present { "here" } else { "absent" };
        let _ = writeln!(text, "{state:6}  {purpose:9}  {image}");
    }
    text
}

fn pull(session: &Session, args: &ImagesPull) -> Result<(), Ended> {
    let request = session.request(&args.spec)?;
    let name = request.spec.name.clone();
    session.narrate_plan(telling("images pull", &name, args.timeout), request, async |plan, run| {
        lifecycle::pull(plan, &session.host(), run).await
    })
}

fn bundle(session: &Session, args: &ImagesBundle) -> Result<(), Ended> {
    let ImagesPull { spec, timeout } = &args.pull;
    let request = session.request(spec)?;
    let name = request.spec.name.clone();
    session.narrate_plan(telling("images bundle", &name, *timeout), request, async |plan, run| {
        lifecycle::bundle(plan, &session.host(), &args.file, run).await
    })
}

fn load(session: &Session, args: &ImagesLoad) -> Result<(), Ended> {
    let name = session.name()?;
    session.narrate(telling("images load", &name, args.timeout), async |run| {
        lifecycle::load(&args.file, &session.host(), run).await
    })
}

fn telling<'a>(command: &'static str, sandbox: &'a str, timeout: Duration) -> Telling<'a> {
    Telling { command, sandbox, timeout, junit: None, in_full: false }
}

fn prune(session: &Session) -> Result<(), Ended> {
    let host = session.host();
    let removed = session.block_on::<_>(async {
        let docker = host.docker().await?;
        images::prune(&docker, host.state.path()).await
    })?;
    let printed: Result<(), Failure> = match session.output() {
        Output::Json => session.print_json(&removed),
        Output::Human if removed.is_empty() => session.print("no store is unused"),
        Output::Human => session.print(&removed.iter().map(|store| format!("{store} removed\n")).collect::<String>()),
    };
    Ok(printed?)
}
