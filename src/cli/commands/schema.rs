//! `sandbox schema`

use clap::{Args, ValueEnum};

use crate::cli::session::{CommandError, Session};
use crate::{report, spec};

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// sandbox.yaml
    Spec,
    /// A line of --output json
    Event,
}

pub(in crate::cli) async fn run(session: &Session, args: &SchemaArgs) -> Result<(), CommandError> {
    Ok(session
        .print_json(&match args.of {
            SchemaOf::Spec => spec::schema(),
            SchemaOf::Event => report::event_schema(),
        })
        .await?)
}
