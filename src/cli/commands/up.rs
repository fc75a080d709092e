//! `sandbox up`

use crate::cli::args::Up;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle::{self, Options};
use crate::run::Run;
use crate::smoke::Executions;
use crate::spec::Spec;

pub(in crate::cli) fn run(session: &Session, args: &Up) -> Result<(), Ended> {
    let name = session.spec(&args.spec)?.spec.name;
    let telling =
        Telling { command: "up", sandbox: &name, timeout: args.timeout, junit: args.junit.clone(), in_full: false };
    let executions = if args.full { Executions::All } else { Executions::First };
    let bundle = args.bundle.as_deref();
    let options = Options { keep: args.keep, bundle, store: !args.no_cache, executions };
    let host = session.host();
    let fetch = async |spec: &mut Spec, run: &Run| lifecycle::fetch_keys(spec, &host, run).await;
    session.narrate_plan(telling, &args.spec, fetch, async |plan, run| lifecycle::up(plan, &host, options, run).await)
}
