//! `spec`: a configuration to start from.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_cgroups::{Hierarchy, Version};
use plimsoll_spec::json;
use plimsoll_spec::runtime::{Config, Namespace, NamespaceKind, defaults};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::args::{Flag, Parsed, switch, value};
use crate::error::{Context as _, Error, Kind, Result};

use super::Context;

pub(super) const FLAGS: &[Flag] = &[
    value(&["bundle", "b"], "DIR", "where to write config.json; the current directory where absent"),
    switch(&["rootless"], "for an ordinary user"),
];

pub(super) fn run(_: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let config = match parsed.is_on("rootless") {
        true => defaults::rootless(
            base(),
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
        false => base(),
    };
    write(
        &Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json"),
        &json::to_vec_pretty(&config),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The default, with a cgroup namespace where the only hierarchy is of version 2.
fn base() -> Config {
    let mut config = defaults::config();
    if Hierarchy::detect().is_ok_and(|hierarchy| hierarchy.version() == Version::V2) {
        let kind = NamespaceKind::Cgroup;
        let namespace = Namespace { kind, path: None, extra: json::Object::new() };
        config.linux.get_or_insert_default().namespaces.push(namespace);
    }
    config
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    let context = || format!("write {}", path.display());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)) {
        Err(Errno::EXIST) => {
            let why = format!("file {} exists. Remove it first", path.display());
            return Err(Error::new(Kind::Input, why));
        }
        other => other.context(context)?,
    };
    let mut rest = text;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).context(context)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}
