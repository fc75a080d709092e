//! `sandbox credentials`

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::args::{ManifestsArg, Output, TimeoutArg, duration, query_deadline};
use crate::cli::completion;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::issuer::{ends, unissued};
use crate::lifecycle;
use crate::limits;
use crate::site;
use crate::spec::{Keys, Spec};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CredentialsArgs {
    #[command(subcommand)]
    change: Option<CredentialsCommand>,
    /// Those that open the bucket of this project, and no other one; the store's own where absent
    #[arg(long, value_name = "ID", add = completion::projects())]
    project: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// Fetch new keys for the projects whose keys end soon, and bring them into the running sandbox
    Renew(CredentialsRenewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CredentialsRenewArgs {
    /// Those that end within this time
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    within: Duration,
    #[command(flatten)]
    manifests: ManifestsArg,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::CHANGE.as_secs() }>,
}

impl CredentialsArgs {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        match &self.change {
            Some(CredentialsCommand::Renew(args)) => args.timeout.deadline(),
            None => query_deadline(),
        }
    }
}

/// The only place that shows a secret: who asks for it by this command wants to see it.
pub(in crate::cli) async fn run(session: &Session, args: &CredentialsArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    if let Some(CredentialsCommand::Renew(args)) = &args.change {
        return renew(session, &name, args).await;
    }
    let spec = session.query(async { site::running(&name, &session.host()).await }).await?.inventory.spec;
    let (bucket, keys) = of(&spec, args.project.as_deref())?;
    let (access, secret, ends) = (keys.access_key.as_str(), keys.secret_key.expose(), ends(&keys));
    match session.output() {
        Output::Json => session.print_json(
            &json!({"minio": {"accessKey": access, "secretKey": secret, "bucket": bucket, "ends": ends}}),
        ).await?,
        Output::Human => session.print(&format!(
            "minio access key  {access}\nminio secret key  {secret}\nminio bucket      {bucket}\nminio keys end    {ends}"
        )).await?,
    }
    Ok(())
}

async fn renew(session: &Session, name: &str, args: &CredentialsRenewArgs) -> Result<(), CommandError> {
    let bundle = session.given_bundle(args.manifests.manifests.as_ref()).await?;
    let settings = RunSettings::new("credentials renew", name);
    session
        .run_reported(settings, async |run| {
            lifecycle::renew_keys(name, args.within, bundle, &session.host(), run).await
        })
        .await
}

/// The bucket and its keys: a project's, or admin's with those of the store itself.
pub(super) fn of(spec: &Spec, project: Option<&str>) -> Result<(String, Keys), Failure> {
    let storage = &spec.storage;
    let Some(project) = project else {
        return Ok((storage.bucket.clone(), storage.root()));
    };
    if !spec.projects.iter().any(|known| known == project) {
        let known = spec.projects.join(", ");
        return Err(Failure::new(Reason::Usage, "there is no such project in the sandbox")
            .on(format!("project {project}"))
            .hint(format!("there are: {known}; `sandbox project add {project}` makes another")));
    }
    Ok((storage.bucket_of(project), storage.keys_of(project).ok_or_else(|| unissued(project))?))
}
