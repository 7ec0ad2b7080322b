//! What an operation may leave on the host: mounts, cgroups, processes, files of state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait, waitpid};

/// The host as a worker sees it, as far as the subject can change it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Host(BTreeSet<String>);

/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Containers' cgroups stand no deeper than this below a hierarchy's mount.
const DEPTH: usize = 8;

impl Host {
    /// Looks at the mounts of this mount namespace, cgroups whose path holds `mark`, the processes that
    /// descend from this one, and the names in `folders`.
    pub(crate) fn look(mark: &str, folders: &[&Path]) -> Host {
        reap();
        let mut seen = BTreeSet::new();
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        seen.extend(mountinfo.lines().filter_map(mount));
        seen.extend(cgroups(mark).into_iter().map(|path| format!("cgroup {path}")));
        let running = descendants().into_iter().filter(|process| !process.dead);
        seen.extend(running.map(|process| format!("process {} {}", process.pid, process.name)));
        for folder in folders {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                seen.insert(format!("file {}", entry.path().display()));
            }
        }
        Host(seen)
    }

    /// What `later` has more, behind a plus, and what it lacks, behind a minus.
    pub(crate) fn diff(&self, later: &Host) -> Vec<String> {
        let added = later.0.difference(&self.0).map(|line| format!("+ {line}"));
        let gone = self.0.difference(&later.0).map(|line| format!("- {line}"));
        added.chain(gone).collect()
    }
}

/// Place, type and source of one line of mountinfo; its numbers are no property of the host.
fn mount(line: &str) -> Option<String> {
    let (own, rest) = line.split_once(" - ")?;
    let mut own = own.split(' ');
    let (root, place) = (own.nth(3)?, own.next()?);
    let mut rest = rest.split(' ');
    Some(format!("mount {place} {} {} {root}", rest.next()?, rest.next()?))
}

/// Every directory of a hierarchy whose name holds `mark`, and all below it.
pub(crate) fn cgroups(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(Path::new(CGROUPS), mark, DEPTH, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, mark: &str, depth: usize, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let path = entry.path();
        let text = path.to_string_lossy();
        if text.contains(mark) {
            found.push(text.into_owned());
        }
        if depth > 0 {
            collect(&path, mark, depth - 1, found);
        }
    }
}

/// A process that descends from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descendant {
    pub pid: i32,
    pub name: String,
    /// Whether it is a zombie.
    pub dead: bool,
}

/// Every process there is, with its parent.
fn processes() -> Vec<(Descendant, i32)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((name, state, parent)) = parse(&stat) {
            all.push((Descendant { pid, name, dead: matches!(state, 'Z' | 'X') }, parent));
        }
    }
    all
}

/// Every process that descends from this one.
pub(crate) fn descendants() -> Vec<Descendant> {
    let mut all = processes();
    let mut families = BTreeSet::from([rustix::process::getpid().as_raw_nonzero().get()]);
    let mut found: Vec<Descendant> = Vec::new();
    loop {
        let (young, rest): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, parent)| families.contains(parent));
        if young.is_empty() {
            return found;
        }
        families.extend(young.iter().map(|(process, _)| process.pid));
        found.extend(young.into_iter().map(|(process, _)| process));
        all = rest;
    }
}

/// Name, state and parent in the text of `/proc/PID/stat`; the name may hold anything but ends at the last `)`.
fn parse(stat: &str) -> Option<(String, char, i32)> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(end + 2..)?.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((stat.get(start + 1..end)?.to_owned(), state, fields.next()?.parse().ok()?))
}

/// What still descends from this process, and the cgroups whose path still holds `mark`.
pub(crate) fn left(mark: &str) -> Vec<String> {
    let running = descendants().into_iter().filter(|process| !process.dead);
    let processes = running.map(|process| format!("process {} {}", process.pid, process.name));
    processes.chain(cgroups(mark).into_iter().map(|path| format!("cgroup {path}"))).collect()
}

/// Collects children that have exited and that nobody waits for any more.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Ends everything that descends from this process, also what forks while it is being ended.
pub(crate) fn kill_descendants() {
    loop {
        reap();
        let left = descendants();
        if left.is_empty() {
            return;
        }
        left.iter().filter(|process| !process.dead).for_each(end);
        // Orphans come to this process, which is their reaper; so there is always somebody to wait for.
        if wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}

/// Ends the children of this process that are none of `workers`, and what descends from them: what a killed
/// worker has left.
pub(crate) fn kill_orphans(workers: &[i32]) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        let orphans: Vec<Descendant> = processes()
            .into_iter()
            .filter(|(process, parent)| *parent == own && !workers.contains(&process.pid))
            .map(|(process, _)| process)
            .collect();
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            // One that has exited meanwhile is only waited for.
            end(&orphan);
            if waitpid(Pid::from_raw(orphan.pid), WaitOptions::empty()).is_err() {
                return;
            }
        }
    }
}

fn end(process: &Descendant) {
    if let Some(pid) = Pid::from_raw(process.pid) {
        // It may have exited meanwhile.
        let _ = kill_process(pid, Signal::KILL);
        thaw(pid);
    }
}

/// Nobody dies in a frozen cgroup of version 1, so the process is taken out of its own into the one that this
/// process runs in.
fn thaw(pid: Pid) {
    let freezer = Path::new(CGROUPS).join("freezer");
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.split_once(":freezer:").map(|(_, path)| path));
    if let Some(own) = own {
        // Where there is no such hierarchy, or it is not for this user to write to, nobody was frozen in it.
        let place = freezer.join(own.trim_start_matches('/')).join("cgroup.procs");
        let _ = std::fs::write(place, pid.as_raw_nonzero().to_string());
    }
}

/// Where the directory `path` would be as a cgroup of each hierarchy.
pub(crate) fn as_cgroups(path: &Path) -> Vec<PathBuf> {
    let below = path.strip_prefix("/").unwrap_or(path);
    if below.as_os_str().is_empty() {
        return Vec::new();
    }
    hierarchies().iter().map(|hierarchy| hierarchy.join(below)).collect()
}

/// Where hierarchies are mounted: version 2 alone, or one beside the other.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(CGROUPS);
    match root.join("cgroup.procs").exists() {
        true => vec![root],
        false => std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect(),
    }
}

/// Removes every cgroup whose path holds `mark`, deepest first; they are empty once the processes are gone.
pub(crate) fn remove_cgroups(mark: &str) {
    for path in cgroups(mark).iter().rev() {
        // A frozen or busy one stays, and shows in the next look at the host.
        let _ = std::fs::remove_dir(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named() {
        let (before, after) =
            (Host(BTreeSet::from(["a".into(), "b".into()])), Host(BTreeSet::from(["b".into(), "c".into()])));
        assert_eq!(before.diff(&after), ["+ c", "- a"]);
        assert_eq!(before.diff(&before), [""; 0]);
    }

    #[test]
    fn names_with_parentheses_are_read() {
        assert_eq!(parse("7 (a) (b) S 3 7 7"), Some(("a) (b".to_owned(), 'S', 3)));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn mounts_are_told_by_place_type_and_source() {
        let line = "24 1 0:22 / /proc rw,nosuid shared:5 - proc proc rw";
        assert_eq!(mount(line), Some("mount /proc proc proc /".to_owned()));
    }
}
