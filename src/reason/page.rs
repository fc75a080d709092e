//! The catalogue as a page of documentation.

use std::fmt::Write;

use super::catalogue::{Entry, Reason};

/// `docs/reasons.md`, made from the catalogue.
#[must_use]
pub fn page() -> String {
    let mut page = "# Reasons\n\nMade from the catalogue in `src/reason` by a test; do not edit.\n\n\
        Every failure carries one of these identifiers: `error[port-taken]` on screen, `failure.reason` in\n\
        `--output json`. *Again* says whether the same command may succeed a moment later, with nothing changed.\n"
        .to_owned();
    let mut stage = None;
    for Entry { id, stage: here, exit_code, means, remedy, retryable } in
        Reason::ALL.iter().map(|reason| reason.entry())
    {
        if stage != Some(here) {
            let title = here.map_or("any stage", crate::stage::Stage::title);
            let _ = write!(
                page,
                "\n## In {title}\n\n| reason | exit code | again | what it means | what to do |\n|---|---|---|---|---|\n"
            );
            stage = Some(here);
        }
        let again = if retryable { "yes" } else { "no" };
        let _ = writeln!(page, "| `{id}` | {exit_code} | {again} | {means} | {} |", sentence(remedy));
    }
    page
}

fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
