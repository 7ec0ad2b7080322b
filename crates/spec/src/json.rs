//! JSON as the OCI specifications restrict it: I-JSON, read within limits, written in one form.
//!
//! The text is parsed by `serde_json` into a [`Value`]; types are then decoded from that tree by
//! [`Wire`], which knows where it is and can therefore name the place of every fault. What is refused:
//! duplicate names, invalid UTF-8, nesting beyond [`Limits::depth`], documents beyond [`Limits::size`].
//!
//! # References
//! - [RFC 7493](https://www.rfc-editor.org/rfc/rfc7493), the I-JSON message format
//! - [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901), JSON pointer

mod error;
mod parse;
mod value;
mod wire;

pub use error::{Error, Kind};
pub use value::{Object, Value};
pub use wire::{At, Wire};

pub use crate::{wire_enum, wire_object};

/// What a document may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes a document may have.
    pub size: usize,
    /// Most levels of nesting; at most 127, where the parser itself stops.
    pub depth: usize,
}

impl Limits {
    /// 4 MiB, the size that registries must accept for a manifest, and 64 levels; real documents stay under 12.
    pub const DEFAULT: Limits = Limits { size: 4 << 20, depth: 64 };
}

/// Reads `T` from UTF-8 JSON `bytes` within [`Limits::DEFAULT`].
///
/// # Errors
/// See [`Kind`]; the error carries the JSON pointer of the offending value.
pub fn from_slice<T: Wire>(bytes: &[u8]) -> Result<T, Error> {
    from_slice_within(bytes, Limits::DEFAULT)
}

/// Reads `T` from UTF-8 JSON `bytes` within `limits`.
///
/// # Errors
/// See [`Kind`].
pub fn from_slice_within<T: Wire>(bytes: &[u8], limits: Limits) -> Result<T, Error> {
    T::decode(parse::parse(bytes, limits)?, &At::ROOT)
}

/// Writes `value` compactly, members sorted by name: equal input gives equal bytes.
pub fn to_vec<T: Wire>(value: &T) -> Vec<u8> {
    value.encode().to_vec()
}

/// Writes `value` for people, two spaces an indent and a line feed at the end, members sorted by name.
pub fn to_vec_pretty<T: Wire>(value: &T) -> Vec<u8> {
    value.encode().to_vec_pretty()
}
