//! What goes into the machine: files at their places and the script that is run, as one tar archive.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::tar::{self, Kind};

/// What goes in. It lies in a file without a name, so nothing is left of it however this program ends.
pub(crate) struct Payload {
    archive: BufWriter<File>,
}

impl Payload {
    /// An empty payload, kept in the file system of `scratch`.
    pub(crate) fn new(scratch: &Path) -> Result<Payload> {
        let file = tempfile::tempfile_in(scratch).context("make a file for the machine")?;
        Ok(Payload { archive: BufWriter::new(file) })
    }

    /// Puts the host's file `path` at the absolute path `place`, for everybody to execute.
    pub(crate) fn program(&mut self, path: &Path, place: &str) -> Result<()> {
        let content = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        self.put(place, 0o755, Kind::File, &content)
    }

    /// Makes the folder `place`.
    pub(crate) fn folder(&mut self, place: &str) -> Result<()> {
        self.put(place, 0o755, Kind::Directory, &[])
    }

    /// The archive with `script`, which `sh` runs inside as root; its exit code is that of the machine, and what
    /// it puts into `/vm/out` comes back.
    pub(crate) fn finish(mut self, script: &str) -> Result<File> {
        self.put("/vm/run", 0o644, Kind::File, script.as_bytes())?;
        tar::finish(&mut self.archive)?;
        self.archive.flush()?;
        let mut file = self.archive.into_inner().context("write the machine's archive")?;
        file.rewind()?;
        Ok(file)
    }

    fn put(&mut self, place: &str, mode: u32, kind: Kind, content: &[u8]) -> Result<()> {
        let name = place.trim_start_matches('/');
        tar::entry(&mut self.archive, name, mode, kind, content).context("write the machine's archive")
    }
}

/// `words` as one line for `sh`.
pub(crate) fn quote<T: AsRef<str>>(words: &[T]) -> String {
    let quoted = words.iter().map(|word| format!("'{}'", word.as_ref().replace('\'', "'\\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_survive_the_shell() {
        let words = ["printf", "%s|", "a b", "it's", "$HOME", ""];
        let mut shell = std::process::Command::new("sh");
        let said = crate::shell::output(shell.arg("-c").arg(super::quote(&words))).unwrap();
        assert_eq!(said, "a b|it's|$HOME||");
    }
}
