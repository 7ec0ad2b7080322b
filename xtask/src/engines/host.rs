//! The host before and after: mounts, cgroups and processes that an engine could leave.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// What there was at one moment.
pub(super) struct Host(BTreeSet<String>);

impl Host {
    /// What is here and was not in `before`, one after another.
    pub(super) fn left_since(&self, before: &Host) -> String {
        self.0.difference(&before.0).cloned().collect::<Vec<_>>().join("; ")
    }
}

/// Looks at all mounts of this namespace, cgroups that name `mark`, and processes that name it or lie in `dir`.
pub(super) fn look(dir: &Path, mark: &str) -> Host {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let mut found: BTreeSet<String> = points.map(|point| format!("mount {point}")).collect();
    found.extend(cgroups(mark).iter().map(|path| format!("cgroup {}", path.display())));
    found.extend(processes(dir, mark));
    Host(found)
}

/// How long the last process of an engine may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Cgroups that engines make where they are not told of another.
const PARENTS: [&str; 2] = ["libpod_parent", "buildah-"];

fn cgroups(mark: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut next = 0;
    while let Some(dir) = found.get(next).cloned() {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        found.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()),
        );
        next += 1;
    }
    let named =
        |path: &PathBuf| PARENTS.iter().chain(&[mark]).any(|name| path.to_string_lossy().contains(name));
    found.retain(named);
    found
}

fn processes(dir: &Path, mark: &str) -> BTreeSet<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let of_us = |pid: &String| {
        let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        link("root").starts_with(dir)
            || link("cwd").starts_with(dir)
            || cgroup.contains(mark)
            || words(pid).contains(mark)
    };
    let numbers = pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own);
    numbers.filter(of_us).map(|pid| format!("process {pid} {}", words(&pid))).collect()
}

fn words(pid: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Removes what an engine `leaves` by itself in `dir` and below the cgroup `mark`, and that cgroup, which it was
/// told to work below. What holds a container stays.
pub(super) fn clear(dir: &Path, mark: &str, leaves: &[&str]) {
    // What cannot be removed is found by the comparison.
    for name in leaves {
        let _ = rustix::mount::unmount(dir.join(name), rustix::mount::UnmountFlags::empty());
    }
    let known = |path: &PathBuf| path.ends_with(mark) || leaves.iter().any(|name| path.ends_with(name));
    let mut parents: Vec<_> = cgroups(mark).into_iter().filter(known).collect();
    parents.reverse();
    // A monitor outlives its container a little.
    let begin = Instant::now();
    for path in parents {
        while std::fs::remove_dir(&path).is_err_and(|why| why.kind() == ErrorKind::ResourceBusy)
            && begin.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Makes `dir` an empty folder.
pub(super) fn empty(dir: &Path) -> Result<()> {
    let context = || format!("empty {}", dir.display());
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(context)?;
    }
    std::fs::create_dir_all(dir).with_context(context)
}
