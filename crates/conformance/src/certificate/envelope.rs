//! The envelope around a statement: DSSE, read more strictly than its specification asks.
//!
//! Only one text is an envelope of given content: canonical JSON without unknown members, the key's name in
//! full. Otherwise a certificate could be changed without breaking it, and two that differ be one.
//!
//! # References
//! - [DSSE v1.0.2, protocol](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)
//! - [in-toto bundles](https://github.com/in-toto/attestation/blob/main/spec/v1/bundle.md)

use plimsoll_spec::image::Data;
use plimsoll_spec::json::{self, wire_object};

use crate::error::{Error, Kind, Result};

use super::key::SecretKey;

/// The type of every statement of in-toto.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Most signatures of an envelope.
const SIGNATURES: usize = 16;

wire_object! {
    /// A payload and who has signed it.
    pub struct Envelope {
        /// The signed bytes.
        pub payload: Data = "payload" required,
        /// What they are.
        pub payload_type: String = "payloadType" required,
        /// Who has signed them.
        pub signatures: Vec<Signature> = "signatures" required,
    }

    /// One signature.
    pub struct Signature {
        /// The name of the key.
        pub key_id: String = "keyid" required,
        /// What it has made of the payload.
        pub signature: Data = "sig" required,
    }
}

impl Envelope {
    /// An envelope that nobody has signed yet.
    pub(super) fn of(payload: Vec<u8>) -> Envelope {
        Envelope {
            payload: Data(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: Vec::new(),
            extra: json::Object::new(),
        }
    }

    /// The bytes that are signed: type and payload, each behind its length.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let (kind, payload) = (&self.payload_type, &self.payload.0);
        let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        bytes.extend(payload);
        bytes
    }

    pub(super) fn sign(&mut self, key: &SecretKey) -> Result<()> {
        let id = key.public().id().to_owned();
        if self.signatures.iter().any(|signature| signature.key_id == id) {
            return Err(Error::new(Kind::Request, format!("sign: the key {id} has signed already")));
        }
        let signature = Data(key.sign(&self.signed_bytes()).to_vec());
        self.signatures.push(Signature { key_id: id, signature, extra: json::Object::new() });
        Ok(())
    }

    /// Reads the one text that an envelope may be.
    ///
    /// # Errors
    /// [`Kind::Document`] for any other.
    pub fn parse(text: &[u8]) -> Result<Envelope> {
        let refuse = |why: String| Error::new(Kind::Document, format!("parse an envelope: {why}"));
        let envelope: Envelope =
            json::from_slice(text).map_err(|e| Error::because(Kind::Document, "parse an envelope", e))?;
        let unknown = envelope.signatures.iter().map(|signature| &signature.extra).chain([&envelope.extra]);
        if let Some(name) = unknown.flat_map(json::Object::keys).next() {
            return Err(refuse(format!("it has the unknown member {name:?}")));
        }
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(refuse(format!("its payload is of the type {:?}", envelope.payload_type)));
        }
        if envelope.signatures.len() > SIGNATURES {
            return Err(refuse(format!("it has more than {SIGNATURES} signatures")));
        }
        if json::to_vec(&envelope) != text {
            return Err(refuse("it is not written in the canonical form".to_owned()));
        }
        Ok(envelope)
    }
}

/// Reads the two envelopes of a certificate, the test result first.
///
/// # Errors
/// [`Kind::Document`] where there are not two, and as [`Envelope::parse`].
pub fn parse_bundle(text: &[u8]) -> Result<[Envelope; 2]> {
    let whole = text.strip_suffix(b"\n");
    let mut lines = whole.unwrap_or_default().split(|byte| *byte == b'\n');
    match (lines.next(), lines.next(), lines.next()) {
        (Some(first), Some(second), None) => Ok([Envelope::parse(first)?, Envelope::parse(second)?]),
        _ => Err(Error::new(Kind::Document, "parse a bundle: it has not two lines, an envelope each")),
    }
}
