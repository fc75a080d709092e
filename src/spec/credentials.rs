//! The object store's secret key: never shown, and another one on every machine and for every sandbox.

use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The keys that upstream's manifests have, which are known to everyone.
pub const UPSTREAM: (&str, &str) = ("minio", "miniostorage");

/// Text that is not to be seen. It has no `Display` and no `Serialize`, so that what shows or sends a spec cannot have
/// it within; whoever needs it says so by [`Secret::expose`].
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text without the secret in it: neither as it is, nor as it stands between quotes in YAML or JSON.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        let forms = [self.0.replace('\'', "''"), escaped, self.0.clone()];
        forms.iter().filter(|form| !form.is_empty()).fold(text.to_owned(), |text, form| text.replace(form, "…"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a machine's secrets are derived from: 32 random bytes. The default is of zeros, for specs that nobody runs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MachineKey([u8; MachineKey::LENGTH]);

impl MachineKey {
    /// In bytes.
    pub const LENGTH: usize = 32;

    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Minio's secret key for the sandbox of this name: 40 hexadecimal digits, the most that every Minio takes.
    ///
    /// `plan`, `render` and `up` agree on it without a file for each sandbox. A hash over fields that each follow their
    /// length does for a keyed one: no two lists of fields are the same text, and a text that goes on after the last
    /// field, or a digest that is cut, is of no use to who has one secret and wants another.
    #[must_use]
    pub fn storage_secret(&self, sandbox: &str) -> Secret {
        let mut hash = Sha256::new();
        for field in [b"flyte-sandbox/storage", &self.0[..], sandbox.as_bytes()] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Secret(hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineKey(…)")
    }
}
