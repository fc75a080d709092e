//! `sandbox schema`

use crate::cli::args::{Schema, SchemaOf};
use crate::cli::session::{Ended, Session};
use crate::{report, spec};

pub(in crate::cli) fn run(session: &Session, args: &Schema) -> Result<(), Ended> {
    Ok(session.print_json(&match args.of {
        SchemaOf::Spec => spec::schema(),
        SchemaOf::Event => report::event_schema(),
    })?)
}
