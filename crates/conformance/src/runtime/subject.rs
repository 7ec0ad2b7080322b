//! Who is judged: a program, and how its command line is spoken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_digest::{Algorithm, Digest, DigestReader};
use serde_json::{Value, json};

use crate::error::{Context as _, Error, Kind, Result};

/// The command line of a family of runtimes: a list of arguments for every operation, in which `{id}`,
/// `{bundle}`, `{pid-file}`, `{signal}`, `{root}`, `{console}`, `{process}` and `{count}` are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// What it is called.
    pub name: String,
    templates: BTreeMap<String, Vec<String>>,
}

/// What runtimes have agreed on after runc. An operation that a dialect lacks is one the runtime lacks.
const TEMPLATES: [(&str, &str); 20] = [
    ("global", "--root {root}"),
    ("systemd", "--systemd-cgroup"),
    ("create", "create --bundle {bundle} --pid-file {pid-file} {id}"),
    ("create-console", "create --bundle {bundle} --pid-file {pid-file} --console-socket {console} {id}"),
    ("create-fds", "create --bundle {bundle} --pid-file {pid-file} --preserve-fds {count} {id}"),
    ("create-no-bundle", "create {id}"),
    ("create-no-id", "create --bundle {bundle}"),
    ("state-no-id", "state"),
    ("start-no-id", "start"),
    ("kill-default-no-id", "kill"),
    ("delete-no-id", "delete"),
    ("start", "start {id}"),
    ("state", "state {id}"),
    ("kill", "kill {id} {signal}"),
    ("kill-default", "kill {id}"),
    ("delete", "delete {id}"),
    ("delete-force", "delete --force {id}"),
    ("exec", "exec --process {process} {id}"),
    ("features", "features"),
    ("version", "--version"),
];

impl Dialect {
    /// The dialect of runc, which crun, youki and others speak too, under the name `name`.
    pub fn runc(name: &str) -> Dialect {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let templates =
            TEMPLATES.iter().map(|(operation, text)| ((*operation).to_owned(), words(text))).collect();
        Dialect { name: name.to_owned(), templates }
    }

    /// A dialect from a JSON document: `{"name": "...", "create": ["...", ...], ...}`. What it does not
    /// mention is as in [`Dialect::runc`]; an empty list says that the runtime lacks the operation.
    ///
    /// # Errors
    /// [`Kind::Document`] where it is no such object or names an unknown operation.
    pub fn parse(text: &[u8]) -> Result<Dialect> {
        let malformed = |why: &str| Error::new(Kind::Document, format!("malformed dialect: {why}"));
        let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
            return Err(malformed("it is no JSON object"));
        };
        let name = members.get("name").and_then(Value::as_str).ok_or_else(|| malformed("it has no name"))?;
        let mut dialect = Dialect::runc(name);
        for (operation, words) in members.iter().filter(|(member, _)| *member != "name") {
            let known = dialect.templates.get_mut(operation);
            let known = known.ok_or_else(|| malformed(&format!("there is no operation {operation:?}")))?;
            let words = words.as_array().and_then(|words| {
                words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            });
            *known = words.ok_or_else(|| malformed(&format!("{operation} is no list of strings")))?;
        }
        Ok(dialect)
    }

    /// As [`Dialect::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let mut value = json!(self.templates);
        if let Some(members) = value.as_object_mut() {
            members.insert("name".to_owned(), json!(self.name));
        }
        value
    }

    /// The operations that are not as in [`Dialect::runc`], as a JSON object; `None` where all are.
    pub fn deviations(&self) -> Option<String> {
        let usual = Dialect::runc(&self.name);
        let mut own = self.templates.clone();
        own.retain(|operation, words| usual.templates.get(operation) != Some(words));
        (!own.is_empty()).then(|| json!(own).to_string())
    }

    /// The arguments of `operation` with `values` filled in; `None` where the runtime lacks it.
    pub fn arguments(&self, operation: &str, values: &[(&str, &str)]) -> Option<Vec<String>> {
        let words = self.templates.get(operation).filter(|words| !words.is_empty())?;
        let fill = |word: &String| {
            values
                .iter()
                .fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
        };
        Some(words.iter().map(fill).collect())
    }
}

/// One runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its program.
    pub program: PathBuf,
    /// Program and arguments that stand before it, as those of a mutant do; empty for the runtime itself.
    pub wrapper: Vec<String>,
    /// How it is spoken to.
    pub dialect: Dialect,
}

impl Subject {
    /// The runtime `program`, a path or a name on PATH; the dialect goes by its file name.
    ///
    /// # Errors
    /// [`Kind::Request`] where there is no such program.
    pub fn find(program: &str) -> Result<Subject> {
        let absent =
            || Error::new(Kind::Request, format!("find the runtime {program}: there is no such program"));
        let found = if program.contains('/') {
            Some(PathBuf::from(program)).filter(|path| path.is_file())
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
        };
        let program = std::path::absolute(found.ok_or_else(absent)?).context(|| "find the runtime")?;
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or("runtime");
        Ok(Subject { dialect: Dialect::runc(name), wrapper: Vec::new(), program })
    }

    /// The digest of the program's file.
    ///
    /// # Errors
    /// [`Kind::Environment`] where it cannot be read.
    pub fn digest(&self) -> Result<Digest> {
        digest_of(&self.program)
    }

    /// Program and arguments of a whole command line.
    pub fn command(&self, arguments: Vec<String>) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        self.wrapper.iter().cloned().chain([program]).chain(arguments).collect()
    }
}

/// What every subject is given of this process's environment; the rest would make results depend on it, as
/// `RUST_BACKTRACE` and `GODEBUG` change what runtimes say and how long they take.
const GIVEN: [&str; 8] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// Gives `command` an environment that is the same wherever a subject is judged but for places and names.
pub(crate) fn give_environment(command: &mut Command) {
    let given = GIVEN.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(given);
}

/// The digest of a file.
pub(crate) fn digest_of(path: &Path) -> Result<Digest> {
    let context = || format!("read {}", path.display());
    let file = std::fs::File::open(path).context(context)?;
    let mut reader = DigestReader::new(file, Algorithm::Sha256);
    std::io::copy(&mut reader, &mut std::io::sink()).context(context)?;
    Ok(reader.finish().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let dialect = Dialect::runc("x");
        let filled = dialect.arguments("kill", &[("id", "a"), ("signal", "9")]);
        assert_eq!(filled, Some(vec!["kill".to_owned(), "a".to_owned(), "9".to_owned()]));
        assert_eq!(dialect.arguments("fly", &[]), None);
    }

    #[test]
    fn a_dialect_survives_its_document() {
        let own = Dialect::parse(
            br#"{"name": "odd", "kill": ["kill", "{id}", "--signal", "{signal}"], "features": []}"#,
        );
        let own = own.unwrap();
        assert_eq!(own.arguments("features", &[]), None);
        assert_eq!(Dialect::parse(own.to_json().to_string().as_bytes()).unwrap(), own);
        let deviations = r#"{"features":[],"kill":["kill","{id}","--signal","{signal}"]}"#;
        assert_eq!(own.deviations().as_deref(), Some(deviations));
        assert_eq!(Dialect::runc("odd").deviations(), None);
        let error = Dialect::parse(br#"{"name": "x", "fly": []}"#).unwrap_err();
        assert_eq!(error.to_string(), "malformed dialect: there is no operation \"fly\"");
    }
}
