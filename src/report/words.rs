//! Durations, sizes, one-line texts, marks and their colours.

use std::time::Duration;

use console::{Style, strip_ansi_codes};

/// Text without what steers a terminal, but for ends of lines and tabs, or turns the text around it.
pub(crate) fn plain(text: &str) -> String {
    let steers = |one: &char| one.is_control() && !matches!(one, '\n' | '\t');
    let turns = |one: &char| matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    strip_ansi_codes(text).chars().filter(|one| !steers(one) && !turns(one)).collect()
}

/// The mark before a line. Each is a different sign, so that colour is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Bad,
    /// Should be known, stops nothing.
    Look,
    /// Nothing had to be done.
    Same,
    /// Was under way when the run ended.
    Stopped,
}

impl Mark {
    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Look => "!",
            Self::Same => "=",
            Self::Stopped => "-",
        }
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn with(self, style: &Style, text: &str) -> String {
        style.clone().force_styling(self.0).apply_to(text).to_string()
    }

    pub(super) fn mark(self, mark: Mark) -> String {
        let style = match mark {
            Mark::Good => Style::new().green(),
            Mark::Bad => Style::new().red().bold(),
            Mark::Look => Style::new().yellow(),
            Mark::Same | Mark::Stopped => Style::new().dim(),
        };
        self.with(&style, mark.sign())
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with(&Style::new().dim(), text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with(&Style::new().bold(), text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with(&Style::new().red().bold(), text)
    }

    pub(super) fn link(self, text: &str) -> String {
        self.with(&Style::new().cyan(), text)
    }

    pub(super) fn hint(self, text: &str) -> String {
        format!("{} {text}", self.with(&Style::new().cyan(), "hint:"))
    }
}

/// The two largest units of a time, such as `3h 12m`.
pub(crate) fn span(time: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `12.3 s`, from 100 s on `1m 42s`.
pub(super) fn seconds(time: Duration) -> String {
    let millis = time.as_millis();
    if millis < 99_950 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let whole = (millis + 500) / 1000;
    format!("{}m {:02}s", whole / 60, whole % 60)
}

/// `310 MB`, `1.6 GB`; decimal, as registries count.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{}.{} GB", count / 1_000_000_000, count / 100_000_000 % 10),
    }
}

/// Others' text on one line, without anything that would move a terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    let text = strip_ansi_codes(text).replace(char::is_control, " ");
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mark, Paint, bytes, one_line, seconds};

    #[test]
    fn durations_read_well() {
        let table = [(0, "0.0 s"), (312, "0.3 s"), (99_949, "99.9 s"), (99_950, "1m 40s"), (119_600, "2m 00s")];
        for (millis, expected) in table {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn sizes_read_well() {
        let table = [(0, "0 kB"), (999_999, "999 kB"), (45_100_000, "45 MB"), (1_640_000_000, "1.6 GB")];
        for (count, expected) in table {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn others_text_cannot_move_the_cursor() {
        assert_eq!(one_line("a\u{1b}[2Jb\r\n\tc\u{7} "), "ab   c");
    }

    #[test]
    fn signs_stay_without_colour() {
        assert_eq!(Paint(false).mark(Mark::Bad), "✗");
        assert!(Paint(true).mark(Mark::Bad).contains("\u{1b}[31m"));
    }
}
