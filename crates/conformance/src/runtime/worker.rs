//! A worker: one process, one case.
//!
//! It reads its settings from standard input and writes a record to standard output. Everything that the
//! subject starts descends from it, is reaped by it, and is gone when it exits; its mount namespace takes
//! along what was mounted. Where it is killed, the runner does the rest.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Instant;

use plimsoll_spec::json::{self, Object};
use plimsoll_sys::mount::{Change, set_attributes_recursive};
use plimsoll_sys::process::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::case::Obstacle;
use crate::error::{Context as _, Error, Kind, Result};
use crate::results::{CaseRecord, JudgementRecord};

use super::cases::suite;
use super::host;
use super::keeper;
use super::settings::Settings;
use super::stage::Stage;

/// Runs the case called `name` and prints its record. `index` tells it from the others of the run.
///
/// # Errors
/// [`Kind::Request`] for an unknown case, [`Kind::Document`] for malformed settings, and what the machine
/// refuses before the case begins.
pub fn work(name: &str, index: &str) -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context(|| "read a worker's settings")?;
    let settings = Settings::parse(&text)?;
    let all = suite();
    let case = all
        .iter()
        .find(|case| case.name == name)
        .ok_or_else(|| Error::new(Kind::Request, format!("there is no case {name:?}")))?;
    keeper::adopt_orphans()?;
    let other_cgroups = own_mounts(&settings)?;
    let place = settings.place.join(index);
    std::fs::create_dir(&place).context(|| format!("make {}", place.display()))?;
    let mark = settings.mark_of(index);
    let start = Instant::now();
    let mut stage = Stage::new(settings, place.clone(), mark.clone());
    if other_cgroups {
        stage.note_own("mount");
        stage.note_command(&["umount", "--lazy", CGROUPS]);
        stage.note_command(&["mount", "-t", "cgroup2", "none", CGROUPS]);
    }
    let mut done = (case.run)(&mut stage);
    if matches!(done, Err(Obstacle::NotApplicable(_))) && !case.conditional {
        // Nobody who judges the record again would believe it.
        done = Err(Error::new(Kind::Suite, "a case that always applies says that it does not").into());
    }
    finish(&mut stage);
    let left = host::left(&mark);
    if !left.is_empty() {
        let why = format!("the case could not be cleaned up; there is still {}", left.join(", "));
        done = Err(Error::new(Kind::Suite, why).into());
    }
    unmount_below(&place);
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let obstacle = done.err().as_ref().map(Obstacle::judgement);
    let record = CaseRecord {
        name: name.to_owned(),
        evidence: stage.evidence.to_record(),
        obstacle: obstacle.map(|judgement| JudgementRecord::new(name, judgement)),
        milliseconds,
        again: Vec::new(),
        extra: Object::new(),
    };
    std::fs::remove_dir_all(&place).context(|| format!("remove {}", place.display()))?;
    std::io::stdout().write_all(&json::to_vec(&record)).context(|| "write a worker's record")
}

/// Lets the subject delete what is left, then ends and removes what it has not.
fn finish(stage: &mut Stage) {
    stage.note_bundles();
    let operations = stage.evidence.0.get("operations").cloned();
    for (id, _) in stage.made().to_vec() {
        if stage.root().join(&id).exists() {
            let place = stage.place.clone();
            // What it refuses to delete is ended below.
            let _ = stage.call("delete-force", &[("id", &id)], &place);
        }
    }
    if let Some(operations) = operations {
        stage.evidence.record("operations", operations);
    }
    host::kill_descendants();
    host::remove_cgroups(stage.mark());
    stage.unmount();
}

/// Unmounts what the subject has left in the case's folder, which could not be removed otherwise.
fn unmount_below(place: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let below: Vec<_> = targets.filter(|target| target.starts_with(place)).collect();
    for target in below.into_iter().rev() {
        // What goes away with another is not there any more.
        let _ = unmount(target, UnmountFlags::DETACH);
    }
}

/// A mount namespace that the host's mounts reach and whose mounts do not reach the host; whether it shows
/// other cgroups than the host.
fn own_mounts(settings: &Settings) -> Result<bool> {
    const MS_SLAVE: u64 = 1 << 19;
    if !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    unshare(CloneFlags::NEWNS).context(|| "make a mount namespace")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).context(|| "open the root")?;
    let change = Change { propagation: MS_SLAVE, ..Change::default() };
    set_attributes_recursive(root.as_fd(), &change).context(|| "make mounts private")?;
    if settings.only_cgroup2 { show_only_cgroup2() } else { Ok(false) }
}

const CGROUPS: &str = "/sys/fs/cgroup";

fn show_only_cgroup2() -> Result<bool> {
    let place = Path::new(CGROUPS);
    if place.join("cgroup.controllers").exists() {
        return Ok(false);
    }
    let context = || "show cgroup v2 alone";
    // Everything below goes too; the hierarchies themselves stay with the host.
    unmount(place, UnmountFlags::DETACH).context(context)?;
    mount("cgroup2", place, "cgroup2", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .context(context)?;
    Ok(true)
}
