//! How much of an answer is kept.

use super::error::Cause;

/// How much of an answer is kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// All of it; more is an error.
    Whole(usize),
    /// Its end; what is cut off ends with a line.
    End(usize),
}

/// What was kept of an answer so far.
#[derive(Debug)]
pub(super) struct Kept {
    size: Size,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Kept {
    pub(super) const fn new(size: Size) -> Self {
        Self { size, bytes: Vec::new(), is_cut: false }
    }

    /// Takes in what came next.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Cause> {
        match self.size {
            Size::Whole(limit) if self.bytes.len() + part.len() > limit => return Err(Cause::TooLarge(limit)),
            Size::Whole(_) => self.bytes.extend_from_slice(part),
            Size::End(limit) => {
                self.bytes.extend_from_slice(part);
                if self.bytes.len() > 2 * limit {
                    self.cut(limit);
                }
            }
        }
        Ok(())
    }

    fn cut(&mut self, limit: usize) {
        self.bytes.drain(..self.bytes.len().saturating_sub(limit));
        self.is_cut = true;
    }

    /// What is kept.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if let Size::End(limit) = self.size
            && (self.is_cut || self.bytes.len() > limit)
        {
            self.cut(limit);
            // A line of which the beginning is missing is none; where there is but one, its end has to do.
            if let Some(end) =
                self.bytes.iter().position(|byte| *byte == b'\n').filter(|end| end + 1 < self.bytes.len())
            {
                self.bytes.drain(..=end);
            }
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(size: Size, parts: &[&str]) -> Result<String, String> {
        let mut kept = Kept::new(size);
        for part in parts {
            kept.push(part.as_bytes()).map_err(|cause| cause.to_string())?;
        }
        Ok(String::from_utf8(kept.into_bytes()).expect("text"))
    }

    #[test]
    fn a_whole_answer_is_kept_up_to_its_limit() {
        assert_eq!(kept(Size::Whole(4), &["ab", "cd"]), Ok("abcd".to_owned()));
        assert_eq!(
            kept(Size::Whole(1 << 20), &["ab", &"c".repeat(1 << 20)]),
            Err("it is larger than 1 MiB".to_owned())
        );
    }

    #[test]
    fn of_an_end_that_is_cut_no_half_line_is_kept() {
        for (parts, end) in [
            (&["a\n", "bc\n"][..], "a\nbc\n"),
            (&["abcd\n", "ef\n", "g\n"], "ef\ng\n"),
            (&["a\nb\nc\nd\ne\nf\ng\nh\n", "i\n"], "h\ni\n"),
            (&["one line without an end"], "an end"),
        ] {
            assert_eq!(kept(Size::End(6), parts).as_deref(), Ok(end), "{parts:?}");
        }
    }
}
