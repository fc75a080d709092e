//! What the process was started with. The only reader of the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::state::StateRoot;

/// The environment as values, for stages that must not read it themselves.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Every variable whose name and value are text.
    pub(crate) variables: BTreeMap<String, String>,
    /// Absent in some containers and services.
    pub(crate) home: Option<PathBuf>,
    /// The current folder.
    pub(crate) here: PathBuf,
    /// `$SANDBOX_STATE_DIR`, or `flyte-sandbox` within the XDG state folder, or within the temporary one.
    pub(crate) state: StateRoot,
    /// This program's file.
    pub(crate) program: PathBuf,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let variables: BTreeMap<_, _> = std::env::vars_os().filter_map(text).collect();
        let home = variables.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let state = variables.get("SANDBOX_STATE_DIR").filter(|path| !path.is_empty()).map(PathBuf::from);
        let state = state.or_else(|| {
            let xdg = home.as_ref().and_then(|_| etcetera::base_strategy::Xdg::new().ok());
            xdg.and_then(|xdg| xdg.state_dir()).map(|path| path.join("flyte-sandbox"))
        });
        Self {
            here: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            state: StateRoot::new(state.unwrap_or_else(|| std::env::temp_dir().join("flyte-sandbox"))),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sandbox")),
            variables,
            home,
        }
    }
}
