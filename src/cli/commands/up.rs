//! `sandbox up`

use crate::cli::args::Up;
use crate::cli::session::{Ended, Session, Telling};
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Options};
use crate::rehearsal::Faults;
use crate::smoke::Executions;

pub(in crate::cli) fn run(session: &Session, args: &Up) -> Result<(), Ended> {
    let request = session.request(&args.spec)?;
    let name = request.spec.name.clone();
    let telling =
        Telling { command: "up", sandbox: &name, timeout: args.timeout, junit: args.junit.clone(), in_full: false };
    let executions = if args.full { Executions::All } else { Executions::First };
    let bundle = args.bundle.as_deref();
    let mut faults = Faults::default();
    for wish in &args.rehearse_faults {
        let unusable = |why| Failure::new(Reason::Usage, "cannot rehearse that").on("--rehearse-fault").because(why);
        faults.wish(wish).map_err(unusable)?;
    }
    let options = Options { keep: args.keep, bundle, store: !args.no_cache, executions, ttl: args.ttl, faults };
    let host = session.host();
    session.narrate(telling, async |run| lifecycle::up(request, &host, options, run).await)
}
