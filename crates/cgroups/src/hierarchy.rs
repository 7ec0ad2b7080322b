//! Which hierarchies this host has mounted, and where this process is in them.

use std::path::{Path, PathBuf};

use crate::cgroup::check;
use crate::error::{Error, Kind};

const ROOT: &str = "/sys/fs/cgroup";
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The shape of the host's cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies with a v2 tree beside them.
    Hybrid,
    /// One v2 tree.
    V2,
}

/// The mounted hierarchies.
#[derive(Debug)]
pub struct Hierarchy {
    version: Version,
    pub(crate) mounts: Vec<Mount>,
}

/// One mounted hierarchy: its v1 controllers ("" for v2), its mount point, the place below it for an ordinary user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) controllers: String,
    pub(crate) point: PathBuf,
    pub(crate) own: String,
}

impl Mount {
    /// Where below the mount point a container's directory lies.
    pub(crate) fn below(&self, path: Option<&str>, id: &str, rootless: bool) -> String {
        let wanted = path.filter(|path| !path.is_empty()).unwrap_or(id);
        let base = if rootless && !wanted.starts_with('/') { self.own.as_str() } else { "" };
        format!("{base}/{wanted}")
    }
}

impl Hierarchy {
    /// Looks at `/sys/fs/cgroup`, and at `/proc/self` only where that is needed.
    ///
    /// # References
    /// - [cgroups(7)](https://man7.org/linux/man-pages/man7/cgroups.7.html)
    pub fn detect() -> Result<Self, Error> {
        let found = rustix::fs::statfs(ROOT).map_err(|e| Error::kernel(format!("stat {ROOT}"), e))?;
        let own = read("/proc/self/cgroup")?;
        if u64::try_from(found.f_type).is_ok_and(|magic| magic == CGROUP2_MAGIC) {
            let place = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
            let own = beside(Path::new(ROOT), place).to_owned();
            let mount = Mount { controllers: String::new(), point: PathBuf::from(ROOT), own };
            return Ok(Self { version: Version::V2, mounts: vec![mount] });
        }
        let mounts = parse(&own, &read("/proc/self/mountinfo")?);
        if mounts.is_empty() {
            return Err(Error::new(Kind::Unsupported, "find cgroups: no hierarchy is mounted"));
        }
        let unified = mounts.iter().any(|mount| mount.controllers.is_empty());
        Ok(Self { version: if unified { Version::Hybrid } else { Version::V1 }, mounts })
    }

    /// Controllers ("" for v2) and mount point of each hierarchy.
    pub fn mounts(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.mounts.iter().map(|mount| (mount.controllers.as_str(), mount.point.as_path()))
    }

    /// Controllers and path of each directory that [`Cgroup::create`](crate::Cgroup::create) would make for the
    /// same arguments, to be written down before they exist.
    ///
    /// # Errors
    /// A path that climbs or names no cgroup: what it leads to is not the container's to remove.
    pub fn planned(
        &self,
        path: Option<&str>,
        id: &str,
        rootless: bool,
    ) -> Result<Vec<(String, PathBuf)>, Error> {
        check(path.filter(|path| !path.is_empty()).unwrap_or(id))?;
        let place = |mount: &Mount| {
            let below = mount.below(path, id, rootless);
            (mount.controllers.clone(), mount.point.join(below.trim_start_matches('/')))
        };
        Ok(self.mounts.iter().map(place).collect())
    }

    /// The shape that was found.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// Where an ordinary user's containers go: beside the caller's own cgroup where that may be, because a cgroup with
/// processes hands no controllers on.
///
/// # References
/// - [No Internal Process Constraint](https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint)
fn beside<'a>(point: &Path, own: &'a str) -> &'a str {
    let above = own.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let writable = rustix::fs::access(point.join(above.trim_start_matches('/')), access).is_ok();
    if writable { above } else { own.trim_end_matches('/') }
}

fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(Path::new(path)).map_err(|e| {
        Error::kernel(
            format!("read {path}"),
            rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO),
        )
    })
}

fn parse(own: &str, mountinfo: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in mountinfo.lines().filter(|line| line.contains(" - cgroup")) {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let head: Vec<&str> = head.split(' ').collect();
        let tail: Vec<&str> = tail.split(' ').collect();
        let (&[_, _, _, root, point, ..], &[kind, _, options, ..]) = (&head[..], &tail[..]) else { continue };
        let place = own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, place) = rest.split_once(':')?;
            let first = controllers.split(',').next()?;
            let same = if kind == "cgroup2" {
                controllers.is_empty()
            } else {
                !first.is_empty() && options.split(',').any(|option| option == first)
            };
            same.then_some((controllers, place))
        });
        let Some((controllers, place)) = place else { continue };
        if mounts.iter().any(|mount| mount.controllers == controllers) {
            continue;
        }
        let own = place.strip_prefix(root.trim_end_matches('/')).unwrap_or("/").to_owned();
        mounts.push(Mount { controllers: controllers.to_owned(), point: PathBuf::from(point), own });
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_beside_the_own_one_where_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (own, want) in [("/a/b", "/a"), ("/a", ""), ("/", ""), ("/absent/b", "/absent/b")] {
            assert_eq!(beside(dir.path(), own), want, "{own}");
        }
    }

    #[test]
    fn hybrid_mounts_are_matched_with_own_places() {
        let own = "3:cpu,cpuacct:/a\n2:name=systemd:/\n0::/u\n";
        let info = "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                    2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                    3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found: Vec<_> = parse(own, info).into_iter().map(|m| (m.controllers, m.own)).collect();
        let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [text("cpu,cpuacct", "/a"), text("name=systemd", "/"), text("", "/u")]);
    }
}
