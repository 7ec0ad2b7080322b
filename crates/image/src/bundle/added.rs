//! A process that joins a container: as its first one, but for what is asked of it.
//! Users are looked up in the root file system as the container has it now.

use std::os::fd::BorrowedFd;

use plimsoll_spec::runtime::{Config, Process};

use super::{absolute, add, fit, set, user};
use crate::{Error, Kind, Result};

/// What is asked of a process that joins a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value` sets, `NAME` alone removes.
    pub env: Vec<String>,
    /// In place of the container's user: `USER[:GROUP]`, by name or number.
    pub user: Option<String>,
    /// In place of the container's working directory.
    pub workdir: Option<String>,
    /// Whether the process gets a pseudoterminal.
    pub terminal: bool,
}

/// The process that `wanted` means in the container of `config`, whose root file system is `rootfs`.
///
/// # Errors
/// [`Kind::NotFound`] for a user or group that does not exist, [`Kind::Invalid`] for a malformed or unmapped
/// one, for a malformed variable, and where there is nothing to execute.
pub fn added(config: &Config, rootfs: BorrowedFd<'_>, wanted: &Added) -> Result<Process> {
    if wanted.args.first().is_none_or(String::is_empty) {
        return Err(Error::new(Kind::Invalid, "no command was given"));
    }
    let mut process = config.process.clone().unwrap_or_default();
    process.args.clone_from(&wanted.args);
    process.terminal = wanted.terminal;
    process.console_size = None;
    if let Some(workdir) = &wanted.workdir {
        process.cwd = absolute(workdir);
    }
    if let Some(name) = &wanted.user {
        become_user(&mut process, config, rootfs, name)?;
    }
    set(&mut process.env, &wanted.env)?;
    if wanted.terminal {
        add(&mut process.env, "TERM=xterm".to_owned());
    }
    Ok(process)
}

fn become_user(process: &mut Process, config: &Config, rootfs: BorrowedFd<'_>, name: &str) -> Result<()> {
    let before = user::resolve(rootfs, &process.user.uid.to_string())?;
    let mut account = user::resolve(rootfs, name)?;
    if let Some(linux) = config.linux.as_ref().filter(|linux| !linux.uid_mappings.is_empty()) {
        fit(&mut account.user, &linux.uid_mappings, &linux.gid_mappings)?;
    }
    // A HOME that was the image's or the caller's choice stays.
    let home = format!("HOME={}", before.home);
    if let Some(variable) = process.env.iter_mut().find(|variable| **variable == home) {
        *variable = format!("HOME={}", account.home);
    }
    account.user.umask = process.user.umask;
    process.user = account.user;
    Ok(())
}
