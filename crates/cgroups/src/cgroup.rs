//! One container's cgroup in every hierarchy: made, limited, entered, stopped, removed.
//! Refuses to follow symbolic links, to leave the mount points, and to adopt a cgroup in use.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_spec::runtime::Resources;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind};
use crate::hierarchy::{Hierarchy, Version};
use crate::{devices, limits};

/// Longest control file that is read; a cgroup of the largest pid_max fits.
const READ_MAX: usize = 32 << 20;

/// The kernel's list of files that whoever a cgroup is delegated to has to own, and what it was before there was one.
const DELEGATE: &str = "/sys/kernel/cgroup/delegate";
const DELEGATE_OLD: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// A container's cgroup, one directory per hierarchy.
#[derive(Debug)]
pub struct Cgroup {
    dirs: Vec<Dir>,
}

#[derive(Debug)]
struct Dir {
    controllers: String,
    path: PathBuf,
    fd: OwnedFd,
}

/// Directories made so far; removed again unless the whole creation succeeds.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // Nobody is left to tell: the error that led here is the one to report.
            let _ = rustix::fs::rmdir(path);
        }
    }
}

impl Cgroup {
    /// Makes the cgroup in every hierarchy and applies `resources`.
    ///
    /// An absolute `path` lies under the mount points; a relative one, or `id` for none, lies there too for
    /// root and under the caller's own cgroup if `rootless`. A rootless caller without permission gets a
    /// cgroup without paths, unless limits were asked for.
    ///
    /// # Errors
    /// A cgroup that is not empty or is frozen, a path that climbs, a limit that cannot be held.
    pub fn create(
        hierarchy: &Hierarchy,
        path: Option<&str>,
        id: &str,
        resources: Option<&Resources>,
        rootless: bool,
    ) -> Result<Self, Error> {
        let wanted = path.filter(|path| !path.is_empty()).unwrap_or(id);
        check(wanted)?;
        let mut made = Made(Vec::new());
        let mut dirs = Vec::new();
        for mount in &hierarchy.mounts {
            let below = mount.below(path, id, rootless);
            match make(&mount.point, &mount.controllers, &below, &mut made) {
                Ok(dir) => dirs.push(dir),
                Err(e) if rootless && denied(&e) && resources.is_none_or(|r| *r == Resources::default()) => {}
                Err(e) => return Err(e),
            }
        }
        let cgroup = Self { dirs };
        cgroup.refuse_used()?;
        if let Some(resources) = resources {
            if hierarchy.version() != Version::V1 {
                cgroup.enable(hierarchy, resources)?;
            }
            cgroup.apply(resources)?;
        }
        made.0.clear();
        Ok(cgroup)
    }

    /// Opens a cgroup from the paths that [`Cgroup::paths`] gave; those that are gone are left out.
    pub fn open(paths: &[(String, PathBuf)]) -> Result<Self, Error> {
        let mut dirs = Vec::new();
        for (controllers, path) in paths {
            match open_dir(rustix::fs::CWD, path) {
                Ok(fd) => dirs.push(Dir { controllers: controllers.clone(), path: path.clone(), fd }),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(Error::kernel(format!("open cgroup {}", path.display()), e)),
            }
        }
        Ok(Self { dirs })
    }

    /// The directory for `CLONE_INTO_CGROUP`, on pure v2.
    pub fn v2_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.dirs[..] {
            [dir] if dir.controllers.is_empty() => Some(dir.fd.as_fd()),
            _ => None,
        }
    }

    /// Moves `pid` into every hierarchy that [`Cgroup::v2_fd`] does not cover.
    pub fn add(&self, pid: i32) -> Result<(), Error> {
        if self.v2_fd().is_some() {
            return Ok(());
        }
        self.dirs.iter().try_for_each(|dir| dir.write("cgroup.procs", &pid.to_string()))
    }

    /// Applies limits and device rules; what `resources` leaves out stays as it is.
    pub fn apply(&self, resources: &Resources) -> Result<(), Error> {
        for line in limits::lines(resources, &|controller| self.is_v2(controller))? {
            self.write(&line)?;
        }
        if !resources.devices.is_empty() && self.is_v2("devices") {
            let program = devices::compile(&devices::parse(&resources.devices)?);
            let kernel = |e| Error::kernel("linux.resources.devices: attach the device program", e);
            let dir = self
                .holder("")
                .ok_or_else(|| Error::new(Kind::Unsupported, "linux.resources.devices: no cgroup"))?;
            let program = plimsoll_sys::bpf::load_device_program(&program).map_err(kernel)?;
            plimsoll_sys::bpf::attach_device_program(dir.fd.as_fd(), &program).map_err(kernel)?;
        }
        Ok(())
    }

    /// Writes one line to the file of its controller.
    pub(crate) fn write(&self, line: &limits::Write) -> Result<(), Error> {
        let Some(dir) = self.holder(line.controller) else {
            let field = if line.controller.is_empty() { "unified" } else { line.controller };
            let text = format!("linux.resources: {} needs the {field} hierarchy, which is absent", line.file);
            return Err(Error::new(Kind::Unsupported, text));
        };
        match dir.write_line(line) {
            // A controller that somebody else enables at this moment is listed before its files are there.
            Err(e) if e.errno() == Some(Errno::NOENT) && dir.await_controller(&line.file) => {
                dir.write_line(line)
            }
            other => other,
        }
    }

    /// Reads a file of `controller`.
    pub(crate) fn read(&self, controller: &str, file: &str) -> Result<String, Error> {
        let absent = || Error::new(Kind::Unsupported, format!("read {file}: no {controller} controller"));
        self.holder(controller).ok_or_else(absent)?.read(file)
    }

    /// Gives the cgroup away, so that `owner`, an id of the host, may make others below it and move processes there:
    /// the directory and the files that the kernel lists for that. Nothing on v1, where that is not safe.
    ///
    /// # References
    /// - [Cgroup ownership](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#cgroup-ownership)
    pub fn give_to(&self, owner: u32) -> Result<(), Error> {
        let (Some(fd), [dir]) = (self.v2_fd(), &self.dirs[..]) else { return Ok(()) };
        let list = std::fs::read_to_string(DELEGATE).unwrap_or_else(|_| DELEGATE_OLD.to_owned());
        let owner = Some(rustix::fs::Uid::from_raw(owner));
        for file in list.lines().filter(|file| !file.contains('/')).chain(["."]) {
            match rustix::fs::chownat(fd, file, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
                // The list is for every kind of cgroup.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => {
                    return Err(Error::kernel(format!("give {}/{file} away", dir.path.display()), e));
                }
            }
        }
        Ok(())
    }

    /// Controllers ("" for v2) and absolute path of each directory.
    pub fn paths(&self) -> Vec<(String, PathBuf)> {
        self.dirs.iter().map(|dir| (dir.controllers.clone(), dir.path.clone())).collect()
    }

    /// Every process in the cgroup and below it.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let mut found = Vec::new();
        if let Some(dir) = self.holder("freezer").or(self.dirs.first()) {
            for path in tree(&dir.path)? {
                let Ok(fd) = open_dir(rustix::fs::CWD, &path) else { continue };
                found.extend(
                    read(&fd, "cgroup.procs", &path)?.lines().filter_map(|line| line.parse::<i32>().ok()),
                );
            }
        }
        Ok(found)
    }

    /// Sends `signal` to every process: by `cgroup.kill` where it is there, else frozen meanwhile.
    pub fn kill_all(&self, signal: i32) -> Result<(), Error> {
        if let (9, Some(fd)) = (signal, self.v2_fd())
            && put(fd, "cgroup.kill", "1").is_ok()
        {
            return Ok(());
        }
        self.freeze()?;
        let sent = self.processes().and_then(|all| {
            all.into_iter().try_for_each(|pid| match plimsoll_sys::signal::kill(pid, signal) {
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(e) => Err(Error::kernel(format!("signal process {pid}"), e)),
            })
        });
        self.thaw().and(sent)
    }

    /// Freezes every process and waits, at most two seconds, until they are.
    pub fn freeze(&self) -> Result<(), Error> {
        self.set_frozen("1", "FROZEN")?;
        for _ in 0..2000 {
            if self.is_frozen()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thaw()?;
        Err(Error::new(Kind::Busy, "freeze cgroup: processes did not stop within 2 s"))
    }

    /// Lets the processes run again.
    pub fn thaw(&self) -> Result<(), Error> {
        self.set_frozen("0", "THAWED")
    }

    /// Whether every process is frozen.
    pub fn is_frozen(&self) -> Result<bool, Error> {
        match self.holder("freezer") {
            None => Ok(false),
            Some(dir) if dir.controllers.is_empty() => Ok(dir.read("cgroup.events")?.contains("frozen 1")),
            Some(dir) => Ok(dir.read("freezer.state")?.trim() == "FROZEN"),
        }
    }

    /// How many processes the kernel has killed for want of memory here.
    pub fn oom_kill_count(&self) -> Result<u64, Error> {
        let Some(dir) = self.holder("memory") else { return Ok(0) };
        let file = if dir.controllers.is_empty() { "memory.events" } else { "memory.oom_control" };
        let count = |text: String| text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
        Ok(count(dir.read(file)?).unwrap_or(0))
    }

    /// Removes the directories, children first; kills nothing, and what is gone is fine.
    pub fn remove(&self) -> Result<(), Error> {
        self.dirs
            .iter()
            .try_for_each(|dir| tree(&dir.path)?.iter().rev().try_for_each(|path| remove_one(path)))
    }

    fn holder(&self, controller: &str) -> Option<&Dir> {
        let v1 = self
            .dirs
            .iter()
            .find(|dir| !controller.is_empty() && dir.controllers.split(',').any(|c| c == controller));
        v1.or_else(|| self.dirs.iter().find(|dir| dir.controllers.is_empty()))
    }

    pub(crate) fn is_v2(&self, controller: &str) -> bool {
        self.holder(controller).is_some_and(|dir| dir.controllers.is_empty())
    }

    /// Refuses a cgroup that is somebody's: one with processes of its own, or frozen.
    ///
    /// # Errors
    /// Those, and what cannot be read.
    pub fn refuse_used(&self) -> Result<(), Error> {
        for dir in &self.dirs {
            if !dir.read("cgroup.procs")?.is_empty() {
                return Err(dir.is_used());
            }
        }
        if self.is_frozen()? {
            return Err(Error::new(Kind::Busy, "container's cgroup is unexpectedly frozen"));
        }
        Ok(())
    }

    /// Refuses a cgroup with another process than `pid` in it, as when two were made in one place at one time.
    ///
    /// # Errors
    /// That, and what cannot be read.
    pub fn refuse_others(&self, pid: i32) -> Result<(), Error> {
        let Some(dir) = self.holder("freezer").or(self.dirs.first()) else { return Ok(()) };
        let own = pid.to_string();
        match dir.read("cgroup.procs")?.lines().all(|line| line == own) {
            true => Ok(()),
            false => Err(dir.is_used()),
        }
    }

    /// Removes the directories where nobody is in them, and else leaves them to who is.
    pub fn leave(self) {
        for dir in self.dirs {
            // Whoever is in it, or has removed it, answers for it.
            let _ = rustix::fs::rmdir(&dir.path);
        }
    }

    /// Enables on the way down to the v2 directory the controllers whose files will be written.
    pub(crate) fn enable(&self, hierarchy: &Hierarchy, resources: &Resources) -> Result<(), Error> {
        let (Some(dir), Some(mount)) =
            (self.holder(""), hierarchy.mounts.iter().find(|m| m.controllers.is_empty()))
        else {
            return Ok(());
        };
        let lines = limits::lines(resources, &|controller| self.is_v2(controller))?;
        let wanted = lines.iter().filter(|line| line.controller.is_empty() || self.is_v2(line.controller));
        let file =
            |line: &limits::Write| line.file.split_once('.').map(|(controller, _)| controller.to_owned());
        let mut wanted: Vec<(String, &str)> = wanted
            .filter_map(|line| Some((file(line)?, line.file.as_str())))
            .filter(|(controller, _)| controller != "cgroup")
            .collect();
        wanted.dedup_by(|next, first| next.0 == first.0);
        let mut above: Vec<&Path> =
            dir.path.ancestors().skip(1).take_while(|path| path.starts_with(&mount.point)).collect();
        above.reverse();
        above.into_iter().try_for_each(|path| hand_on(path, &wanted))
    }

    fn set_frozen(&self, v2: &str, v1: &str) -> Result<(), Error> {
        match self.holder("freezer") {
            None => Err(Error::new(Kind::Unsupported, "freeze cgroup: no freezer")),
            Some(dir) if dir.controllers.is_empty() => dir.write("cgroup.freeze", v2),
            Some(dir) => dir.write("freezer.state", v1),
        }
    }
}

impl Dir {
    fn is_used(&self) -> Error {
        Error::new(Kind::Busy, format!("container's cgroup is not empty: {}", self.path.display()))
    }

    /// Waits until the controller of `file` is there, where it is about to be: the kernel answers who enables it
    /// once more only when the first is done.
    fn await_controller(&self, file: &str) -> bool {
        let controller = file.split('.').next().unwrap_or_default();
        let above = self.path.parent().filter(|_| self.controllers.is_empty());
        let above = above.and_then(|path| open_dir(rustix::fs::CWD, path).ok());
        above.is_some_and(|fd| put(fd.as_fd(), "cgroup.subtree_control", &format!("+{controller}")).is_ok())
    }

    fn write(&self, file: &str, value: &str) -> Result<(), Error> {
        put(self.fd.as_fd(), file, value)
            .map_err(|e| Error::kernel(format!("write {value:?} to {}/{file}", self.path.display()), e))
    }

    fn write_line(&self, line: &limits::Write) -> Result<(), Error> {
        let Some((file, value)) = &line.instead else { return self.write(&line.file, &line.value) };
        if self.has(&line.file) {
            return self.write(&line.file, &line.value);
        }
        if self.has(file) {
            return self.write(file, value);
        }
        let text =
            format!("linux.resources.blockIO.weight: this kernel has neither {} nor {file}", line.file);
        Err(Error::new(Kind::Unsupported, text))
    }

    fn has(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.fd, file, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        read(&self.fd, file, &self.path)
    }
}

/// Lets the cgroup `path` hand on the controllers in `wanted`, each with a file that needs it.
fn hand_on(path: &Path, wanted: &[(String, &str)]) -> Result<(), Error> {
    let fd =
        open_dir(rustix::fs::CWD, path).map_err(|e| Error::kernel(format!("open {}", path.display()), e))?;
    let has = |list: &str, controller: &str| list.split_whitespace().any(|one| one == controller);
    let enabled = read(&fd, "cgroup.subtree_control", path)?;
    for (controller, file) in wanted.iter().filter(|(controller, _)| !has(&enabled, controller)) {
        if !has(&read(&fd, "cgroup.controllers", path)?, controller) {
            let text = format!(
                "linux.resources: {file} needs the controller {controller}, which {} does not have",
                path.display()
            );
            return Err(Error::new(Kind::Unsupported, text));
        }
        put(fd.as_fd(), "cgroup.subtree_control", &format!("+{controller}")).map_err(|e| {
            Error::kernel(format!("linux.resources: enable controller {controller} in {}", path.display()), e)
        })?;
    }
    Ok(())
}

pub(crate) fn check(path: &str) -> Result<(), Error> {
    if path.contains(':') {
        let text = format!(
            "linux.cgroupsPath {path:?}: the systemd driver needs D-Bus, which this build does not speak"
        );
        return Err(Error::new(Kind::Unsupported, text));
    }
    let empty = path.split('/').all(|part| part.is_empty() || part == ".");
    if empty || path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(Error::new(
            Kind::Invalid,
            format!("linux.cgroupsPath {path:?}: must name a cgroup below the root"),
        ));
    }
    Ok(())
}

fn denied(error: &Error) -> bool {
    matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

fn open_dir(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(
        at,
        path,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY,
        Mode::empty(),
    )
}

fn make(point: &Path, controllers: &str, below: &str, made: &mut Made) -> Result<Dir, Error> {
    let mut path = point.to_owned();
    let fail = |path: &Path, e| Error::kernel(format!("create cgroup {}", path.display()), e);
    let mut fd = open_dir(rustix::fs::CWD, point).map_err(|e| fail(point, e))?;
    for part in below.split('/').filter(|part| !part.is_empty() && *part != ".") {
        path.push(part);
        match rustix::fs::mkdirat(&fd, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => made.0.push(path.clone()),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(fail(&path, e)),
        }
        let child = open_dir(&fd, Path::new(part)).map_err(|e| fail(&path, e))?;
        if controllers.split(',').any(|c| c == "cpuset") {
            // A v1 cpuset takes no process until it has both.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if read(&child, file, &path)?.trim().is_empty() {
                    let above = read(&fd, file, &path)?;
                    put(child.as_fd(), file, above.trim()).map_err(|e| fail(&path, e))?;
                }
            }
        }
        fd = child;
    }
    Ok(Dir { controllers: controllers.to_owned(), path, fd })
}

fn put(dir: BorrowedFd<'_>, file: &str, value: &str) -> Result<(), Errno> {
    let fd =
        rustix::fs::openat(dir, file, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::write(&fd, value.as_bytes())? {
        written if written == value.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}

fn read(dir: &OwnedFd, file: &str, path: &Path) -> Result<String, Error> {
    use std::io::Read;
    let kernel = |e| Error::kernel(format!("read {}/{file}", path.display()), e);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, file, flags, Mode::empty()).map_err(kernel)?;
    let mut text = String::new();
    let read = std::fs::File::from(fd).take(READ_MAX as u64).read_to_string(&mut text);
    read.map_err(|e| kernel(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    Ok(text)
}

/// The directory and all below it, parents first; empty when it is gone.
fn tree(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(dir) = found.get(next).cloned() {
        next += 1;
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => {
                let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
                return Err(Error::kernel(format!("list cgroup {}", dir.display()), errno));
            }
        };
        found.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    Ok(found)
}

fn remove_one(path: &Path) -> Result<(), Error> {
    // 1 + 2 + ... + 256 ms: processes that were killed leave their cgroup a little later.
    for round in 0..10 {
        match rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if round < 9 => std::thread::sleep(Duration::from_millis(1 << round)),
            Err(e) => return Err(Error::kernel(format!("remove cgroup {}", path.display()), e)),
        }
    }
    Ok(())
}
