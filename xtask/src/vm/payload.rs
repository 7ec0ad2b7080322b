//! What goes into the machine: files at their places and the script that is run, as one tar archive.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::disk;
use crate::tar::Archive;

/// What goes in.
#[derive(Default)]
pub(crate) struct Payload {
    archive: Archive,
}

impl Payload {
    /// Puts the host's file `path` at the absolute path `place`, for everybody to execute.
    pub(crate) fn program(&mut self, path: &Path, place: &str) -> Result<()> {
        let content = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        self.archive.file(place.trim_start_matches('/'), 0o755, &content);
        Ok(())
    }

    /// Makes the folder `place`.
    pub(crate) fn folder(&mut self, place: &str) {
        self.archive.directory(&format!("{}/", place.trim_matches('/')), 0o755);
    }

    /// The archive with `script`, which `sh` runs inside as root; its exit code is that of the machine, and what
    /// it puts into `/vm/out` comes back. The file has no name, so nothing is left of it however this program ends.
    pub(crate) fn finish(mut self, script: &str) -> Result<File> {
        self.archive.file("vm/run", 0o644, script.as_bytes());
        let mut file = tempfile::tempfile_in(disk::place()?).context("make a file for the machine")?;
        file.write_all(&self.archive.finish()).context("write the machine's archive")?;
        file.rewind()?;
        Ok(file)
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
