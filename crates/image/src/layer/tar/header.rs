//! The header block and its fields.

use plimsoll_sys::fs::Timestamp;

use super::BLOCK;
use super::sparse::Map;

/// What is wrong with a header.
type Result<T, E = &'static str> = std::result::Result<T, E>;

/// A block whose checksum is right.
#[derive(Debug)]
pub(super) struct Header([u8; BLOCK]);

/// Which fields follow the classic ones.
#[derive(PartialEq)]
enum Format {
    /// Nothing follows.
    Classic,
    /// A prefix of the name of 155 bytes.
    Ustar,
    /// As ustar, with a prefix of 131 bytes and times behind it.
    Star,
    /// Times and a sparse map.
    Gnu,
}

impl Header {
    pub(super) fn new(block: [u8; BLOCK]) -> Result<Self> {
        // The sum is taken with its own field blank. Some old writers summed signed bytes.
        let blank = 8 * i64::from(b' ');
        let outside = |range: std::ops::Range<usize>| block[range].iter();
        let unsigned: i64 = outside(0..148).chain(outside(156..BLOCK)).map(|&byte| i64::from(byte)).sum();
        let signed = || -> i64 {
            let bytes = outside(0..148).chain(outside(156..BLOCK));
            bytes.map(|&byte| i64::from(i8::from_ne_bytes([byte]))).sum()
        };
        let sum = number(&block[148..156]).ok_or("a header has no checksum")?;
        if sum != unsigned + blank && sum != signed() + blank {
            return Err("a header has a wrong checksum");
        }
        Ok(Self(block))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn mode(&self) -> Result<u32> {
        let mode = number(&self.0[100..108]).ok_or("a mode is no number")?;
        // Old writers repeat the type of the file in the upper bits.
        u32::try_from(mode & 0o7777).map_err(|_| "a mode is no number")
    }

    pub(super) fn uid(&self) -> Result<u32> {
        number(&self.0[108..116]).and_then(id).ok_or("a user is no number from 0 to 4294967294")
    }

    pub(super) fn gid(&self) -> Result<u32> {
        number(&self.0[116..124]).and_then(id).ok_or("a group is no number from 0 to 4294967294")
    }

    pub(super) fn size(&self) -> Result<u64> {
        size(&self.0[124..136]).ok_or("a size is no number")
    }

    pub(super) fn modified(&self) -> Result<Timestamp> {
        let seconds = number(&self.0[136..148]).ok_or("a time is no number")?;
        Ok(Timestamp { seconds, nanoseconds: 0 })
    }

    pub(super) fn link(&self) -> &[u8] {
        text(&self.0[157..257])
    }

    pub(super) fn path(&self, path: &mut Vec<u8>) {
        let prefix = match self.format() {
            Format::Ustar => text(&self.0[345..500]),
            Format::Star => text(&self.0[345..476]),
            Format::Classic | Format::Gnu => &[],
        };
        if !prefix.is_empty() {
            path.extend_from_slice(prefix);
            path.push(b'/');
        }
        path.extend_from_slice(text(&self.0[0..100]));
    }

    pub(super) fn device(&self) -> Result<(u32, u32)> {
        let part = |range: std::ops::Range<usize>| {
            number(&self.0[range]).and_then(|part| u32::try_from(part).ok()).ok_or("a device is no number")
        };
        Ok((part(329..337)?, part(337..345)?))
    }

    /// Adds the map in the header; whether more of it follows.
    pub(super) fn old_sparse(&self, map: &mut Map) -> Result<bool> {
        if self.format() != Format::Gnu {
            return Err("a sparse file is of an unknown format");
        }
        segments(&self.0[386..482], map)?;
        Ok(self.0[482] != 0)
    }

    pub(super) fn old_sparse_size(&self) -> Result<u64> {
        size(&self.0[483..495]).ok_or("a sparse file has no size")
    }

    fn format(&self) -> Format {
        match &self.0[257..265] {
            b"ustar  \0" => Format::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] if self.0[508..512] == *b"tar\0" => Format::Star,
            [b'u', b's', b't', b'a', b'r', 0, ..] => Format::Ustar,
            _ => Format::Classic,
        }
    }
}

/// Adds the map in a block after the header; whether more of it follows.
pub(super) fn more_old_sparse(block: &[u8; BLOCK], map: &mut Map) -> Result<bool> {
    segments(&block[..504], map)?;
    Ok(block[504] != 0)
}

fn segments(fields: &[u8], map: &mut Map) -> Result<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let (offset, length) = pair.split_at(12);
        let part = |field| size(field).ok_or("the map of a sparse file has something that is no number");
        map.push(part(offset)?, part(length)?)?;
    }
    Ok(())
}

/// A user or group; the last number is the kernel's word for none.
pub(super) fn id(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|id| *id != u32::MAX)
}

fn size(field: &[u8]) -> Option<u64> {
    number(field).and_then(|size| u64::try_from(size).ok())
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An octal number between spaces and NULs, or one in base 256 where the first bit is set. An empty field is 0.
fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    // Two's complement of 7 bits in the first byte; fields have 12 bytes at most.
    let start = i128::from(first & 0x3f) - i128::from(first & 0x40);
    let number = rest.iter().fold(start, |number, &byte| number << 8 | i128::from(byte));
    i64::try_from(number).ok()
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, 0 | b' ');
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    field[start..end].iter().try_fold(0_i64, |number, &byte| match byte {
        b'0'..=b'7' => Some(number.checked_mul(8)? + i64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn reads_numbers_as_writers_write_them() {
        let table: [(&[u8], Option<i64>); 12] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000648\0", None),
            (b"6\x0044\0\0\0\0", None),
            (b"-0000001", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
        ];
        for (field, want) in table {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }
}
