//! `sandbox up`

use crate::cli::args::Up;
use crate::cli::session::{Ended, Session, Telling};
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Options};
use crate::rehearsal::Faults;
use crate::run::Run;
use crate::smoke::Executions;
use crate::spec::{EngineKind, Spec};

pub(in crate::cli) fn run(session: &Session, args: &Up) -> Result<(), Ended> {
    let Spec { name, engine, .. } = session.spec(&args.spec)?.spec;
    let telling =
        Telling { command: "up", sandbox: &name, timeout: args.timeout, junit: args.junit.clone(), in_full: false };
    let executions = if args.full { Executions::All } else { Executions::First };
    let bundle = args.bundle.as_deref();
    let mut faults = Faults::default();
    for wish in &args.rehearse_faults {
        let unusable = |why| Failure::new(Reason::Usage, "cannot rehearse that").on("--rehearse-fault").because(why);
        faults.wish(wish).map_err(unusable)?;
    }
    if !args.rehearse_faults.is_empty() && engine != Some(EngineKind::Rehearsal) {
        return Err(Failure::new(Reason::Usage, "only a rehearsal can be told to fail")
            .on("--rehearse-fault")
            .hint("`--engine rehearsal` is one")
            .into());
    }
    if args.ttl.is_some() && matches!(engine, Some(EngineKind::Rehearsal | EngineKind::Context)) {
        return Err(Failure::new(Reason::Usage, "only a sandbox that is in Docker can have a time limit")
            .on("--ttl")
            .hint("`sandbox down` ends a rehearsal, and one on a given cluster")
            .into());
    }
    let options = Options { keep: args.keep, bundle, store: !args.no_cache, executions, ttl: args.ttl, faults };
    let host = session.host();
    let fetch = async |spec: &mut Spec, run: &Run| lifecycle::fetch_keys(spec, &host, run).await;
    session.narrate_plan(telling, &args.spec, fetch, async |plan, run| lifecycle::up(plan, &host, options, run).await)
}
