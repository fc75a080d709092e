//! `sandbox up`

use crate::cli::args::Up;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle::{self, Options};
use crate::smoke::Executions;

pub(in crate::cli) fn run(session: &Session, args: &Up) -> Result<(), Ended> {
    let name = session.spec(&args.spec)?.spec.name;
    let telling =
        Telling { command: "up", sandbox: &name, timeout: args.timeout, junit: args.junit.clone(), in_full: false };
    let executions = if args.full { Executions::All } else { Executions::First };
    let bundle = args.bundle.as_deref();
    let options = Options { keep: args.keep, bundle, store: !args.no_cache, executions, ttl: args.ttl };
    session
        .narrate_plan(telling, &args.spec, async |plan, run| lifecycle::up(plan, &session.host(), options, run).await)
}
