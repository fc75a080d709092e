//! Names that a shell completes: of sandboxes by the state folder, of all else by the spec of this folder. Neither Docker
//! nor a cluster is asked.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::environment::Environment;
use super::spec_file::spec_file;
use crate::flyte::names;
use crate::render::Component;
use crate::spec::{self, COMPONENTS, EngineKind, MachineKey, PROFILES, Spec};

/// By which the script of a shell asks for what may stand next.
pub(super) const VARIABLE: &str = "SANDBOX_COMPLETE";

/// Completes the names of sandboxes.
pub(super) fn sandboxes() -> ArgValueCompleter {
    completer(|| Environment::read().state.sandboxes())
}

/// Completes the names of snapshots.
pub(super) fn snapshots() -> ArgValueCompleter {
    completer(|| Environment::read().state.snapshots())
}

/// Completes the names of components.
pub(super) fn components() -> ArgValueCompleter {
    completer(|| {
        let one_each = Component::ALL.into_iter().filter(|component| *component != Component::Flytepropeller);
        let one_each = one_each.map(|component| component.id().to_owned());
        one_each.chain(spec().workflow_namespaces().iter().map(names::propeller)).collect()
    })
}

/// Completes Flyte projects.
pub(super) fn projects() -> ArgValueCompleter {
    completer(|| spec().projects)
}

/// Completes Flyte domains.
pub(super) fn domains() -> ArgValueCompleter {
    completer(|| spec().domains.into_iter().map(|domain| domain.id).collect())
}

/// Completes the engines.
pub(super) fn engines() -> ArgValueCompleter {
    completer(|| EngineKind::ALL.iter().map(|engine| engine.name().to_owned()).collect())
}

/// Completes the built-in profiles.
pub(super) fn profiles() -> ArgValueCompleter {
    completer(|| PROFILES.iter().map(|(name, _)| (*name).to_owned()).collect())
}

/// Completes the components whose images can be named, and what stands behind each.
pub(super) fn images() -> ArgValueCompleter {
    completer(|| COMPONENTS.iter().map(|component| format!("{component}=")).collect())
}

fn completer(names: impl Fn() -> Vec<String> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |begun: &OsStr| {
        let begun = begun.to_string_lossy().into_owned();
        let fitting = names().into_iter().filter(|name| name.starts_with(&begun));
        fitting.map(CompletionCandidate::new).collect::<Vec<_>>()
    })
}

/// The spec of this folder, or the default one where that cannot be used.
fn spec() -> Spec {
    let Environment { here, variables, .. } = Environment::read();
    let named = variables.get("SANDBOX_CONFIG").map(std::path::PathBuf::from);
    let file = spec_file(named.as_deref(), &here).ok().flatten();
    let layer = file.and_then(|file| file.layer().ok());
    let resolved = spec::resolve(layer, &MachineKey::default());
    resolved.map(|resolved| resolved.spec).unwrap_or_default()
}
