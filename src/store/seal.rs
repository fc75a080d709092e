//! Encryption of request bodies with the root secret key, as Minio's admin API requires it for secrets
//! (`pkg/madmin/encrypt.go`, RELEASE.2020-12-16; the stream is secure-io/sio-go v0.3.0's).

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::spec::Secret;

const SALT: usize = 32;
/// The server's id of ChaCha20-Poly1305.
const CIPHER: u8 = 1;
/// Minio's parameters of Argon2id: KiB, passes, lanes. The server spends the same on every body.
const COST: (u32, u32, u32) = (64 << 10, 1, 4);
/// The numbers of a stream's nonces: for the tag that all its parts carry, and for its first part.
const HEAD: u32 = 0;
const FIRST: u32 = 1;
/// The mark of the last part. Our bodies are shorter than a part, which has 16 KiB.
const LAST: u8 = 0x80;

/// Encryption of bodies with one derived key, so that the derivation is paid once.
pub(super) struct Sealer {
    salt: [u8; SALT],
    key: LessSafeKey,
    random: SystemRandom,
}

/// The system has no randomness, or no memory for the key's derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a body for the store's admin API cannot be encrypted")]
pub(super) struct Unsealed;

impl Sealer {
    /// A key from the password. Takes about 64 MiB and 0.1 s.
    pub(super) fn new(password: &Secret) -> Result<Self, Unsealed> {
        let random = SystemRandom::new();
        let mut salt = [0; SALT];
        random.fill(&mut salt).map_err(|_| Unsealed)?;
        Self::salted(password, salt, random)
    }

    fn salted(password: &Secret, salt: [u8; SALT], random: SystemRandom) -> Result<Self, Unsealed> {
        let (memory, passes, lanes) = COST;
        let mut key = [0; 32];
        let params = Params::new(memory, passes, lanes, Some(key.len())).map_err(|_| Unsealed)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.expose().as_bytes(), &salt, &mut key)
            .map_err(|_| Unsealed)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| Unsealed)?;
        Ok(Self { salt, key: LessSafeKey::new(key), random })
    }

    /// Salt, cipher id, nonce, and the encrypted text.
    pub(super) fn seal(&self, text: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let mut nonce = [0; 8];
        self.random.fill(&mut nonce).map_err(|_| Unsealed)?;
        self.sealed(text, nonce)
    }

    fn sealed(&self, text: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, Unsealed> {
        let numbered = |number: u32| {
            let mut whole = [0; 12];
            whole[..8].copy_from_slice(&nonce);
            whole[8..].copy_from_slice(&number.to_le_bytes());
            Nonce::assume_unique_for_key(whole)
        };
        let mut associated = vec![LAST];
        let mut nothing = [];
        let tag = self.key.seal_in_place_separate_tag(numbered(HEAD), Aad::empty(), &mut nothing);
        associated.extend_from_slice(tag.map_err(|_| Unsealed)?.as_ref());
        let mut part = text.to_vec();
        self.key.seal_in_place_append_tag(numbered(FIRST), Aad::from(associated), &mut part).map_err(|_| Unsealed)?;
        Ok([&self.salt[..], &[CIPHER], &nonce, &part].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;

    /// The result of secure-io/sio-go v0.3.0 and golang.org/x/crypto's Argon2id for the same input.
    const SEALED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0101020304050607084b37cf4df52fdc816276b46a59300049c69f6bca684b8718cccec8c5ad9b9974b635c50fcd43da75cd61e6f0";

    #[test]
    fn a_body_is_sealed_as_minios_own_client_seals_it() {
        let salt = std::array::from_fn(|at| u8::try_from(at).expect("32 of them"));
        let sealer = Sealer::salted(&Secret::new("miniostorage"), salt, SystemRandom::new()).expect("a key");
        let sealed = sealer.sealed(br#"{"secretKey":"of-a-project"}"#, [1, 2, 3, 4, 5, 6, 7, 8]).expect("sealed");
        let hex = hex(&sealed);
        assert_eq!(hex, SEALED);
        assert_ne!(sealer.seal(b"x").expect("sealed"), sealer.seal(b"x").expect("sealed"));
    }
}
