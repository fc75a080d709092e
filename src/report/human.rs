//! The view for a person: moving lines on a terminal, plain lines anywhere else.

use console::{Term, is_dumb};
use indicatif::ProgressDrawTarget;

use super::live::Live;
use super::plain::Plain;
use super::story::Verbosity;
use super::view::View;

/// Redraws per second.
const FRAMES: u8 = 15;

/// The view that suits `term`. `ci` says that nobody watches it, whatever it pretends to be; `colour` is
/// `console::colors_enabled_stderr()` or the user's choice.
#[must_use]
pub fn human(term: Term, ci: bool, colour: bool, verbosity: Verbosity) -> Box<dyn View> {
    if ci || is_dumb() || !term.is_term() || verbosity == Verbosity::Quiet {
        return Box::new(Plain::new(term, colour, verbosity));
    }
    let target = ProgressDrawTarget::term(term.clone(), FRAMES);
    let columns = term.clone();
    Box::new(Live::new(term, target, move || usize::from(columns.size().1), colour, verbosity))
}
