//! The cgroups that validation programs leave: of the names that they give, and empty.

use std::path::Path;

const MOUNT: &str = "/sys/fs/cgroup";

/// Removes them from every hierarchy. One with processes in it is somebody's, and the kernel keeps it.
pub(super) fn remove() {
    let hierarchies = std::fs::read_dir(MOUNT).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([MOUNT.into()]).filter(|path| path.join("cgroup.procs").exists()) {
        for entry in std::fs::read_dir(&hierarchy).into_iter().flatten().flatten() {
            if is_theirs(&entry.file_name().to_string_lossy()) {
                remove_tree(&entry.path());
            }
        }
    }
}

fn is_theirs(name: &str) -> bool {
    // Some mutants leave one beside that of the container.
    let name = name.strip_suffix("-left").unwrap_or(name);
    let lengths: Vec<usize> = name.split('-').map(str::len).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12] && name.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    is_uuid || ["cgrouptest", "testdir"].contains(&name)
}

/// Removes a cgroup and those below it.
fn remove_tree(cgroup: &Path) {
    let below = std::fs::read_dir(cgroup).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path());
    }
    // One that is in use stays.
    let _ = std::fs::remove_dir(cgroup);
}

#[cfg(test)]
mod tests {
    use super::is_theirs;

    #[test]
    fn only_names_of_programs_are_removed() {
        assert!(is_theirs("b70024e1-ab08-4324-b7b7-c730aad48c68-left"));
        assert!(is_theirs("cgrouptest") && is_theirs("b70024e1-ab08-4324-b7b7-c730aad48c68"));
        assert!(!is_theirs("system.slice") && !is_theirs("b70024e1-ab08-4324-b7b7-c730aad48c6x"));
    }
}
