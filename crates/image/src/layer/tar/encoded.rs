//! How libarchive writes down what is no text: names with `%` and two hexadecimal digits for a byte, values
//! in base 64, with or without the filling at the end.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What is wrong with the text.
type Result<T, E = &'static str> = std::result::Result<T, E>;

const MALFORMED: &str = "an extended attribute is malformed";

/// The bytes that `text` says.
pub(super) fn percent(text: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
        rest = after;
        bytes.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
    }
    Ok(bytes)
}

fn hexadecimal(digit: u8) -> Result<u8> {
    let value = char::from(digit).to_digit(16).ok_or(MALFORMED)?;
    u8::try_from(value).map_err(|_| MALFORMED)
}

/// Base 64, whether the end is filled or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that `text` says.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>> {
    BASE64.decode(text).map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let ok = |bytes: &[u8]| Ok(bytes.to_vec());
        let table: [(&[u8], Result<Vec<u8>>); 6] = [
            (b"user.a", ok(b"user.a")),
            (b"%3d%FF", ok(b"=\xff")),
            (b"", ok(b"")),
            (b"a%", Err(MALFORMED)),
            (b"a%3", Err(MALFORMED)),
            (b"a%3g", Err(MALFORMED)),
        ];
        for (text, want) in table {
            assert_eq!(percent(text), want, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn values_are_read() {
        let ok = |bytes: &[u8]| Ok(bytes.to_vec());
        let table: [(&[u8], Result<Vec<u8>>); 10] = [
            (b"", ok(b"")),
            (b"Zg", ok(b"f")),
            (b"Zg==", ok(b"f")),
            (b"Zm8", ok(b"fo")),
            (b"Zm8=", ok(b"fo")),
            (b"Zm9v", ok(b"foo")),
            (b"Zm9vYmE", ok(b"fooba")),
            (b"+/+/", ok(b"\xfb\xff\xbf")),
            (b"Z", Err(MALFORMED)),
            (b"Zm9v!A", Err(MALFORMED)),
        ];
        for (text, want) in table {
            assert_eq!(base64(text), want, "{}", text.escape_ascii());
        }
    }
}
