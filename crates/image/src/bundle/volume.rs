//! A bind mount as `-v` of Docker names it. Refuses volumes that have a name in place of a path, since
//! nothing here keeps them, and options that are not those of a mount.

use std::path::Path;

use plimsoll_spec::runtime::Mount;

use crate::{Error, Kind, Result};

/// A directory or file of the host within the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Absolute path on the host.
    pub source: String,
    /// Absolute path in the container.
    pub destination: String,
    /// Mount options.
    pub options: Vec<String>,
}

impl Volume {
    /// Reads `SOURCE:DESTINATION[:OPTION[,OPTION...]]`. A source that starts with a dot is taken from the
    /// working directory.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for any other form, a relative path or an unknown option.
    pub fn parse(text: &str) -> Result<Volume> {
        let invalid = |why: &str| Error::new(Kind::Invalid, format!("volume {text:?}: {why}"));
        let mut parts = text.splitn(3, ':');
        let (source, destination) = match (parts.next(), parts.next()) {
            (Some(source), Some(destination)) => (source, destination),
            _ => return Err(invalid("not SOURCE:DESTINATION[:OPTIONS]")),
        };
        if text.contains('\0') || !destination.starts_with('/') {
            return Err(invalid("the destination is no absolute path"));
        }
        if !source.starts_with(['/', '.']) {
            return Err(invalid(
                "the source is no path that starts with / or ., and volumes with names are not kept here",
            ));
        }
        let absolute = std::path::absolute(source).map_err(|e| invalid("no working directory").because(e))?;
        let source = absolute.to_str().ok_or_else(|| invalid("the source is not UTF-8"))?.to_owned();
        let mut volume = Volume { source, destination: destination.to_owned(), options: Vec::new() };
        for option in parts.next().into_iter().flat_map(|options| options.split(',')) {
            match option {
                // A mount below the source would otherwise stay writable.
                "ro" => volume.options.extend(["ro", "rro"].map(str::to_owned)),
                // Labels are for SELinux, whose absence they survive in Docker as well.
                "z" | "Z" => {}
                "rw" | "bind" | "rbind" | "nosuid" | "nodev" | "noexec" | "private" | "rprivate"
                | "shared" | "rshared" | "slave" | "rslave" | "rro" => volume.options.push(option.to_owned()),
                _ => return Err(invalid(&format!("unknown option {option:?}"))),
            }
        }
        Ok(volume)
    }

    /// `path` of the host at the same place, not to be written to.
    pub(super) fn read_only(path: &str) -> Volume {
        Volume { source: path.to_owned(), destination: path.to_owned(), options: vec!["ro".to_owned()] }
    }

    /// Refuses a source that is not there.
    ///
    /// # Errors
    /// [`Kind::NotFound`], and [`Kind::Io`] where it cannot be looked for.
    pub fn check(&self) -> Result<()> {
        let there = Path::new(&self.source).try_exists();
        match there.map_err(|e| Error::io(format!("look for the volume's source {:?}", self.source), e))? {
            true => Ok(()),
            false => Err(Error::new(
                Kind::NotFound,
                format!("the volume's source {:?} does not exist", self.source),
            )),
        }
    }

    pub(super) fn mount(&self) -> Mount {
        let has = |names: &[&str]| self.options.iter().any(|option| names.contains(&option.as_str()));
        let mut options = Vec::new();
        if !has(&["bind", "rbind"]) {
            options.push("rbind".to_owned());
        }
        if !has(&["private", "rprivate", "shared", "rshared", "slave", "rslave"]) {
            options.push("rprivate".to_owned());
        }
        options.extend(self.options.iter().cloned());
        Mount {
            destination: self.destination.clone(),
            kind: Some("bind".into()),
            source: Some(self.source.clone()),
            options,
            ..Mount::default()
        }
    }
}

/// The names on the way to an absolute path.
pub(super) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}
