//! What opens a URL on the user's desktop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Reason};
use crate::process;

/// The program that opens a URL: of macOS; of Windows, from a Linux in WSL; of a Linux desktop. None where there is no
/// desktop, as by SSH.
pub(super) fn opener(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    programs(variables).into_iter().find_map(|program| process::find(program, variables))
}

fn programs(variables: &BTreeMap<String, String>) -> Vec<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| variables.contains_key(*name));
    let on = [
        (cfg!(target_os = "macos"), "open"),
        (has(&["WSL_DISTRO_NAME"]), "wslview"),
        (has(&["DISPLAY", "WAYLAND_DISPLAY"]), "xdg-open"),
    ];
    on.into_iter().filter(|(here, _)| *here).map(|(_, program)| program).collect()
}

/// Opens a URL. The browser may stay, and outlives this program.
///
/// # Errors
/// [`Reason::Usage`]: the program cannot be started, or ends with a failure.
pub(super) async fn open(opener: &Path, url: &str) -> Result<(), Failure> {
    let failed = || Failure::new(Reason::Usage, "cannot open a browser").on(opener.display());
    match process::leave_open(opener, url).await {
        Ok(None | Some(0)) => Ok(()),
        Ok(Some(code)) => Err(failed().because(format!("exit code {code}"))),
        Err(error) => Err(failed().because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn a_browser_is_opened_where_there_is_a_desktop() {
        for (variables, expected) in [
            (&[][..], &[][..]),
            (&["DISPLAY"], &["xdg-open"]),
            (&["WAYLAND_DISPLAY"], &["xdg-open"]),
            (&["WSL_DISTRO_NAME", "DISPLAY"], &["wslview", "xdg-open"]),
        ] {
            let variables = variables.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
            assert_eq!(programs(&variables), expected);
        }
    }
}
