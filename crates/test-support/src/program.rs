//! Programs that tests make.

use std::io::{Error, Result, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes `path` a program that everybody may execute, with `text` in it.
///
/// `install` writes it, for a program that this process had open for writing may be busy (`ETXTBSY`,
/// [execve(2)](https://man7.org/linux/man-pages/man2/execve.2.html)) although it is closed: what another
/// thread forks in between holds its own copy of the descriptor until it executes something.
///
/// # Errors
/// Where it cannot be written.
pub fn write_program(path: &Path, text: &[u8]) -> Result<()> {
    let mut child = install(Path::new("/dev/stdin"), path).stdin(Stdio::piped()).spawn()?;
    // Dropped at the end of the statement, which is the end of the text.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text));
    succeeded(child.wait()?).and(written)
}

/// As [`write_program`], with what is in `from`.
///
/// # Errors
/// Where it cannot be read or written.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    succeeded(install(from, to).status()?)
}

fn install(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("install");
    command.args(["-m", "755", "--"]).args([from, to]);
    command
}

fn succeeded(status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(Error::other(format!("install: {status}"))) }
}

/// Does `work` while other threads of this process fork without end: what a forked child still shares with its
/// parent until it executes something must be in nobody's way.
///
/// # Panics
/// Where `work` does, or `true` is not on PATH.
pub fn while_others_fork<T>(work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let fork = || {
        while !over.load(Ordering::Relaxed) {
            assert!(Command::new("true").status().expect("execute true").success());
        }
    };
    std::thread::scope(|scope| {
        // Also where `work` panics: the scope waits for its threads.
        let _end = End(&over);
        (0..4).for_each(|_| drop(scope.spawn(fork)));
        work()
    })
}

/// Says that it is over when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes wrong with programs that are executed as soon as `make` has made them, while others fork.
    fn faults(make: impl Fn(&Path)) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let fault = |number: usize| {
            let path = place.path().join(number.to_string());
            make(&path);
            match Command::new(&path).status() {
                Ok(status) if status.code() == Some(7) => None,
                Ok(status) => Some(status.to_string()),
                Err(e) => Some(e.to_string()),
            }
        };
        while_others_fork(|| (0..300).filter_map(fault).collect())
    }

    #[test]
    #[should_panic(expected = "in the middle")]
    fn a_panic_ends_the_forks() {
        while_others_fork(|| panic!("in the middle"));
    }

    #[test]
    fn programs_are_never_busy() {
        let text = b"#!/bin/sh\nexit 7\n";
        assert_eq!(faults(|path| write_program(path, text).unwrap()), [""; 0]);
        let place = tempfile::tempdir().unwrap();
        let seven = place.path().join("seven");
        write_program(&seven, text).unwrap();
        assert_eq!(faults(|path| copy_program(&seven, path).unwrap()), [""; 0]);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        let nowhere = place.path().join("none/program");
        for made in [write_program(&nowhere, b""), copy_program(&nowhere, &place.path().join("program"))] {
            assert_eq!(made.unwrap_err().to_string(), "install: exit status: 1");
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
