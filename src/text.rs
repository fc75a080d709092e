//! Log lines of other programs, without terminal escapes, words quoted for a shell, and files in UTF-8 or UTF-16.

/// A line without terminal escapes: colours (`ESC [ … letter`), titles and links (`ESC ] … BEL` or `ESC \`),
/// and any other escape.
#[must_use]
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = if let Some(colour) = after.strip_prefix('[') {
            colour.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &colour[end + 1..])
        } else if let Some(title) = after.strip_prefix(']') {
            title.find(['\u{7}', '\u{1b}']).map_or("", |end| title[end..].trim_start_matches('\u{7}'))
        } else {
            after.strip_prefix('\\').unwrap_or(after)
        };
    }
    text.push_str(rest);
    text.trim_end().to_owned()
}

/// The text of a file: UTF-8, or UTF-16 as PowerShell's `>` writes it. The mark is left out; without one UTF-16 is told by
/// its first character, as YAML does, which is never beyond ASCII.
///
/// # Errors
/// What it is not.
pub fn decoded(bytes: Vec<u8>) -> Result<String, &'static str> {
    let units = |from: usize, read: fn([u8; 2]) -> u16| -> Result<String, &'static str> {
        let (pairs, rest) = bytes[from..].as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
        String::from_utf16(&units)
            .ok()
            .filter(|_| rest.is_empty())
            .ok_or("it begins as UTF-16, and is not valid UTF-16")
    };
    match bytes[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            Err("it is UTF-32; save it as UTF-8")
        }
        [0xff, 0xfe, ..] => units(2, u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(2, u16::from_be_bytes),
        [first, 0, ..] if first != 0 => units(0, u16::from_le_bytes),
        [0, second, ..] if second != 0 => units(0, u16::from_be_bytes),
        _ => {
            let text = String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8")?;
            Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
    }
}

/// A text quoted as one word of a POSIX shell.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The message of a log line of k3d or k3s: `… level=info msg="…"`, or `INFO[0000] …` on a terminal and before
/// k3d 5.3.
#[must_use]
pub fn log_message(line: &str) -> Option<String> {
    let line = plain(line);
    if let Some((_, message)) = line.split_once(" msg=") {
        let message = message.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(message);
        return Some(message.replace("\\\"", "\""));
    }
    let (level, message) = line.split_once("] ")?;
    let is_level =
        level.split_once('[').is_some_and(|(word, _)| word.len() == 4 && word.chars().all(|c| c.is_ascii_uppercase()));
    is_level.then(|| message.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_removed() {
        for (line, shown) in [
            ("\u{1b}[36mINFO\u{1b}[0m[0000] Prep", "INFO[0000] Prep"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;https://a\u{1b}\\a link\u{1b}]8;;\u{1b}\\.", "a link."),
            ("\u{1b}\u{1b}]0;t\u{7}a\u{1b}", "a"),
            ("a\u{1b}[31", "a"),
            ("a\u{1b}]0;no end", "a"),
            ("\u{1b}\u{e4}", "\u{e4}"),
        ] {
            assert_eq!(plain(line), shown, "{line:?}");
        }
    }

    #[test]
    fn files_are_utf_8_or_utf_16_with_or_without_its_mark() {
        let utf_16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.iter().copied().chain("a: \u{e4}\n".encode_utf16().flat_map(bytes)).collect()
        };
        for bytes in [
            "a: \u{e4}\n".as_bytes().to_vec(),
            "\u{feff}a: \u{e4}\n".as_bytes().to_vec(),
            utf_16(&[0xff, 0xfe], u16::to_le_bytes),
            utf_16(&[0xfe, 0xff], u16::to_be_bytes),
            utf_16(&[], u16::to_le_bytes),
            utf_16(&[], u16::to_be_bytes),
        ] {
            assert_eq!(decoded(bytes).as_deref(), Ok("a: \u{e4}\n"));
        }
        decoded(vec![0xff, 0xfe, b'a']).expect_err("half a unit");
        for bytes in [[b'a', 0, 0, 0], [0, 0, 0, b'a'], [0xff, 0xfe, 0, 0], [0, 0, 0xfe, 0xff]] {
            let why = decoded(bytes.to_vec()).expect_err("UTF-32");
            assert!(why.contains("UTF-32"), "{why}");
        }
        decoded(vec![b'a', 0xff]).expect_err("no UTF-8");
    }

    #[test]
    fn a_text_with_spaces_quotes_or_variables_survives_a_shell() {
        for (text, word) in [
            ("/home/a/b.yaml", "/home/a/b.yaml"),
            ("/home/a b/it's", r"'/home/a b/it'\''s'"),
            ("a$b`c`", "'a$b`c`'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn log_lines_of_both_formats_have_a_message() {
        for (line, message) in [
            (r#"time="2026" level=info msg="Creating node 'k3d-x-server-0'""#, Some("Creating node 'k3d-x-server-0'")),
            (r#"time="t" level=fatal msg="bind: \"in use\"""#, Some(r#"bind: "in use""#)),
            ("\u{1b}[36mINFO\u{1b}[0m[0003] Starting servers...", Some("Starting servers...")),
            ("kubectl cluster-info", None),
            ("a[0] b", None),
        ] {
            assert_eq!(log_message(line).as_deref(), message);
        }
    }
}
