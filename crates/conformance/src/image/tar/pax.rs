//! The records of a PAX header: `LENGTH KEY=VALUE\n`, with values of any bytes.

use super::Fault;

/// Most records of one header.
const RECORDS: usize = 4096;

/// Adds the records of `text` to `records`, and a fault for the first that is malformed.
pub(super) fn records(mut text: &[u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>, faults: &mut Vec<Fault>) {
    while !text.is_empty() {
        if records.len() >= RECORDS {
            return faults.push(Fault::Limit("a PAX header has too many records"));
        }
        let Some((length, record)) = split(text) else {
            return faults.push(Fault::Pax("a record has no length, no = or no end"));
        };
        records.push(record);
        text = text.get(length..).unwrap_or_default();
    }
}

type Record = (Vec<u8>, Vec<u8>);

/// The first record and how many bytes it takes.
fn split(text: &[u8]) -> Option<(usize, Record)> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    let digits = text.get(..space)?;
    let plain = !digits.is_empty() && digits.len() < 8 && digits.iter().all(u8::is_ascii_digit);
    let length: usize = std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?;
    let (last, body) = text.get(space + 1..length)?.split_last()?;
    let equals = body.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    let (key, value) = body.split_at(equals);
    (*last == b'\n').then(|| (length, (key.to_vec(), value[1..].to_vec())))
}

/// The whole part of a decimal number.
pub(super) fn number(value: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits.len() > 30 || !numeric(digits) || !numeric(fraction) {
        return None;
    }
    whole.parse().ok()
}
