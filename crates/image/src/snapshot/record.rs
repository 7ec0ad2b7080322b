//! What is kept about a container's tree: its kind and its layers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use plimsoll_digest::Digest;
use plimsoll_spec::json::{self, At, Value, Wire as _};
use rustix::fs::{Mode, OFlags};

use super::CONTAINERS;
use crate::{Error, Kind, Result, Store};

/// The form of the file that this release writes, and the only one that it reads.
const VERSION: u64 = 1;
/// Chain ids of 500 layers and then some.
const SIZE_LIMIT: u64 = 1 << 20;
pub(super) const FILE: &str = "snapshot.json";

/// `snapshot.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Chain ids of the layers that the tree stands on, lowest first; none where it holds its own copy.
    pub(super) layers: Vec<Digest>,
}

impl Record {
    pub(super) fn read(store: &Store, id: &str) -> Result<Record> {
        let failed = |e| Error::io(format!("read the snapshot of container {id:?}"), e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = format!("{CONTAINERS}/{id}/{FILE}");
        let file =
            rustix::fs::openat(store.root(), path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let mut text = Vec::new();
        File::from(file).take(SIZE_LIMIT).read_to_end(&mut text).map_err(failed)?;
        Record::decode(&text)
            .map_err(|e| Error::new(e.kind(), format!("read the snapshot of container {id:?}")).because(e))
    }

    fn decode(text: &[u8]) -> Result<Record> {
        let invalid = |e: json::Error| Error::new(Kind::Invalid, "not a record of a snapshot").because(e);
        let mut document: BTreeMap<String, Value> = json::from_slice(text).map_err(invalid)?;
        match document.get("version") {
            Some(Value::Unsigned(VERSION)) => {}
            version => {
                let context = format!("the record is of version {version:?}, not {VERSION}");
                return Err(Error::new(Kind::Unsupported, context));
            }
        }
        let layers = document.remove("layers").unwrap_or(Value::Null);
        let layers = Vec::decode(layers, &At::ROOT.member("layers")).map_err(invalid)?;
        Ok(Record { layers })
    }
}
