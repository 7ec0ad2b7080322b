//! Tar archives of root and of the year 1970, so that equal content gives equal bytes. Writing only.

use std::io::{Result, Write};

/// Longest name that fits into a header.
const NAME: usize = 100;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// Appends one entry in the ustar form; a longer name in the form that GNU's and everybody's tar reads.
pub(crate) fn entry(
    archive: &mut impl Write,
    name: &str,
    mode: u32,
    kind: Kind,
    content: &[u8],
) -> Result<()> {
    if name.len() > NAME {
        write(archive, "././@LongLink", 0, b'L', &[name.as_bytes(), b"\0"].concat())?;
    }
    let short = name.get(..NAME).unwrap_or(name);
    write(archive, short, mode, if kind == Kind::File { b'0' } else { b'5' }, content)
}

/// Ends the archive.
pub(crate) fn finish(archive: &mut impl Write) -> Result<()> {
    archive.write_all(&[0; 1024])
}

fn write(archive: &mut impl Write, name: &str, mode: u32, kind: u8, content: &[u8]) -> Result<()> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.write_all(&header)?;
    archive.write_all(content)?;
    archive.write_all(&vec![0; content.len().next_multiple_of(512) - content.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_read_by_tar() {
        let long = format!("{}/file", "folder".repeat(30));
        let mut archive = tempfile::NamedTempFile::new().unwrap();
        entry(&mut archive, "bin/", 0o755, Kind::Directory, &[]).unwrap();
        entry(&mut archive, &long, 0o644, Kind::File, b"x").unwrap();
        finish(&mut archive).unwrap();
        let mut tar = std::process::Command::new("tar");
        let listed = crate::shell::output(tar.arg("-tf").arg(archive.path())).unwrap();
        assert_eq!(listed, format!("bin/\n{long}\n"));
    }
}
