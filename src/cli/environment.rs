//! What the process was started with. The only reader of the environment.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::process;
use crate::state::StateRoot;

/// Replaces this process by one without the variables that are set to nothing, where there are any. CI systems set those
/// that nobody filled in, and clap and others read the environment by themselves and take an empty one for a choice.
pub(super) fn drop_empty_variables() {
    let empty: Vec<_> = env::vars_os().filter(|(_, value)| value.is_empty()).map(|(name, _)| name).collect();
    let (Ok(program), false) = (env::current_exe(), empty.is_empty()) else { return };
    // It returns where that fails; the variables are then what each reader makes of them.
    let _ = process::replace(&program, env::args_os(), &empty);
}

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
        let variables: BTreeMap<_, _> = env::vars_os().filter_map(text).collect();
        let home = variables.get("HOME").map(PathBuf::from);
        let state = variables.get("SANDBOX_STATE_DIR").map(PathBuf::from);
        let state = state.or_else(|| {
            let xdg = home.as_ref().and_then(|_| etcetera::base_strategy::Xdg::new().ok());
            xdg.and_then(|xdg| xdg.state_dir()).map(|path| path.join("flyte-sandbox"))
        });
        Self {
            here: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            state: StateRoot::new(state.unwrap_or_else(|| env::temp_dir().join("flyte-sandbox"))),
            program: env::current_exe().unwrap_or_else(|_| PathBuf::from("sandbox")),
            variables,
            home,
        }
    }
}
