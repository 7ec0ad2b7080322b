//! The command line of a consumer: words with places to fill in, and presets for programs that are known.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::image::golden::platform;

/// A program that consumes layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Its command line, as it was given.
    pub template: String,
    /// Where below the target the root file system is; empty where the target is one.
    pub rootfs: String,
    program: Program,
}

/// A program and its arguments, from one line of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    words: Vec<String>,
}

impl Program {
    /// Splits `line` at spaces, but not within single or double quotes.
    pub(crate) fn new(line: &str) -> Result<Program> {
        let words = split(line)?;
        if words.is_empty() {
            return Err(Error::new(Kind::Request, "the command is empty"));
        }
        Ok(Program { words })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        self.words.first().cloned().unwrap_or_default()
    }

    /// Everything behind its name.
    pub(crate) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Its file: a path as it is, else by PATH.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        let name = self.name();
        let missing = || Error::new(Kind::Request, format!("{name} is not on PATH"));
        if name.contains('/') {
            return Some(PathBuf::from(&name)).filter(|path| path.is_file()).ok_or_else(missing);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|dir| dir.join(&name))
            .find(|path| path.is_file())
            .ok_or_else(missing)
    }
}

/// A known program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is good for: `unpacker`, `converter` or `copier`.
    pub kind: &'static str,
    /// Its command line.
    pub template: &'static str,
    /// Where below the target the root file system is.
    pub rootfs: &'static str,
}

/// skopeo's idea of a directory, and plain tar for each layer: what people do who have no unpacker.
const SKOPEO_TAR: &str = r#"sh -ec 'skopeo --insecure-policy copy -q "oci:$0:$1" "dir:$3/d"; mkdir -p "$2"; tr "{" "\n" <"$3/d/manifest.json" | sed -n "/image\.layer/s/.*\"digest\":\"sha256:\([0-9a-f]*\)\".*/\1/p" >"$3/list"; while read -r layer || test "$layer"; do tar -C "$2" --numeric-owner --xattrs --xattrs-include="*" -xpf "$3/d/$layer"; done <"$3/list"' {layout} {ref} {target} {scratch}"#;

const PRESETS: [Preset; 8] = [
    Preset {
        name: "umoci",
        kind: "unpacker",
        template: "umoci raw unpack --image {layout}:{ref} {target}",
        rootfs: "",
    },
    Preset {
        name: "oci-image-tool",
        kind: "unpacker",
        template: "oci-image-tool unpack --ref name={ref} --platform {os}:{architecture} {layout} {target}",
        rootfs: "",
    },
    Preset { name: "skopeo+tar", kind: "unpacker", template: SKOPEO_TAR, rootfs: "" },
    Preset {
        name: "plimsoll",
        kind: "unpacker",
        template: "plimsoll --root {scratch} unpack oci:{layout}:{ref} {target}",
        rootfs: "",
    },
    Preset {
        name: "umoci",
        kind: "converter",
        template: "umoci unpack --image {layout}:{ref} {target}",
        rootfs: "rootfs",
    },
    Preset {
        name: "oci-image-tool",
        kind: "converter",
        template: "oci-image-tool create --ref name={ref} --platform {os}:{architecture} {layout} {target}",
        rootfs: "rootfs",
    },
    Preset {
        name: "plimsoll",
        kind: "converter",
        template: "plimsoll --root {scratch} bundle oci:{layout}:{ref} {target}",
        rootfs: "rootfs",
    },
    Preset {
        name: "skopeo",
        kind: "copier",
        template: "skopeo --insecure-policy copy -q --all oci:{layout}:{ref} oci:{target}:{ref}",
        rootfs: "",
    },
];

/// The known programs of a kind.
pub fn presets(kind: &str) -> impl Iterator<Item = Preset> {
    PRESETS.into_iter().filter(move |preset| preset.kind == kind)
}

impl Subject {
    /// A preset by name.
    ///
    /// # Errors
    /// [`Kind::Request`] where there is none for `kind`.
    pub fn preset(kind: &str, name: &str) -> Result<Subject> {
        match presets(kind).find(|preset| preset.name == name) {
            Some(preset) => Subject::new(name, preset.template, preset.rootfs),
            None => {
                let known: Vec<_> = presets(kind).map(|preset| preset.name).collect();
                let why = format!("no {kind} is known as {name:?}; there are {}", known.join(", "));
                Err(Error::new(Kind::Request, why))
            }
        }
    }

    /// A program by its command line, in which `{layout}`, `{ref}`, `{target}` and `{scratch}` are filled in,
    /// and with `{os}` and `{architecture}` the platform of this machine. Words are split at spaces, but not within single or double quotes.
    ///
    /// # Errors
    /// [`Kind::Request`] where a quote does not end, or nothing says where the layout or the target goes.
    pub fn new(name: &str, template: &str, rootfs: &str) -> Result<Subject> {
        let program = Program::new(template)?;
        for place in ["{layout}", "{target}"] {
            if !template.contains(place) {
                return Err(Error::new(Kind::Request, format!("the command {template:?} has no {place}")));
            }
        }
        Ok(Subject {
            name: name.to_owned(),
            template: template.to_owned(),
            rootfs: rootfs.to_owned(),
            program,
        })
    }

    /// The file of the program.
    ///
    /// # Errors
    /// [`Kind::Request`] where it is not on PATH.
    pub fn program(&self) -> Result<PathBuf> {
        self.program.file()
    }

    pub(super) fn words(&self, layout: &Path, reference: &str, target: &Path, scratch: &Path) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let machine = platform();
        let of_machine = |member: &str| machine[member].as_str().unwrap_or_default().to_owned();
        let values = [
            ("{layout}", path(layout)),
            ("{ref}", reference.to_owned()),
            ("{target}", path(target)),
            ("{scratch}", path(scratch)),
            ("{os}", of_machine("os")),
            ("{architecture}", of_machine("architecture")),
        ];
        let fill =
            |word: &String| values.iter().fold(word.clone(), |word, (name, value)| word.replace(name, value));
        self.program.words.iter().map(fill).collect()
    }
}

fn split(template: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in template.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() {
        return Err(Error::new(Kind::Request, format!("a quote in {template:?} does not end")));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_shells_do() {
        assert_eq!(split("a 'b c'  \"d 'e\"f ''").unwrap(), ["a", "b c", "d 'ef", ""]);
        assert_eq!(split("a 'b").unwrap_err().to_string(), "a quote in \"a 'b\" does not end");
        let error = Subject::new("x", "x {layout}", "").unwrap_err();
        assert_eq!(error.to_string(), "the command \"x {layout}\" has no {target}");
        let subject = Subject::new("x", "x {layout}:{ref} {target}/{scratch}", "").unwrap();
        let words = subject.words(Path::new("/l"), "r", Path::new("/t"), Path::new("/s"));
        assert_eq!(words, ["x", "/l:r", "/t//s"]);
        let subject = Subject::new("x", "x {layout} {target} {os}:{architecture}", "").unwrap();
        let words = subject.words(Path::new("/l"), "r", Path::new("/t"), Path::new("/s"));
        assert!(words[3].starts_with("linux:") && words[3].len() > "linux:".len(), "{words:?}");
        for preset in PRESETS {
            Subject::new(preset.name, preset.template, preset.rootfs).unwrap();
        }
    }
}
