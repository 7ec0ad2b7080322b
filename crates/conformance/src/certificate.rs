//! Certificates: results that somebody vouches for, in a form that anybody can check.
//!
//! A certificate is two signed in-toto statements about the tested artefact, and the results that they speak
//! of. One statement is a test result, for tools that know that predicate; the other says what that one has no
//! words for: what was not passed and why, where, by which suite. Both follow from the results and the day of
//! issue alone, so who verifies makes them again and compares bytes, as the verdicts follow from the evidence.
//! The form is described in `docs/certificates.md`.
//!
//! # References
//! - [in-toto attestation framework v1](https://github.com/in-toto/attestation/tree/main/spec/v1)
//! - [DSSE v1.0.2](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)

mod envelope;
mod expiry;
mod key;
mod layout;
mod policy;
pub mod rerun;
mod statement;
mod verify;

use std::path::Path;

use plimsoll_digest::{Algorithm, Digest};
use plimsoll_spec::image::{Descriptor, Manifest, media_type};
use plimsoll_spec::json;

use crate::day::Day;
use crate::error::{Error, Kind, Result};
use crate::requirement::Registry;
use crate::results::{Results, read_within};

pub use envelope::{Envelope, PAYLOAD_TYPE, Signature, parse_bundle};
pub use expiry::{Validity, eligible, specification, validity};
pub use key::{PublicKey, SecretKey};
pub use policy::{Keys, Role, Rule};
pub(crate) use statement::not_tested;
pub use statement::{PREDICATE, TEST_RESULT, TestResult, result_of};
pub use verify::{Against, Check, Refusal, Verified, examine, examine_results, verify};

/// Two signed statements and what they speak of.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The test result.
    pub test_result: Envelope,
    /// What goes with it.
    pub conformance: Envelope,
    /// The bytes of the results.
    pub results: Vec<u8>,
    /// The image that was judged, where it was one.
    pub subject: Option<Descriptor>,
}

impl Certificate {
    /// Signs `results` on the day `issued`, after the checks that who verifies will make of them.
    ///
    /// # Errors
    /// [`Kind::Request`] with a sentence for every reason not to.
    pub fn issue(
        results: &Results,
        issued: Day,
        key: &SecretKey,
        registry: &Registry,
        subject: Option<Descriptor>,
    ) -> Result<Certificate> {
        let bytes = results.to_vec();
        let statements = statement::make(results, &bytes, issued, registry)?;
        let mut certificate = Certificate {
            test_result: Envelope::of(statements.test_result),
            conformance: Envelope::of(statements.conformance),
            results: bytes,
            subject,
        };
        let refusals = examine(&certificate, registry);
        if !refusals.is_empty() {
            let why: Vec<&str> = refusals.iter().map(|refusal| refusal.sentence.as_str()).collect();
            return Err(Error::new(Kind::Request, format!("sign the results: {}", why.join("; "))));
        }
        certificate.sign(key)?;
        Ok(certificate)
    }

    /// Adds a signature to both statements.
    ///
    /// # Errors
    /// [`Kind::Request`] where the key has signed already.
    pub fn sign(&mut self, key: &SecretKey) -> Result<()> {
        self.test_result.sign(key)?;
        self.conformance.sign(key)
    }

    /// The results, read as anybody's.
    ///
    /// # Errors
    /// [`Kind::Document`] where they are malformed.
    pub fn parsed_results(&self) -> Result<Results> {
        Results::parse(&self.results)
    }

    /// The statements as an in-toto bundle: an envelope a line.
    pub fn bundle(&self) -> Vec<u8> {
        let mut lines = json::to_vec(&self.test_result);
        lines.push(b'\n');
        lines.extend(json::to_vec(&self.conformance));
        lines.push(b'\n');
        lines
    }
}

/// The digest of the file `path`, as certificates name it.
///
/// # Errors
/// [`Kind::Environment`] where it cannot be read.
pub fn digest_of_file(path: &Path) -> Result<Digest> {
    crate::runtime::digest_of(path)
}

/// The descriptor of the image manifest in a file, for a certificate to refer to.
///
/// # Errors
/// [`Kind::Document`] where it is none; [`Kind::Environment`] where it cannot be read.
pub fn describe_manifest(file: &Path) -> Result<Descriptor> {
    let wrong = |e| Error::because(Kind::Document, format!("read the manifest {}", file.display()), e);
    let text = read_within(file, json::Limits::DEFAULT.size)?;
    let manifest: Manifest = json::from_slice(&text).map_err(wrong)?;
    let kind = manifest.media_type.unwrap_or_else(|| media_type::MANIFEST.to_owned());
    Ok(layout::descriptor(&kind, &text))
}

/// The digest by which certificates name content.
fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

#[cfg(test)]
pub(crate) mod tests;
