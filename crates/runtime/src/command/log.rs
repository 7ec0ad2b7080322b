//! The log file: one line a failure, in the form that engines decode.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use plimsoll_spec::json::{Object, Value};

use crate::args::usage;
use crate::error::{Error, Kind, Result};

/// Where failures are written besides standard error.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<std::fs::File>,
    json: bool,
}

impl Log {
    /// Opens the file, so that a bad path is known before anything is done.
    pub(crate) fn configure(&mut self, path: Option<&str>, format: Option<&str>) -> Result<()> {
        self.json = match format {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(usage(format!("unknown log-format {other:?}"))),
        };
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o644).open(path);
            let file =
                opened.map_err(|e| Error::because(Kind::Environment, format!("open log {path}"), e))?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Writes one failure; whether it is in the log now.
    pub(crate) fn error(&self, message: &str) -> bool {
        self.write("error", message)
    }

    /// Writes what went wrong without stopping the command; whether it is in the log now.
    pub(crate) fn warning(&self, message: &str) -> bool {
        self.write("warning", message)
    }

    fn write(&self, level: &str, message: &str) -> bool {
        let Some(mut file) = self.file.as_ref() else { return false };
        let time = crate::state::now();
        let line = if self.json {
            let member = |name: &str, value: &str| (name.to_owned(), Value::String(value.to_owned()));
            let object =
                Object::from([member("level", level), member("msg", message), member("time", &time)]);
            let mut line = plimsoll_spec::json::to_vec(&Value::Object(object));
            line.push(b'\n');
            line
        } else {
            format!("time={time:?} level={level} msg={message:?}\n").into_bytes()
        };
        // Standard error has the message otherwise; a full disk must not hide it.
        file.write_all(&line).is_ok()
    }
}
