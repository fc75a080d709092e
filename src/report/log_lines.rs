//! Lines of several logs in one text: each behind the name of its log, in a colour of its own.

use std::collections::BTreeMap;

use console::{Color, Style};

const COLOURS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::Blue, Color::Red];

/// The names so far.
#[derive(Debug)]
pub struct LogLines {
    coloured: bool,
    styles: BTreeMap<String, Style>,
    width: usize,
}

impl LogLines {
    /// No names yet.
    #[must_use]
    pub fn new(coloured: bool) -> Self {
        Self { coloured, styles: BTreeMap::new(), width: 0 }
    }

    /// A line of the log of this name. Names that have come so far end in one column.
    pub fn line(&mut self, label: &str, text: &str) -> String {
        self.width = self.width.max(label.chars().count());
        let colour = COLOURS[self.styles.len() % COLOURS.len()];
        let style = self.styles.entry(label.to_owned()).or_insert_with(|| Style::new().fg(colour));
        let style = style.clone().force_styling(self.coloured);
        format!("{} {text}\n", style.apply_to(format!("{label:width$} |", width = self.width)))
    }
}

#[cfg(test)]
mod tests {
    use super::LogLines;

    #[test]
    fn each_log_keeps_its_colour_and_a_file_gets_none() {
        let mut plain = LogLines::new(false);
        assert_eq!(plain.line("minio", "a"), "minio | a\n");
        assert_eq!(plain.line("flyteadmin", "b"), "flyteadmin | b\n");
        assert_eq!(plain.line("minio", ""), "minio      | \n");
        let mut coloured = LogLines::new(true);
        let first = coloured.line("minio", "a");
        let other = coloured.line("admin", "a");
        assert!(first.starts_with("\u{1b}[36m") && other.starts_with("\u{1b}[33m"), "{first:?} {other:?}");
        assert_eq!(coloured.line("minio", "a"), first);
    }
}
