//! How a run is done: what every worker has to know, as one JSON object.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};

use super::subject::{Dialect, Subject};

/// Who makes the cgroups of containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// The runtime itself.
    #[default]
    Cgroupfs,
    /// systemd, asked by the runtime.
    Systemd,
}

/// What every worker has to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who is judged.
    pub subject: Subject,
    /// By which version of the specification, as `1.3.0`.
    pub version: String,
    /// The probe's file: static, so that it runs in an empty root file system.
    pub probe: PathBuf,
    /// Where cases have their folders; one file system, because the probe is linked into each.
    pub place: PathBuf,
    /// Sets apart what this run makes on the host from what others do.
    pub mark: String,
    /// Who makes cgroups.
    pub cgroup_driver: CgroupDriver,
    /// Whether workers see the hierarchy of cgroup v2 alone, in their private mount namespace.
    pub only_cgroup2: bool,
    /// Most milliseconds of one operation of the subject.
    pub patience: u64,
}

impl Settings {
    /// What sets the names of case `index` apart. No mark is the beginning of another, for what bears one is removed
    /// when its case is over.
    pub(super) fn mark_of(&self, index: &str) -> String {
        format!("{}-{index:0>5}", self.mark)
    }

    /// For a worker's standard input.
    pub fn to_json(&self) -> Value {
        json!({
            "program": self.subject.program,
            "wrapper": self.subject.wrapper,
            "dialect": self.subject.dialect.to_json(),
            "version": self.version,
            "probe": self.probe,
            "place": self.place,
            "mark": self.mark,
            "systemd": self.cgroup_driver == CgroupDriver::Systemd,
            "onlyCgroup2": self.only_cgroup2,
            "patience": self.patience,
        })
    }

    /// What [`Settings::to_json`] has written.
    ///
    /// # Errors
    /// [`Kind::Document`] where something is missing.
    pub fn parse(text: &[u8]) -> Result<Settings> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|e| Error::because(Kind::Document, "parse a worker's settings", e))?;
        let text = |name: &str| {
            let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
            found.ok_or_else(|| Error::new(Kind::Document, format!("a worker's settings lack {name}")))
        };
        let is = |name: &str| value.get(name) == Some(&Value::Bool(true));
        let wrapper = value.get("wrapper").and_then(Value::as_array).cloned().unwrap_or_default();
        let dialect = value.get("dialect").cloned().unwrap_or_default();
        Ok(Settings {
            subject: Subject {
                program: text("program")?.into(),
                wrapper: wrapper.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
                dialect: Dialect::parse(dialect.to_string().as_bytes())?,
            },
            version: text("version")?,
            probe: text("probe")?.into(),
            place: text("place")?.into(),
            mark: text("mark")?,
            cgroup_driver: if is("systemd") { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs },
            only_cgroup2: is("onlyCgroup2"),
            patience: value.get("patience").and_then(Value::as_u64).unwrap_or(10_000),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_is_the_beginning_of_another() {
        let settings = Settings {
            subject: Subject { program: PathBuf::new(), wrapper: Vec::new(), dialect: Dialect::runc("x") },
            version: "1.3.0".to_owned(),
            probe: PathBuf::new(),
            place: PathBuf::new(),
            mark: "judge".to_owned(),
            cgroup_driver: CgroupDriver::default(),
            only_cgroup2: false,
            patience: 1,
        };
        assert_eq!(settings.mark_of("2"), "judge-00002");
        assert!(!settings.mark_of("25").starts_with(&settings.mark_of("2")));
    }
}
