//! What this tool keeps about a container beside its bundle.

use std::path::Path;

use anyhow::{Context as _, Result};
use plimsoll_spec::json::{self, Limits, wire_object};

wire_object! {
    /// A container's own file.
    #[derive(Default)]
    pub struct Container {
        /// 1.
        pub format: u32 = "format" required,
        /// Its name, which is its id too.
        pub name: String = "name" required,
        /// The image as the user called it.
        pub image: String = "image" required,
        /// Digest of the image's manifest.
        pub digest: String = "digest" required,
        /// The command line inside.
        pub command: Vec<String> = "command",
        /// When it was made, in seconds since 1970.
        pub created: u64 = "created",
        /// Whether it is to be removed when it has ended.
        pub remove: bool = "remove",
        /// How it ended, once it has.
        pub exit_code: Option<u8> = "exitCode",
    }
}

const FILE: &str = "container.json";

impl Container {
    /// Reads the file in `bundle`.
    pub(crate) fn read(bundle: &Path) -> Result<Container> {
        let path = bundle.join(FILE);
        let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        json::from_slice_within(&text, Limits::DEFAULT).with_context(|| format!("parse {}", path.display()))
    }

    /// Whether `bundle` has no file yet.
    pub(crate) fn is_absent(bundle: &Path) -> bool {
        matches!(bundle.join(FILE).try_exists(), Ok(false))
    }

    /// Writes the file into `bundle`, whole or not at all.
    pub(crate) fn write(&self, bundle: &Path) -> Result<()> {
        let (path, staged) = (bundle.join(FILE), bundle.join(".container.json.new"));
        let written =
            std::fs::write(&staged, json::to_vec(self)).and_then(|()| std::fs::rename(&staged, &path));
        written.with_context(|| format!("write {}", path.display()))
    }
}
