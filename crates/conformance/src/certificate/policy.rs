//! Whose word counts: the folder of public keys that who verifies trusts.
//!
//! `submitters/NAME.pub` and `reviewers/NAME.pub` are keys; `suites` lists digests of programs, one a line,
//! that judged honestly. Nobody reviews their own results: one key does not play both parts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Context as _, Error, Kind, Result};
use crate::results::read_within;

use super::envelope::Envelope;
use super::key::PublicKey;

/// Most keys of one folder.
const KEYS: usize = 256;
const SUITES: usize = 64 << 10;

/// The part that a key plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Who has run the suite.
    Submitter,
    /// Who has looked at what was submitted.
    Reviewer,
}

/// What signatures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A submitter's and a reviewer's: a certificate.
    Certificate,
    /// A submitter's: what is submitted for review.
    Submission,
}

/// Trusted keys and programs.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<(Role, String, PublicKey)>,
    suites: BTreeSet<String>,
}

impl Keys {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// [`Kind::Document`] for a key that is none, for more than 256 of one kind, and where a key plays both parts;
    /// [`Kind::Request`] where there is no key at all, [`Kind::Environment`] where the folder cannot be read.
    pub fn read(dir: &Path) -> Result<Keys> {
        let mut keys = Keys::default();
        for (role, name) in [(Role::Submitter, "submitters"), (Role::Reviewer, "reviewers")] {
            keys.read_role(role, &dir.join(name))?;
        }
        if keys.keys.is_empty() {
            let why =
                format!("read {}: there is no submitters/NAME.pub and no reviewers/NAME.pub", dir.display());
            return Err(Error::new(Kind::Request, why));
        }
        let suites = dir.join("suites");
        if suites.exists() {
            let text = read_within(&suites, SUITES)?;
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            keys.suites.extend(lines.map(str::to_owned));
        }
        Ok(keys)
    }

    fn read_role(&mut self, role: Role, dir: &Path) -> Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        let context = || format!("read {}", dir.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).context(context)? {
            let path = entry.context(context)?.path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                files.push(path);
            }
            if files.len() > KEYS {
                return Err(Error::new(
                    Kind::Document,
                    format!("{}: it has more than {KEYS} keys", context()),
                ));
            }
        }
        files.sort();
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            self.add(role, &name, PublicKey::read(&file)?)?;
        }
        Ok(())
    }

    /// Trusts `key`, called `name`, to play `role`.
    ///
    /// # Errors
    /// [`Kind::Document`] where it plays the other part already.
    pub fn add(&mut self, role: Role, name: &str, key: PublicKey) -> Result<()> {
        if self.keys.iter().any(|(other, _, known)| *other != role && *known == key) {
            let why =
                format!("the key {name} is a submitter's and a reviewer's: nobody reviews their own results");
            return Err(Error::new(Kind::Document, why));
        }
        self.keys.push((role, name.to_owned(), key));
        Ok(())
    }

    /// Trusts the suite whose program has this digest.
    pub fn add_suite(&mut self, digest: &str) {
        self.suites.insert(digest.to_owned());
    }

    pub(super) fn knows_suite(&self, digest: &str) -> bool {
        self.suites.contains(digest)
    }

    /// Who has signed `envelope`, or a sentence for each signature that is nobody's.
    pub(super) fn signers(
        &self,
        envelope: &Envelope,
    ) -> std::result::Result<BTreeSet<(Role, String)>, Vec<String>> {
        let message = envelope.signed_bytes();
        let mut signers = BTreeSet::new();
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for signature in &envelope.signatures {
            let id = &signature.key_id;
            let known = self.keys.iter().find(|(_, _, key)| key.id() == id);
            match known {
                _ if !seen.insert(id) => faults.push(format!("the key {id:?} has signed twice")),
                None => {
                    faults.push(format!("the key {id:?}, which has signed, is not among the trusted keys"));
                }
                Some((role, name, key)) if key.verifies(&message, &signature.signature.0) => {
                    signers.insert((*role, name.clone()));
                }
                Some((_, name, _)) => faults.push(format!("the signature of {name} does not verify")),
            }
        }
        if faults.is_empty() { Ok(signers) } else { Err(faults) }
    }
}
