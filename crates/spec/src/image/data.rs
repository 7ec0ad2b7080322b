//! The strings of the image specification that carry more than text: digests and embedded content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_digest::Digest;

use crate::json::{At, Error, Kind, Value, Wire};

/// Content embedded in a descriptor, decoded.
///
/// # References
/// - [descriptor.md, embedded content](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#embedded-content)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data(pub Vec<u8>);

impl Wire for Data {
    fn decode(value: Value, at: &At<'_>) -> Result<Data, Error> {
        let text = String::decode(value, at)?;
        STANDARD.decode(text).map(Data).map_err(|e| at.error(Kind::Value, format!("not base64: {e}")))
    }

    fn encode(&self) -> Value {
        Value::String(STANDARD.encode(&self.0))
    }
}

impl Wire for Digest {
    fn decode(value: Value, at: &At<'_>) -> Result<Digest, Error> {
        let text = String::decode(value, at)?;
        Digest::parse(&text).map_err(|e| at.error(Kind::Value, format!("not a digest: {text:?}: {e}")))
    }

    fn encode(&self) -> Value {
        Value::String(self.to_string())
    }
}
