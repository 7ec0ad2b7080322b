//! Mounts as the child makes them: what to open, with which attributes, and where to put it.

use std::ffi::CString;
use std::path::Path;

use plimsoll_spec::runtime::{Config, Mount};
use plimsoll_sys::mount::{Attributes, Change};

use crate::error::{Error, Kind, Result};

use super::{c_string, inner_path, invalid};

/// One parameter of a file system.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub key: CString,
    /// `None` for a flag.
    pub value: Option<CString>,
}

/// Where a mount comes from.
#[derive(Debug)]
pub(crate) enum Action {
    /// A new instance of a file system.
    Filesystem { kind: CString, parameters: Vec<Parameter>, attributes: Attributes },
    /// A copy of a mount of the host, with the changes asked for; `source` is absolute.
    Bind { source: CString, recursive: bool },
    /// A new tmpfs that is like the directory that it covers.
    Cover { parameters: Vec<Parameter>, attributes: Attributes, takes: Takes },
    /// The hierarchies of the container's cgroup.
    Cgroup { attributes: Attributes },
    /// Only attributes of the mount that is there change.
    Remount,
}

/// What a tmpfs takes over from the directory that it covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takes {
    /// Permissions, so that what nobody else could enter does not become everybody's.
    pub mode: bool,
    /// Everything in it.
    pub content: bool,
}

/// One mount.
#[derive(Debug)]
pub(crate) struct MountPlan {
    /// Relative to the root.
    pub target: CString,
    pub action: Action,
    /// Changes of the mount itself.
    pub change: Change,
    /// Changes of the mount and all below it.
    pub recursive_change: Change,
    /// Propagation changes in their order, each with whether it is recursive.
    pub propagation: Vec<(u64, bool)>,
    /// Whether the target itself must not be a symbolic link: /proc and /sys are trusted later.
    pub no_symlink: bool,
    /// How to name it in messages.
    pub label: String,
}

impl MountPlan {
    pub(crate) fn is_bind(&self) -> bool {
        matches!(self.action, Action::Bind { .. })
    }

    /// Whether its target says that it is /proc or below.
    pub(crate) fn is_below_proc(&self) -> bool {
        let rest = self.target.as_bytes().strip_prefix(b"proc");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// What [`plan`] finds.
pub(super) struct Mounts {
    pub mounts: Vec<MountPlan>,
    /// Mounts that can only become read-only after devices were made in them.
    pub late_readonly: Vec<CString>,
}

/// What an option does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Bind {
        recursive: bool,
    },
    Remount,
    Set(Attributes),
    Clear(Attributes),
    SetAll(Attributes),
    ClearAll(Attributes),
    Propagation {
        flag: u64,
        recursive: bool,
    },
    /// A flag of the superblock rather than of the mount.
    Superblock(&'static str),
    CopyUp,
    Nothing,
}

use Effect::{Bind, Clear, ClearAll, CopyUp, Nothing, Propagation, Remount, Set, SetAll, Superblock};

const SHARED: u64 = 1 << 20;
const SLAVE: u64 = 1 << 19;
const PRIVATE: u64 = 1 << 18;
const UNBINDABLE: u64 = 1 << 17;

/// Every option that is not the file system's own.
///
/// # References
/// - [config.md, Linux mount options](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-mount-options)
pub(crate) const OPTIONS: [(&str, Effect); 65] = [
    ("async", Superblock("async")),
    ("atime", Clear(Attributes::NOATIME)),
    ("bind", Bind { recursive: false }),
    ("defaults", Nothing),
    ("dev", Clear(Attributes::NODEV)),
    ("diratime", Clear(Attributes::NODIRATIME)),
    ("dirsync", Superblock("dirsync")),
    ("exec", Clear(Attributes::NOEXEC)),
    ("iversion", Nothing),
    ("lazytime", Superblock("lazytime")),
    ("loud", Nothing),
    ("mand", Superblock("mand")),
    ("noatime", Set(Attributes::NOATIME)),
    ("nodev", Set(Attributes::NODEV)),
    ("nodiratime", Set(Attributes::NODIRATIME)),
    ("noexec", Set(Attributes::NOEXEC)),
    ("noiversion", Nothing),
    ("nolazytime", Superblock("nolazytime")),
    ("nomand", Superblock("nomand")),
    ("norelatime", Clear(Attributes::ATIME)),
    ("nostrictatime", Clear(Attributes::STRICTATIME)),
    ("nosuid", Set(Attributes::NOSUID)),
    ("nosymfollow", Set(Attributes::NOSYMFOLLOW)),
    ("private", Propagation { flag: PRIVATE, recursive: false }),
    ("ratime", ClearAll(Attributes::NOATIME)),
    ("rbind", Bind { recursive: true }),
    ("rdev", ClearAll(Attributes::NODEV)),
    ("rdiratime", ClearAll(Attributes::NODIRATIME)),
    ("relatime", Clear(Attributes::ATIME)),
    ("remount", Remount),
    ("rexec", ClearAll(Attributes::NOEXEC)),
    ("rnoatime", SetAll(Attributes::NOATIME)),
    ("rnodev", SetAll(Attributes::NODEV)),
    ("rnodiratime", SetAll(Attributes::NODIRATIME)),
    ("rnoexec", SetAll(Attributes::NOEXEC)),
    ("rnorelatime", ClearAll(Attributes::ATIME)),
    ("rnostrictatime", ClearAll(Attributes::STRICTATIME)),
    ("rnosuid", SetAll(Attributes::NOSUID)),
    ("rnosymfollow", SetAll(Attributes::NOSYMFOLLOW)),
    ("ro", Set(Attributes::RDONLY)),
    ("rprivate", Propagation { flag: PRIVATE, recursive: true }),
    ("rrelatime", ClearAll(Attributes::ATIME)),
    ("rro", SetAll(Attributes::RDONLY)),
    ("rrw", ClearAll(Attributes::RDONLY)),
    ("rshared", Propagation { flag: SHARED, recursive: true }),
    ("rslave", Propagation { flag: SLAVE, recursive: true }),
    ("rstrictatime", SetAll(Attributes::STRICTATIME)),
    ("rsuid", ClearAll(Attributes::NOSUID)),
    ("rsymfollow", ClearAll(Attributes::NOSYMFOLLOW)),
    ("runbindable", Propagation { flag: UNBINDABLE, recursive: true }),
    ("rw", Clear(Attributes::RDONLY)),
    ("shared", Propagation { flag: SHARED, recursive: false }),
    ("silent", Nothing),
    ("slave", Propagation { flag: SLAVE, recursive: false }),
    ("strictatime", Set(Attributes::STRICTATIME)),
    ("suid", Clear(Attributes::NOSUID)),
    ("symfollow", Clear(Attributes::NOSYMFOLLOW)),
    ("sync", Superblock("sync")),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation { flag: UNBINDABLE, recursive: false }),
    // What mount(8) knows beyond the specification's table.
    // Only some file systems know these two, and those that do have them on.
    ("acl", Nothing),
    ("noacl", Nothing),
    ("auto", Nothing),
    ("noauto", Nothing),
    ("nofail", Nothing),
];

/// Files of procfs that engines replace; anything else mounted below /proc could fool later checks.
const PROC_FILES: [&str; 10] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/loadavg",
    "proc/slabinfo",
    "proc/sys/kernel/ns_last_pid",
    "proc/sys/crypto/fips_enabled",
];

/// The mounts of `config`, in their order.
pub(super) fn plan(config: &Config, bundle: &Path) -> Result<Mounts> {
    let one = |(i, mount): (usize, &Mount)| plan_one(mount, &format!("/mounts/{i}"), bundle);
    let mut mounts = config.mounts.iter().enumerate().map(one).collect::<Result<Vec<_>>>()?;
    let mut late_readonly = Vec::new();
    for mount in mounts.iter_mut().filter(|mount| mount.target.as_bytes() == b"dev") {
        if let Action::Filesystem { attributes, .. } | Action::Cover { attributes, .. } = &mut mount.action
            && attributes.contains(Attributes::RDONLY)
        {
            *attributes = attributes.without(Attributes::RDONLY);
            late_readonly.push(mount.target.clone());
        }
    }
    Ok(Mounts { mounts, late_readonly })
}

fn plan_one(mount: &Mount, pointer: &str, bundle: &Path) -> Result<MountPlan> {
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        let why = format!("config.json: {pointer}/uidMappings is not supported yet");
        return Err(Error::new(Kind::Unsupported, why));
    }
    let target = inner_path(&mount.destination, &format!("{pointer}/destination"))?;
    let mut bind = None;
    let (mut remount, mut copies) = (false, false);
    let mut plan = MountPlan {
        no_symlink: matches!(target.to_bytes(), b"proc" | b"sys"),
        target,
        action: Action::Remount,
        change: Change::default(),
        recursive_change: Change::default(),
        propagation: Vec::new(),
        label: format!("{:?} to {:?}", mount.source.as_deref().unwrap_or("none"), mount.destination),
    };
    let mut parameters = Vec::new();
    for (i, option) in mount.options.iter().enumerate() {
        let pointer = format!("{pointer}/options/{i}");
        match OPTIONS.iter().find(|(name, _)| name == option) {
            Some((_, Bind { recursive })) => bind = Some(*recursive),
            Some((_, Remount)) => remount = true,
            Some((_, CopyUp)) if mount.kind.as_deref() == Some("tmpfs") => copies = true,
            Some((_, CopyUp)) => {
                return Err(invalid(&pointer, format!("{option:?} needs a mount of type tmpfs")));
            }
            Some((_, effect)) => apply(*effect, &mut plan, &mut parameters)?,
            None if option == "idmap" || option == "ridmap" => return Err(unsupported(&pointer, option)),
            None => parameters.extend(parameter(option, &pointer)?),
        }
    }
    let kind = mount.kind.as_deref().unwrap_or_default();
    if bind.is_none() && kind == "bind" {
        bind = Some(false);
    }
    check_target(&plan, kind, pointer)?;
    plan.action = match (bind, remount) {
        (_, true) => Action::Remount,
        (Some(recursive), false) => {
            let source = mount.source.as_deref().unwrap_or_default();
            if source.is_empty() {
                return Err(invalid(&format!("{pointer}/source"), "is needed by a bind mount"));
            }
            let source = bundle.join(source).into_os_string().into_encoded_bytes();
            Action::Bind { source: c_string(source, pointer)?, recursive }
        }
        (None, false) if kind == "cgroup" => {
            let attributes = std::mem::take(&mut plan.change).set;
            Action::Cgroup { attributes }
        }
        (None, false) => {
            if kind.is_empty() {
                return Err(invalid(
                    &format!("{pointer}/type"),
                    "is needed by a mount that is no bind mount",
                ));
            }
            if let Some(source) = mount.source.as_deref().filter(|source| !source.is_empty()) {
                parameters.insert(
                    0,
                    Parameter { key: c_string("source", pointer)?, value: Some(c_string(source, pointer)?) },
                );
            }
            let attributes = plan.change.set;
            plan.change = Change::default();
            let takes =
                Takes { mode: !parameters.iter().any(|p| p.key.as_bytes() == b"mode"), content: copies };
            if kind == "tmpfs" && (takes.mode || takes.content) {
                plan.action = Action::Cover { parameters, attributes, takes };
                return Ok(plan);
            }
            Action::Filesystem { kind: c_string(kind, pointer)?, parameters, attributes }
        }
    };
    Ok(plan)
}

fn unsupported(pointer: &str, option: &str) -> Error {
    Error::new(Kind::Unsupported, format!("config.json: {pointer} {option:?} is not supported yet"))
}

fn apply(effect: Effect, plan: &mut MountPlan, parameters: &mut Vec<Parameter>) -> Result<()> {
    let set = |change: &mut Change, attributes: Attributes| {
        // A later time mode replaces an earlier one.
        if Attributes::ATIME.contains(attributes) {
            change.set = change.set.without(Attributes::ATIME);
        }
        change.set |= attributes;
        change.clear = change.clear.without(attributes);
    };
    let clear = |change: &mut Change, attributes: Attributes| {
        change.clear |=
            if attributes.bits() & Attributes::ATIME.bits() == 0 { attributes } else { Attributes::ATIME };
        change.set = change.set.without(attributes);
    };
    match effect {
        Set(attributes) => set(&mut plan.change, attributes),
        Clear(attributes) => clear(&mut plan.change, attributes),
        SetAll(attributes) => set(&mut plan.recursive_change, attributes),
        ClearAll(attributes) => clear(&mut plan.recursive_change, attributes),
        Propagation { flag, recursive } => plan.propagation.push((flag, recursive)),
        Superblock(flag) => parameters.push(Parameter { key: c_string(flag, "/mounts")?, value: None }),
        Bind { .. } | Remount | CopyUp | Nothing => {}
    }
    Ok(())
}

/// A file system's own option: `key=value` or a flag; several may stand in one string.
fn parameter(option: &str, pointer: &str) -> Result<Vec<Parameter>> {
    let one = |text: &str| {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(c_string(value, pointer)?)),
            None => (text, None),
        };
        Ok(Parameter { key: c_string(key, pointer)?, value })
    };
    option.split(',').filter(|text| !text.is_empty()).map(one).collect()
}

fn check_target(plan: &MountPlan, kind: &str, pointer: &str) -> Result<()> {
    let target = plan.target.to_str().unwrap_or_default();
    if target.split('/').any(|part| part == "..") {
        return Err(invalid(&format!("{pointer}/destination"), "holds a parent directory component"));
    }
    let harmless = !plan.is_below_proc()
        || (target == "proc" && (kind == "proc" || kind == "bind" || kind == "none"))
        || PROC_FILES.contains(&target);
    if harmless {
        Ok(())
    } else {
        Err(invalid(&format!("{pointer}/destination"), format!("{target:?} is inside /proc")))
    }
}
