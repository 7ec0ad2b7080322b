//! Content digests of OCI: the identity by which everything else is fetched, stored and trusted.
//!
//! A [`Digest`] exists only after [`Digest::parse`] or a hash computation made it, so it is well formed
//! for ever after; its two parts hold no `/`, no `.` alone and no NUL, and may stand as components of a
//! path. Content is checked by a [`Verifier`], which looks at the size first and never reads past it.
//! The crate does no I/O but through the reader it is given, and nothing in it panics on any input.
//!
//! # References
//! - [descriptor.md, digests](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests)

mod algorithm;
mod digest;
mod digester;
mod reader;
mod set;
mod verifier;

pub use algorithm::Algorithm;
pub use digest::{Digest, ParseError, ParseErrorKind};
pub use digester::{Digester, InvalidState, MultiDigester};
pub use reader::DigestReader;
pub use set::{DigestSet, LookupError};
pub use verifier::{Mismatch, Verifier};

/// The chain id of layers stacked in the order of `diff_ids`, lowest first: what a snapshot of all of
/// them is called. `None` for no layers.
///
/// # References
/// - [config.md, layer ChainID](https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid)
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    chain_ids(diff_ids).pop()
}

/// The chain ids of every prefix of `diff_ids`, shortest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(Algorithm::Sha256, format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}
