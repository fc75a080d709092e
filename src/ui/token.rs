//! The secret in the URL.

use std::fs::File;
use std::io::{self, Read};

use crate::digest::hex;

/// The random bytes of one.
const LENGTH: usize = 16;

/// A secret that cannot be guessed.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(hex(&bytes)))
    }

    /// As part of a URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this one. How long that takes does not tell where they differ.
    pub(super) fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        let differences = pairs.fold(0, |seen, (own, given)| std::hint::black_box(seen | (own ^ given)));
        self.0.len() == given.len() && differences == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_itself_alone() {
        let (token, other) = (Token::new().expect("random"), Token::new().expect("random"));
        let text = token.as_str().to_owned();
        assert_eq!(text.len(), 2 * LENGTH);
        assert!(token.is(&text));
        for wrong in ["", &text[1..], &format!("{text}0"), other.as_str(), &text.to_uppercase().replace('0', "1")] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }
}
