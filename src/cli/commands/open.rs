//! `sandbox open`

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::ui::serve;
use crate::cli::args::{Output, query_deadline};
use crate::cli::browser::{self, opener};
use crate::cli::session::{CommandError, Session};
use crate::cli::terminal::prints_to_terminal;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::report::Endpoint;
use crate::site;
use crate::ui::Ui;

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The console, the dashboard with the logs of tasks, Minio's browser, or the page of `sandbox ui`
    #[arg(value_enum, default_value_t = What::Console)]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Console,
    Dashboard,
    Minio,
    Ui,
}

impl OpenArgs {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        if self.what == What::Ui { Deadline::fixed(Duration::MAX) } else { query_deadline() }
    }
}

pub(in crate::cli) async fn run(session: &Session, args: &OpenArgs) -> Result<(), CommandError> {
    let name = match args.what {
        What::Console => "console",
        What::Dashboard => "dashboard",
        What::Minio => "minio",
        What::Ui => {
            let ui = Ui::bind(session.host()).await?;
            let page = Endpoint { name: "ui".to_owned(), url: ui.url(), credentials: None };
            // The browser asks at once, so the page is served beside.
            let (opened, served) = tokio::join!(open(session, &page), serve(session, ui));
            return opened.and(served);
        }
    };
    let sandbox = session.name().await?;
    let host = session.host();
    let spec = session.query(async { site::running(&sandbox, &host).await }).await?.inventory.spec;
    let endpoint = site::endpoints(&spec).into_iter().find(|endpoint| endpoint.name == name).ok_or_else(|| {
        Failure::new(Reason::NotFound, "the sandbox has no such endpoint")
            .on(name)
            .hint(format!("`sandbox status --name {sandbox}` lists those that it has"))
    })?;
    open(session, &endpoint).await
}

/// Prints where it is and how to log in, and opens it where a person is at a desktop.
async fn open(session: &Session, Endpoint { name, url, credentials }: &Endpoint) -> Result<(), CommandError> {
    if session.output() == Output::Json {
        return Ok(session.print_json(&json!({"name": name, "url": url, "credentials": credentials})).await?);
    }
    session.print(url).await?;
    // For a program the URL is all; a person has to log in.
    if !prints_to_terminal() {
        return Ok(());
    }
    if let Some(words) = credentials {
        session.print(&format!("to log in: {words}")).await?;
    }
    // On an attached cluster it says how it is reached.
    let is_url = !url.contains(' ');
    let Some(opener) = opener(&session.host().variables).filter(|_| is_url) else { return Ok(()) };
    if let Err(failure) = session.query(browser::open(&opener, url)).await {
        session.warn([failure.to_string()]);
    }
    Ok(())
}
