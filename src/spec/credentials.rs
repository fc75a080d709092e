//! The object store's keys: secrets are never shown, and are others on every machine, for every sandbox and project.

use std::fmt;

use serde::Deserialize;

use crate::digest::{Sha256, hex};

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

/// What somebody reaches the object store with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The name that Minio knows its holder by.
    pub access_key: String,
    /// Never written with a spec.
    pub secret_key: Secret,
    /// When they end, in seconds since 1970; absent where they do not.
    pub expires_at: Option<u64>,
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
        derived([b"flyte-sandbox/storage", &self.0[..], sandbox.as_bytes()])
    }
}

impl Secret {
    /// A project's secret key from the store's own: whoever knows the sandbox's spec knows it, and whoever holds one
    /// learns neither the store's nor another project's.
    pub(super) fn of_project(&self, project: &str) -> Self {
        derived([b"flyte-sandbox/project", self.0.as_bytes(), project.as_bytes()])
    }

    /// The same for one of Flyte's programs.
    pub(super) fn of_program(&self, program: &str) -> Self {
        derived([b"flyte-sandbox/program", self.0.as_bytes(), program.as_bytes()])
    }
}

fn derived(fields: [&[u8]; 3]) -> Secret {
    let mut hash = Sha256::default();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    Secret(hex(&hash.finish()[..20]))
}

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineKey(…)")
    }
}
