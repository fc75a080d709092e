//! `sandbox down`

use crate::cli::args::Down;
use crate::cli::session::{Ended, Session, Telling};
use crate::context::Place;
use crate::lifecycle;

pub(in crate::cli) fn run(session: &Session, args: &Down) -> Result<(), Ended> {
    let name = session.name()?;
    let telling = Telling { command: "down", sandbox: &name, timeout: args.timeout, junit: None, in_full: false };
    // Where this machine knows it to be, nothing else that a spec says matters.
    let place = match lifecycle::known_place(&name, &session.host())? {
        Some(place) => Some(place),
        None => session.given_cluster(&args.spec)?.as_ref().and_then(Place::of),
    };
    session.narrate(telling, async |run| lifecycle::down(&name, place.as_ref(), &session.host(), run).await)
}
