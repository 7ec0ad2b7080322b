//! Archives packed the same way every time: entries of root and of the year 1970, in the ustar form; a longer name
//! in the form of GNU's tar, which every tar reads. Refuses nothing; targets of links have at most 100 bytes.

/// Longest name that fits into a header.
const NAME: usize = 100;

/// An archive that grows in memory.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// Appends a directory; `name` ends in a slash.
    pub(crate) fn directory(&mut self, name: &str, mode: u32) {
        self.entry(name, mode, b'5', "", &[]);
    }

    /// Appends a regular file.
    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, mode, b'0', "", content);
    }

    /// Appends a symbolic link.
    pub(crate) fn link(&mut self, name: &str, target: &str) {
        self.entry(name, 0o777, b'2', target, &[]);
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    fn entry(&mut self, name: &str, mode: u32, kind: u8, target: &str, content: &[u8]) {
        if name.len() > NAME {
            self.block("././@LongLink", 0, b'L', "", &[name.as_bytes(), b"\0"].concat());
        }
        self.block(name.get(..NAME).unwrap_or(name), mode, kind, target, content);
    }

    fn block(&mut self, name: &str, mode: u32, kind: u8, target: &str, content: &[u8]) {
        let mut header = [0u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(157, target);
        put(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_read_by_tar() {
        let long = format!("{}/file", "folder".repeat(30));
        let mut archive = Archive::default();
        archive.directory("bin/", 0o755);
        archive.file(&long, 0o644, b"x");
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), archive.finish()).unwrap();
        let mut tar = std::process::Command::new("tar");
        let listed = crate::shell::output(tar.arg("-tf").arg(place.path())).unwrap();
        assert_eq!(listed, format!("bin/\n{long}\n"));
    }
}
