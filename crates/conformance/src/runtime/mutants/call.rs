//! One command line of a runtime, as far as mutants have to understand it: that of runc and its like.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::error::{Context as _, Result};

/// Options that take a value in the next word, before and behind the operation.
const VALUED: [&str; 13] = [
    "--root",
    "--log",
    "--log-format",
    "--criu",
    "--rootless",
    "--cgroup-manager",
    "--bundle",
    "-b",
    "--pid-file",
    "--console-socket",
    "--preserve-fds",
    "--process",
    "-p",
];

/// What the runtime is called with.
#[derive(Debug, Clone)]
pub(super) struct Call {
    program: OsString,
    words: Vec<String>,
    /// Places in `words` of what is neither an option nor the value of one: the operation, then its operands.
    plain: Vec<usize>,
}

impl Call {
    pub(super) fn parse(program: OsString, words: Vec<String>) -> Call {
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if VALUED.contains(&word.as_str()) {
                at += 1;
            } else if !word.starts_with('-') || word == "-" {
                plain.push(at);
            }
            at += 1;
        }
        Call { program, words, plain }
    }

    /// `create`, `state`; empty where there is none.
    pub(super) fn operation(&self) -> &str {
        self.plain_word(0).unwrap_or_default()
    }

    /// The container's id.
    pub(super) fn id(&self) -> Option<&str> {
        self.plain_word(1).filter(|id| !id.is_empty())
    }

    fn plain_word(&self, at: usize) -> Option<&str> {
        self.plain.get(at).and_then(|at| self.words.get(*at)).map(String::as_str)
    }

    /// The value of an option, as `--root X` or `--root=X`.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(name) {
            Some("") => self.words.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })
    }

    /// Whether a container is made by this call.
    pub(super) fn creates(&self) -> bool {
        matches!(self.operation(), "create" | "run")
    }

    /// The bundle of a call that makes a container.
    pub(super) fn bundle(&self) -> PathBuf {
        self.value("--bundle").or_else(|| self.value("-b")).unwrap_or(".").into()
    }

    /// The runtime's own directory, where one is named.
    pub(super) fn root(&self) -> Option<&Path> {
        self.value("--root").map(Path::new)
    }

    /// The process that a `create` has reported.
    pub(super) fn pid(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.value("--pid-file")?).ok()?;
        Some(text.trim().to_owned()).filter(|pid| !pid.is_empty())
    }

    /// Another operation with the same global options.
    pub(super) fn other(&self, words: &[&str]) -> Call {
        let global = self.plain.first().copied().unwrap_or(self.words.len());
        let global = self.words.iter().take(global).cloned();
        Call::parse(self.program.clone(), global.chain(words.iter().map(|word| (*word).to_owned())).collect())
    }

    /// The same with `words` put behind the operation.
    pub(super) fn with(&self, words: &[&str]) -> Call {
        let behind = self.plain.first().map_or(self.words.len(), |at| at + 1);
        let mut all = self.words.clone();
        all.splice(behind..behind, words.iter().map(|word| (*word).to_owned()));
        Call::parse(self.program.clone(), all)
    }

    /// The same without the option `name` and its value.
    pub(super) fn without(&self, name: &str) -> Call {
        let mut words = self.words.clone();
        if let Some(at) = words.iter().position(|word| word == name) {
            words.drain(at..(at + 2).min(words.len()));
        }
        Call::parse(self.program.clone(), words)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words);
        command
    }

    /// Hands it on as it is; the exit code.
    pub(super) fn pass(&self) -> Result<i32> {
        let status = self.command().status().context(|| "execute the runtime")?;
        Ok(code(status))
    }

    /// Hands it on, and keeps what it says to itself.
    pub(super) fn quietly(&self) -> Result<i32> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(code(command.status().context(|| "execute the runtime")?))
    }

    /// Hands it on; the exit code and what it prints, which nobody else sees.
    pub(super) fn output(&self) -> Result<(i32, Vec<u8>)> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = command.output().context(|| "execute the runtime")?;
        Ok((code(output.status), output.stdout))
    }

    /// What `state` says of the container of this call.
    pub(super) fn state(&self) -> Option<Value> {
        let asked = self.other(&["state", self.id()?]);
        let mut command = asked.command();
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// The configuration that a `create` or `run` reads, where it is JSON.
    pub(super) fn config(&self) -> Option<Value> {
        let text = std::fs::read(self.bundle().join("config.json")).ok()?;
        serde_json::from_slice(&text).ok().filter(|_| self.creates())
    }

    /// Hands it on while the bundle has the configuration that `edit` makes; the bundle has its own again
    /// when this returns.
    pub(super) fn with_config(&self, edit: &dyn Fn(&mut Value)) -> Result<i32> {
        let Some(original) = self.config() else { return self.pass() };
        let mut edited = original.clone();
        edit(&mut edited);
        if edited == original {
            return self.pass();
        }
        let file = self.bundle().join("config.json");
        let context = || format!("edit {}", file.display());
        let text = std::fs::read(&file).context(context)?;
        std::fs::write(&file, edited.to_string()).context(context)?;
        let passed = self.pass();
        std::fs::write(&file, text).context(context)?;
        passed
    }

    /// The file that an `exec` has its process from.
    fn process_file(&self) -> Option<PathBuf> {
        let file = self.value("--process").or_else(|| self.value("-p"));
        file.filter(|_| self.operation() == "exec").map(PathBuf::from)
    }

    /// The process that an `exec` is to start, where it is JSON.
    pub(super) fn process(&self) -> Option<Value> {
        let text = std::fs::read(self.process_file()?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Hands an `exec` on while the file of its process is what `edit` makes of it.
    pub(super) fn with_process(&self, edit: &dyn Fn(&mut Value)) -> Result<i32> {
        let (Some(file), Some(mut process)) = (self.process_file(), self.process()) else {
            return self.pass();
        };
        let context = || format!("edit {}", file.display());
        let text = std::fs::read(&file).context(context)?;
        edit(&mut process);
        std::fs::write(&file, process.to_string()).context(context)?;
        let passed = self.pass();
        std::fs::write(&file, text).context(context)?;
        passed
    }

    /// Hands it on and prints the document that `edit` makes of what the runtime prints.
    pub(super) fn with_output(&self, edit: &dyn Fn(&mut Value)) -> Result<i32> {
        let (code, text) = self.output()?;
        let text = match serde_json::from_slice::<Value>(&text) {
            Ok(mut document) => {
                edit(&mut document);
                document.to_string().into_bytes()
            }
            Err(_) => text,
        };
        std::io::stdout().write_all(&text).context(|| "print the runtime's output")?;
        Ok(code)
    }
}

/// As a shell has it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Call {
        Call::parse("runtime".into(), line.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn command_lines_are_understood() {
        let create = call("--root /state --systemd-cgroup create --bundle=/b --pid-file p some-id");
        assert_eq!((create.operation(), create.id()), ("create", Some("some-id")));
        assert_eq!((create.bundle(), create.value("--pid-file")), (PathBuf::from("/b"), Some("p")));
        assert_eq!(create.root(), Some(Path::new("/state")));
        assert_eq!(call("kill id 9").id(), Some("id"));
        assert_eq!((call("--version").operation(), call("state").id()), ("", None));
    }

    #[test]
    fn other_operations_keep_the_global_options() {
        let create = call("--root /state create --bundle /b id");
        assert_eq!(create.other(&["start", "id"]).words, ["--root", "/state", "start", "id"]);
        assert_eq!(
            call("--root /s delete id").with(&["--force"]).words,
            ["--root", "/s", "delete", "--force", "id"]
        );
    }
}
