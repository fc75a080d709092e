//! `sandbox kubeconfig`

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::cli::args::Kubeconfig;
use crate::cli::session::{Ended, Session};
use crate::cluster;
use crate::failure::{Failure, Reason};
use crate::lifecycle::Running;
use crate::state::write_whole;

pub(in crate::cli) fn run(session: &Session, args: &Kubeconfig) -> Result<(), Ended> {
    let name = session.name()?;
    let kubeconfig = session.block_on(async { Running::find(&name, &session.host()).await })?.kubeconfig;
    match &args.merge {
        None => session.print(&kubeconfig)?,
        Some(file) => {
            merge_into(file, &kubeconfig)?;
            session.print(&format!("kubectl --kubeconfig {} --context k3d-{name} get pods -A", file.display()))?;
        }
    }
    Ok(())
}

/// Puts the sandbox's cluster, user and context into the user's file; the file's current context stays as it is.
fn merge_into(file: &Path, kubeconfig: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Reason::Usage, "cannot merge the kubeconfig").on(file.display()).because(error)
    };
    // A pipe or a device would be read without an end.
    if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(failed(&"it is not a file"));
    }
    let theirs = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let merged = cluster::merge_kubeconfig(&theirs, kubeconfig).map_err(|error| failed(&error))?;
    write_whole(file, &merged).map_err(|error| failed(&error))
}
