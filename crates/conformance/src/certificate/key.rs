//! Keys of ed25519 in files: PKCS#8 and SPKI in PEM, as OpenSSL and others read and write them.
//!
//! # References
//! - [RFC 8032](https://www.rfc-editor.org/rfc/rfc8032), [RFC 8410](https://www.rfc-editor.org/rfc/rfc8410)

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::error::{Context as _, Error, Kind, Result};
use crate::results::read_within;

use super::sha256;

/// A key's file has some 120 bytes.
const FILE: usize = 4 << 10;

/// A key that signs. It is wiped from memory when it goes.
pub struct SecretKey(SigningKey);

/// A key that verifies, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl SecretKey {
    /// A new key, from the kernel's random numbers.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the kernel has none.
    pub fn generate() -> Result<SecretKey> {
        let mut seed = [0u8; 32];
        let got = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
            .context(|| "make a key")?;
        if got != seed.len() {
            return Err(Error::new(Kind::Environment, "make a key: the kernel gave too few random bytes"));
        }
        Ok(SecretKey(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`Kind::Document`] where it is none.
    pub fn parse(pem: &str) -> Result<SecretKey> {
        SigningKey::from_pkcs8_pem(pem)
            .map(SecretKey)
            .map_err(|e| Error::new(Kind::Document, format!("parse a secret key of ed25519: {e}")))
    }

    /// Reads the key in a file.
    ///
    /// # Errors
    /// As [`SecretKey::parse`]; [`Kind::Environment`] where the file cannot be read.
    pub fn read(file: &Path) -> Result<SecretKey> {
        SecretKey::parse(&text(file)?)
            .map_err(|e| Error::because(Kind::Document, format!("read {}", file.display()), e))
    }

    /// Writes the key to `file`, which only its owner may read, and its public half beside it as `FILE.pub`;
    /// what is there stays.
    ///
    /// # Errors
    /// [`Kind::Environment`] where one of the files exists or cannot be written.
    pub fn write(&self, file: &Path) -> Result<PathBuf> {
        let encode = |e| Error::new(Kind::Environment, format!("encode a key: {e}"));
        // Version 1 of the structure, without the public half: OpenSSL reads no other.
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let secret = bytes.to_pkcs8_pem(LineEnding::LF).map_err(encode)?;
        let mut public = file.as_os_str().to_owned();
        public.push(".pub");
        let public = PathBuf::from(public);
        create(&public, 0o644, self.public().pem()?.as_bytes())?;
        create(file, 0o600, secret.as_bytes())?;
        Ok(public)
    }

    /// The half that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl PublicKey {
    fn of(key: VerifyingKey) -> PublicKey {
        let id = key.to_public_key_der().map_or(String::new(), |der| sha256(der.as_bytes()).to_string());
        PublicKey { key, id }
    }

    /// Reads a key from SPKI in PEM.
    ///
    /// # Errors
    /// [`Kind::Document`] where it is none, and for a key of small order, under which any message verifies.
    pub fn parse(pem: &str) -> Result<PublicKey> {
        let wrong = |why: String| Error::new(Kind::Document, format!("parse a public key of ed25519: {why}"));
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|e| wrong(e.to_string()))?;
        if key.is_weak() {
            return Err(wrong("its order is small".to_owned()));
        }
        Ok(PublicKey::of(key))
    }

    /// Reads the key in a file.
    ///
    /// # Errors
    /// As [`PublicKey::parse`]; [`Kind::Environment`] where the file cannot be read.
    pub fn read(file: &Path) -> Result<PublicKey> {
        PublicKey::parse(&text(file)?)
            .map_err(|e| Error::because(Kind::Document, format!("read {}", file.display()), e))
    }

    /// SPKI in PEM.
    ///
    /// # Errors
    /// [`Kind::Environment`] where it cannot be encoded.
    pub fn pem(&self) -> Result<String> {
        self.key
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e| Error::new(Kind::Environment, format!("encode a key: {e}")))
    }

    /// The SHA-256 of its SPKI in DER.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether `signature` is this key's of `message`; strictly, so that no other signature of it is.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

fn text(file: &Path) -> Result<String> {
    String::from_utf8(read_within(file, FILE)?)
        .map_err(|_| Error::new(Kind::Document, format!("read {}: it is no text", file.display())))
}

fn create(file: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let context = || format!("write {}", file.display());
    let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    options.context(context)?.write_all(content).context(context)
}
