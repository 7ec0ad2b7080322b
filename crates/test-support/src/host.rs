//! What a container may leave behind: mounts, cgroups, processes, state.

use std::collections::BTreeSet;
use std::path::Path;

/// The host as it was at one moment, as far as the containers of one id prefix can change it.
#[derive(Debug, PartialEq, Eq)]
pub struct Host {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    processes: BTreeSet<String>,
}

impl Host {
    /// Looks at mounts below `place`, cgroups whose name holds `mark`, and processes that name `place`.
    pub fn look(place: &Path, mark: &str) -> Host {
        let place = place.to_string_lossy().into_owned();
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mountinfo.lines().filter(|line| line.contains(&place)).map(str::to_owned).collect();
        let mut cgroups = BTreeSet::new();
        find_cgroups(Path::new("/sys/fs/cgroup"), mark, 5, &mut cgroups);
        Host { mounts, cgroups, processes: processes(&place) }
    }
}

fn find_cgroups(dir: &Path, mark: &str, depth: usize, found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name().to_string_lossy().contains(mark) {
            found.insert(entry.path().display().to_string());
        }
        if depth > 0 {
            find_cgroups(&entry.path(), mark, depth - 1, found);
        }
    }
}

/// Processes whose root, working directory or arguments lie in `place`, without this one.
fn processes(place: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
    let named = |pid: &str| {
        let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        link("root").starts_with(place)
            || link("cwd").starts_with(place)
            || String::from_utf8_lossy(&arguments).contains(place)
    };
    let own = std::process::id().to_string();
    let pids = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own && named(pid)).collect()
}

/// Whether the host has `controller`, in whichever version.
pub fn have_controller(controller: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(controller).is_dir() || have_cgroup2(controller)
}

/// Whether the host has cgroup v2 alone, and `controller` in it.
pub(crate) fn have_cgroup2(controller: &str) -> bool {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    controllers.split_whitespace().any(|one| one == controller)
}
