//! One header block: its fields as they are written.

/// The 512 bytes.
#[derive(Debug)]
pub(super) struct Header(pub [u8; 512]);

impl Header {
    fn field(&self, start: usize, length: usize) -> &[u8] {
        self.0.get(start..start + length).unwrap_or_default()
    }

    /// The type flag; that of a regular file where there is none.
    pub(super) fn kind(&self) -> u8 {
        if self.0[156] == 0 { b'0' } else { self.0[156] }
    }

    /// Whether the checksum is that of the bytes, which some writers added up as signed ones.
    pub(super) fn checksum_matches(&self) -> bool {
        let Ok(Some(stored)) = number(self.field(148, 8)) else { return false };
        let bytes = self.0.iter().enumerate();
        let counted = bytes.map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        let (mut unsigned, mut signed) = (0_i128, 0_i128);
        for byte in counted {
            unsigned += i128::from(byte);
            signed += i128::from(byte.cast_signed());
        }
        stored == unsigned || stored == signed
    }

    /// The path; the prefix counts for ustar, not for the old GNU format, which keeps times there.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = super::until_nul(self.field(0, 100));
        let prefix = super::until_nul(self.field(345, 155));
        if self.field(257, 6) != b"ustar\0" || prefix.is_empty() {
            return name;
        }
        [prefix, name].join(&b'/')
    }

    /// The target of a link.
    pub(super) fn link(&self) -> Vec<u8> {
        super::until_nul(self.field(157, 100))
    }

    /// The number in `field`; `None` where it is blank, an error where it is none.
    pub(super) fn number(&self, field: &str) -> Result<Option<i128>, ()> {
        let (start, length) = match field {
            "mode" => (100, 8),
            "uid" => (108, 8),
            "gid" => (116, 8),
            "size" => (124, 12),
            "mtime" => (136, 12),
            "devmajor" => (329, 8),
            _ => (337, 8),
        };
        number(self.field(start, length))
    }
}

/// An octal number between spaces and NULs, or in base 256 where the first bit is set.
fn number(field: &[u8]) -> Result<Option<i128>, ()> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => {
            // Seven bits of the first byte, the uppermost of them the sign.
            let start = i128::from(first & 0x7f) - if first & 0x40 == 0 { 0 } else { 0x80 };
            let rest = field.get(1..).unwrap_or_default();
            Ok(Some(rest.iter().fold(start, |value, byte| (value << 8) | i128::from(*byte))))
        }
        _ => {
            let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
            if text.is_empty() {
                return Ok(None);
            }
            let text = std::str::from_utf8(text).map_err(drop)?;
            if text.starts_with('+') {
                return Err(());
            }
            i128::from_str_radix(text, 8).map(Some).map_err(drop)
        }
    }
}
