//! Extension headers of pax: records of the form `LENGTH KEY=VALUE\n`.

use std::collections::BTreeMap;

use plimsoll_sys::fs::Timestamp;

use super::encoded;
use super::header;
use super::sparse::Map;

/// What is wrong with a record.
type Result<T, E = &'static str> = std::result::Result<T, E>;

const MALFORMED: &str = "a pax record is malformed";

/// What extension headers say of an entry, as far as it concerns a file system.
#[derive(Clone, Debug, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<Timestamp>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: Sparse,
}

/// How many extended attributes there may be, and how many bytes of names and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) names: usize,
    pub(super) bytes: usize,
}

impl Allowance {
    /// For one entry: what one header holds. The kernel lists 64 KiB of names, 1024 long ones.
    pub(super) const ENTRY: Allowance = Allowance { names: 1024, bytes: 1 << 20 };
    /// For all global headers together: every entry costs these again.
    pub(super) const GLOBAL: Allowance = Allowance { names: 16, bytes: 4096 };
}

/// What GNU tar says of a sparse file.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    /// Major and minor number; none in the oldest format.
    pub(super) version: Option<(u64, u64)>,
    pub(super) name: Option<Vec<u8>>,
    /// Length of the file with its holes.
    pub(super) size: Option<u64>,
    pub(super) map: Map,
    /// An offset that waits for its length.
    offset: Option<u64>,
}

impl Sparse {
    pub(super) fn is_sparse(&self) -> bool {
        self.version.is_some() || self.size.is_some()
    }
}

impl Extension {
    /// Takes the records of a header of one entry.
    pub(super) fn read_local(&mut self, records: &[u8]) -> Result<()> {
        let global = std::mem::take(&mut self.xattrs);
        each_record(records, |key, value| self.set(key, value))?;
        for (attribute, value) in global {
            self.xattrs.entry(attribute).or_insert(value);
        }
        match self.sparse.offset {
            Some(_) => Err("the map of a sparse file is cut short"),
            None => Ok(()),
        }
    }

    /// Takes the records of a global header, which may not say what can be true of one entry alone.
    pub(super) fn read_global(&mut self, records: &[u8]) -> Result<()> {
        each_record(records, |key, value| match key {
            b"path" | b"linkpath" | b"size" => Err("a global header speaks of a single entry"),
            key if key.starts_with(b"GNU.sparse.") => Err("a global header speaks of a single entry"),
            _ => self.set(key, value),
        })
    }

    /// Whether there are more extended attributes than `allowance` has room for.
    pub(super) fn exceeds(&self, allowance: Allowance) -> bool {
        let bytes: usize = self.xattrs.iter().map(|(attribute, value)| attribute.len() + value.len()).sum();
        self.xattrs.len() > allowance.names || bytes > allowance.bytes
    }

    /// An empty value takes back what was said before.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = unless_empty(value, decimal)?,
            b"uid" => self.uid = unless_empty(value, id)?,
            b"gid" => self.gid = unless_empty(value, id)?,
            b"mtime" => self.modified = unless_empty(value, time)?,
            _ => {
                if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(attribute_name(attribute)?.to_vec(), value.to_vec());
                } else if let Some(attribute) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.set_encoded_xattr(attribute, value)?;
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.set_sparse(key, value)?;
                }
            }
        }
        Ok(())
    }

    /// libarchive says it twice, for the sake of names and values that are no text. What all readers know
    /// comes first.
    fn set_encoded_xattr(&mut self, attribute: &[u8], value: &[u8]) -> Result<()> {
        let attribute = encoded::percent(attribute)?;
        let value = encoded::base64(value)?;
        self.xattrs.entry(attribute_name(&attribute)?.to_vec()).or_insert(value);
        Ok(())
    }

    fn set_sparse(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let sparse = &mut self.sparse;
        let version = sparse.version.unwrap_or_default();
        match key {
            b"major" => sparse.version = Some((decimal(value)?, version.1)),
            b"minor" => sparse.version = Some((version.0, decimal(value)?)),
            b"name" => sparse.name = name(value)?,
            b"size" | b"realsize" => sparse.size = Some(decimal(value)?),
            b"offset" if sparse.offset.is_none() => sparse.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = sparse.offset.take().ok_or("the map of a sparse file has no offset")?;
                sparse.map.push(offset, decimal(value)?)?;
            }
            b"map" => {
                let mut numbers = value.split(|byte| *byte == b',');
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or("the map of a sparse file is cut short")?;
                    sparse.map.push(decimal(offset)?, decimal(length)?)?;
                }
            }
            // The map itself says how many there are.
            b"numblocks" => {}
            _ => return Err("a sparse file is of an unknown format"),
        }
        Ok(())
    }
}

fn each_record(mut records: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').ok_or(MALFORMED)?;
        let length = usize::try_from(decimal(&records[..space])?).map_err(|_| MALFORMED)?;
        let (record, rest) = records.split_at_checked(length).ok_or(MALFORMED)?;
        let record =
            record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or(MALFORMED)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
        if equals == 0 {
            return Err(MALFORMED);
        }
        take(&record[..equals], &record[equals + 1..])?;
        records = rest;
    }
    Ok(())
}

fn attribute_name(attribute: &[u8]) -> Result<&[u8]> {
    if attribute.is_empty() || attribute.contains(&0) {
        return Err("an extended attribute has no name");
    }
    Ok(attribute)
}

fn unless_empty<T>(value: &[u8], parse: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

fn name(value: &[u8]) -> Result<Option<Vec<u8>>> {
    if value.contains(&0) {
        return Err("a name holds a NUL");
    }
    unless_empty(value, |value| Ok(value.to_vec()))
}

/// A decimal number of digits alone, up to the largest size a file can have.
pub(super) fn decimal(text: &[u8]) -> Result<u64> {
    const WRONG: &str = "a pax number is no number";
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    number.and_then(|number| u64::try_from(number).ok()).ok_or(WRONG)
}

fn id(text: &[u8]) -> Result<u32> {
    let number = i64::try_from(decimal(text)?).ok().and_then(header::id);
    number.ok_or("a user or group is no number from 0 to 4294967294")
}

/// Seconds with a fraction, of which nine digits count; a time before 1970 is rounded down like any other.
fn time(text: &[u8]) -> Result<Timestamp> {
    const WRONG: &str = "a pax time is no time";
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = decimal(parts.next().unwrap_or_default()).map_err(|_| WRONG)?;
    let whole = i64::try_from(whole).map_err(|_| WRONG)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    let digits = fraction.iter().map(|digit| u32::from(digit - b'0')).chain(std::iter::repeat(0));
    let mut nanoseconds = digits.take(9).fold(0, |sum, digit| sum * 10 + digit);
    if !negative {
        return Ok(Timestamp { seconds: whole, nanoseconds });
    }
    nanoseconds += u32::from(fraction.iter().skip(9).any(|digit| *digit != b'0'));
    Ok(match nanoseconds {
        0 => Timestamp { seconds: -whole, nanoseconds: 0 },
        _ => Timestamp { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let at = |seconds, nanoseconds| Ok(Timestamp { seconds, nanoseconds });
        let wrong = Err("a pax time is no time");
        let table: [(&str, Result<Timestamp>); 11] = [
            ("0", at(0, 0)),
            ("1350244992.023960108", at(1_350_244_992, 23_960_108)),
            ("1.5", at(1, 500_000_000)),
            ("1.9999999999", at(1, 999_999_999)),
            ("-1", at(-1, 0)),
            ("-1.5", at(-2, 500_000_000)),
            ("-0.0000000001", at(-1, 999_999_999)),
            ("5000000000.", at(5_000_000_000, 0)),
            ("", wrong),
            ("1e3", wrong),
            ("99999999999999999999", wrong),
        ];
        for (text, want) in table {
            assert_eq!(time(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn refuses_records_that_are_none() {
        let table: [(&[u8], &str); 12] = [
            (b"12 path=a\n", MALFORMED),
            (b"8 path=a\n", MALFORMED),
            (b"10 path=ab", MALFORMED),
            (b"3 =\n", MALFORMED),
            (b"5 =a\n", MALFORMED),
            (b"5 ab\n", MALFORMED),
            (b"x path=a\n", "a pax number is no number"),
            (b"+10 path=a\n", "a pax number is no number"),
            (b"0 a=b\n", MALFORMED),
            (b"11 path=a\0\n", "a name holds a NUL"),
            (b"18 uid=4294967295\n", "a user or group is no number from 0 to 4294967294"),
            (b"22 GNU.sparse.offset=1\n", MALFORMED),
        ];
        for (records, want) in table {
            let got = Extension::default().read_local(records);
            assert_eq!(got, Err(want), "{}", records.escape_ascii());
        }
        let open = Extension::default().read_local(b"23 GNU.sparse.offset=1\n");
        assert_eq!(open, Err("the map of a sparse file is cut short"));
        let global = Extension::default().read_global(b"10 path=a\n");
        assert_eq!(global, Err("a global header speaks of a single entry"));
    }

    #[test]
    fn attributes_are_spelled_in_two_ways() {
        let attributes = |records: &[u8]| {
            let mut extension = Extension::default();
            extension.read_local(records).map(|()| extension.xattrs.into_iter().collect::<Vec<_>>())
        };
        let one = |name: &[u8], value: &[u8]| Ok(vec![(name.to_vec(), value.to_vec())]);
        assert_eq!(attributes(b"28 SCHILY.xattr.user.a=\0=\n\xff\n"), one(b"user.a", b"\0=\n\xff"));
        assert_eq!(attributes(b"37 LIBARCHIVE.xattr.user.a%3d=AD0K/w\n"), one(b"user.a=", b"\0=\n\xff"));
        let first = b"25 SCHILY.xattr.user.a=1\n".as_slice();
        let second = b"30 LIBARCHIVE.xattr.user.a=Mg\n".as_slice();
        assert_eq!(attributes(&[first, second].concat()), one(b"user.a", b"1"));
        assert_eq!(attributes(&[second, first].concat()), one(b"user.a", b"1"));
        let nameless = Err("an extended attribute has no name");
        assert_eq!(attributes(b"22 LIBARCHIVE.xattr.=\n"), nameless);
        assert_eq!(attributes(b"25 LIBARCHIVE.xattr.%00=\n"), nameless);
        let local = {
            let mut extension = Extension::default();
            extension.read_global(second).unwrap();
            extension.read_local(b"30 LIBARCHIVE.xattr.user.a=Mw\n").unwrap();
            extension.xattrs
        };
        assert_eq!(local.into_iter().collect::<Vec<_>>(), [(b"user.a".to_vec(), b"3".to_vec())]);
    }

    #[test]
    fn later_records_win_and_empty_ones_take_back() {
        let mut extension = Extension::default();
        extension.read_local(b"10 path=a\n10 path=b\n8 uid=7\n7 uid=\n").unwrap();
        assert_eq!((extension.path.as_deref(), extension.uid), (Some(&b"b"[..]), None));
    }
}
