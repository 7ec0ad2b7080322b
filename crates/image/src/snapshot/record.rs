//! What is kept about a container's tree: the layers that it stands on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;

use plimsoll_digest::Digest;
use plimsoll_spec::json::{self, At, Value, Wire as _};
use rustix::fs::{Mode, OFlags};

use crate::{Error, Kind, Result};

/// The form of the file that this release writes, and the only one that it reads.
const VERSION: u64 = 1;
/// Chain ids of 500 layers and then some.
const SIZE_LIMIT: u64 = 1 << 20;
const FILE: &str = "snapshot.json";

/// `snapshot.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Chain ids of the layers that are mounted, lowest first; none where the tree holds its own copy.
    pub(super) layers: Vec<Digest>,
}

impl Record {
    /// Reads the record in the container's directory `folder`.
    pub(super) fn read(folder: BorrowedFd<'_>) -> Result<Record> {
        let failed = |e| Error::io(format!("read {FILE}"), e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, FILE, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let mut text = Vec::new();
        File::from(file).take(SIZE_LIMIT).read_to_end(&mut text).map_err(failed)?;
        Record::decode(&text)
    }

    /// Writes the record to the container's directory `folder`, which has none yet.
    pub(super) fn write(&self, folder: BorrowedFd<'_>) -> Result<()> {
        let failed = |e| Error::io(format!("write {FILE}"), e);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(folder, FILE, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
        File::from(file).write_all(&self.encode()).map_err(failed)
    }

    fn encode(&self) -> Vec<u8> {
        let members =
            [("version".to_owned(), Value::Unsigned(VERSION)), ("layers".to_owned(), self.layers.encode())];
        json::to_vec(&Value::Object(members.into()))
    }

    fn decode(text: &[u8]) -> Result<Record> {
        let invalid = |e: json::Error| Error::new(Kind::Invalid, format!("read {FILE}")).because(e);
        let mut document: BTreeMap<String, Value> = json::from_slice(text).map_err(invalid)?;
        match document.get("version") {
            Some(Value::Unsigned(VERSION)) => {}
            version => {
                let context = format!("{FILE} is of version {version:?}, not {VERSION}");
                return Err(Error::new(Kind::Unsupported, context));
            }
        }
        let layers = document.remove("layers").unwrap_or(Value::Null);
        let layers = Vec::decode(layers, &At::ROOT.member("layers")).map_err(invalid)?;
        Ok(Record { layers })
    }
}
