//! `sandbox rehearse`, which `up --engine rehearsal` starts

use crate::cli::args::Rehearse;
use crate::cli::interrupt;
use crate::cli::session::{Ended, Session};
use crate::failure::{Failure, Reason};
use crate::{process, rehearsal};

pub(in crate::cli) fn run(session: &Session, args: &Rehearse) -> Result<(), Ended> {
    process::leave_session();
    let played = session.block_on(async {
        let stop = interrupt::terminated();
        rehearsal::play(&args.folder, stop).await.map_err(|error| {
            let taken = error.kind() == std::io::ErrorKind::AddrInUse;
            let reason = if taken { Reason::PortTaken } else { Reason::NodeCrash };
            Failure::new(reason, "cannot play a sandbox").on(args.folder.display()).because(error)
        })
    });
    Ok(played?)
}
