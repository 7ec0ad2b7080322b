//! What is kept about a container between commands: one directory, one file, one lock.
//!
//! The file is written before anything else exists, so that `delete --force` finds what an interrupted
//! `create` has left. The lock is held while a command changes the container and dies with its holder.
//! No command but `create`, `run` and `exec` reads the bundle.

mod pid;
mod time;

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use plimsoll_cgroups::Cgroup;
use plimsoll_spec::json::{self, wire_object};
use plimsoll_spec::runtime::{Hook, State, Status, VERSION};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context as _, Error, Kind, Result};

pub(crate) use pid::{Process, start_time};
pub(crate) use time::now;

wire_object! {
    /// The directory of a container in one hierarchy.
    #[derive(Default)]
    pub struct CgroupPath {
        /// Controllers of version 1; empty for version 2.
        pub controllers: String = "controllers",
        /// Absolute path.
        pub path: String = "path" required,
    }

    /// The stored state; `format` changes with its meaning.
    #[derive(Default)]
    pub struct Record {
        /// 1.
        pub format: u32 = "format" required,
        /// The container's id.
        pub id: String = "id" required,
        /// The first process, 0 before there is one.
        pub pid: i32 = "pid",
        /// When it started, in clock ticks since boot: with the pid it names one process for ever.
        pub start_time: u64 = "startTime",
        /// Absolute path of the bundle.
        pub bundle: String = "bundle" required,
        /// Absolute path of the root file system.
        pub rootfs: String = "rootfs" required,
        /// When it was created, by RFC 3339.
        pub created: String = "created" required,
        /// Who created it.
        pub owner: u32 = "owner",
        /// The bundle's annotations.
        pub annotations: std::collections::BTreeMap<String, String> = "annotations",
        /// Its cgroup.
        pub cgroup: Vec<CgroupPath> = "cgroup",
        /// Whether the cgroup was made for this container; before that, what is in it is not ours.
        pub cgroup_made: bool = "cgroupMade",
        /// Whether it has a pid namespace of its own, so that killing the first process kills all.
        pub own_pid_namespace: bool = "ownPidNamespace",
        /// Whether its processes have a session keyring of the container's own.
        pub own_keyring: bool = "ownKeyring",
        /// Hooks after the start.
        pub poststart: Vec<Hook> = "poststart",
        /// Hooks after the deletion.
        pub poststop: Vec<Hook> = "poststop",
    }
}

const FORMAT: u32 = 1;
const RECORD: &CStr = c"state.json";
const RECORD_NEW: &CStr = c"state.json.new";
const GATE: &CStr = c"start";
/// The gate's mode while the container is being created, and from when `start` may open it.
const GATE_NOT_READY: Mode = Mode::WUSR;
const GATE_READY: Mode = Mode::RUSR.union(Mode::WUSR);

/// The fifo at which a container's first process waits for its start.
enum Gate {
    /// The container is being created.
    NotReady,
    /// `start` may open it.
    Ready,
    /// Nobody waits any more.
    Open,
}

/// A container's directory, and what stands in it.
#[derive(Debug)]
pub(crate) struct Container {
    root: PathBuf,
    dir: OwnedFd,
    locked: bool,
    pub record: Record,
}

impl Container {
    /// Makes the directory of a new container below `root`, locked, and writes its record; none where somebody
    /// else uses its cgroup.
    pub(crate) fn create(root: &Path, mut record: Record) -> Result<Container> {
        check_id(&record.id)?;
        make_root(root)?;
        let path = root.join(&record.id);
        match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o711)) {
            Err(Errno::EXIST) => {
                return Err(Error::new(
                    Kind::State,
                    format!("container with given ID already exists: {}", record.id),
                ));
            }
            other => other.context(|| format!("make {}", path.display()))?,
        }
        let dir = open_directory(&path).context(|| format!("open {}", path.display()))?;
        rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)
            .context(|| "lock the container".to_owned())?;
        record.format = FORMAT;
        let container = Container { root: root.to_owned(), dir, locked: true, record };
        // Once it is recorded, what is in its cgroup is its own.
        let recorded = container.refuse_used_cgroup().and_then(|()| container.save());
        recorded.inspect_err(|_| drop(container.remove_directory()))?;
        Ok(container)
    }

    /// The container `id`, as it was written down last.
    pub(crate) fn open(root: &Path, id: &str) -> Result<Container> {
        check_id(id)?;
        let absent = || Error::new(Kind::State, format!("container {id:?} does not exist"));
        let path = root.join(id);
        let dir = match open_directory(&path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(absent()),
            other => other.context(|| format!("open {}", path.display()))?,
        };
        let file = match rustix::fs::openat(
            &dir,
            RECORD,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        ) {
            Err(Errno::NOENT) => return Err(absent()),
            other => other.context(|| format!("open the state of {id}"))?,
        };
        let text = crate::plan::read_all(&file, json::Limits::DEFAULT.size)
            .context(|| format!("read the state of {id}"))?;
        let record: Record = json::from_slice(&text)
            .map_err(|e| Error::because(Kind::Environment, format!("parse the state of {id}"), e))?;
        if record.format != FORMAT {
            let why = format!("the state of {id} has format {}, this runtime knows {FORMAT}", record.format);
            return Err(Error::new(Kind::Environment, why));
        }
        Ok(Container { root: root.to_owned(), dir, locked: false, record })
    }

    /// As [`Container::open`], and waits until no other command changes the container.
    pub(crate) fn lock(root: &Path, id: &str) -> Result<Container> {
        let waiting = Container::open(root, id)?;
        loop {
            match rustix::fs::flock(&waiting.dir, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => continue,
                other => break other.context(|| format!("lock container {id}"))?,
            }
        }
        // What stood there before may be gone or another by now.
        let mut container = Container::open(root, id)?;
        (container.dir, container.locked) = (waiting.dir, true);
        Ok(container)
    }

    /// Lets other commands change the container; also for a child that has inherited the lock.
    pub(crate) fn unlock(&self) {
        // The lock goes with the descriptor in any case.
        let _ = rustix::fs::flock(&self.dir, FlockOperation::Unlock);
    }

    /// Lets go of the lock in a child, which would hold it after the death of its creator.
    pub(crate) fn close_in_child(&self) {
        plimsoll_sys::process::close_inherited(self.dir.as_fd());
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn save(&self) -> Result<()> {
        let context = || format!("write the state of {}", self.record.id);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(&self.dir, RECORD_NEW, flags, Mode::from_raw_mode(0o600)).context(context)?;
        let text = json::to_vec(&self.record);
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).context(context)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        rustix::fs::renameat(&self.dir, RECORD_NEW, &self.dir, RECORD).context(context)
    }

    /// Where the container stands now.
    pub(crate) fn status(&self) -> Status {
        match (self.process(), self.gate()) {
            (None, _) if self.record.pid == 0 && self.is_locked_by_another() => Status::Creating,
            (None, _) => Status::Stopped,
            (Some(_), Gate::NotReady) => Status::Creating,
            (Some(_), Gate::Ready) => Status::Created,
            (Some(_), Gate::Open) if self.is_frozen() => Status::Paused,
            (Some(_), Gate::Open) => Status::Running,
        }
    }

    fn gate(&self) -> Gate {
        match rustix::fs::statat(&self.dir, GATE, AtFlags::SYMLINK_NOFOLLOW) {
            Err(_) => Gate::Open,
            Ok(stat) if Mode::from_raw_mode(stat.st_mode) != GATE_READY => Gate::NotReady,
            // A `start` that was killed leaves the fifo, of which the program that it let through knows nothing.
            Ok(_) if self.open_writer().is_err_and(|e| e == Errno::NXIO) => Gate::Open,
            Ok(_) => Gate::Ready,
        }
    }

    /// The gate for writing; `NXIO` where no process waits at it.
    fn open_writer(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.dir, GATE, flags, Mode::empty())
    }

    fn is_frozen(&self) -> bool {
        self.cgroup().is_ok_and(|cgroup| cgroup.is_frozen().unwrap_or(false))
    }

    fn is_locked_by_another(&self) -> bool {
        !self.locked
            && rustix::fs::flock(&self.dir, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// The first process, while it lives.
    pub(crate) fn process(&self) -> Option<Process> {
        Process::find(self.record.pid, self.record.start_time)
    }

    fn refuse_used_cgroup(&self) -> Result<()> {
        let used = self.cgroup()?.refuse_used();
        used.map_err(|e| Error::because(Kind::Environment, "set up the cgroup", e))
    }

    /// The container's cgroup.
    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        let paths: Vec<_> = self
            .record
            .cgroup
            .iter()
            .map(|entry| (entry.controllers.clone(), PathBuf::from(&entry.path)))
            .collect();
        Cgroup::open(&paths).map_err(|e| Error::because(Kind::Environment, "open the container's cgroup", e))
    }

    /// The state as hooks and `state` show it.
    pub(crate) fn state(&self, status: Status) -> State {
        let alive = status != Status::Stopped && self.record.pid > 0;
        State {
            oci_version: VERSION.to_owned(),
            id: self.record.id.clone(),
            status,
            pid: alive.then_some(self.record.pid),
            bundle: self.record.bundle.clone(),
            annotations: self.record.annotations.clone(),
            extra: json::Object::new(),
        }
    }

    /// Makes the gate that `start` opens; both ends in one descriptor, so that the holder never sees its end.
    pub(crate) fn make_gate(&self) -> Result<OwnedFd> {
        let context = || "make the start fifo".to_owned();
        rustix::fs::mknodat(&self.dir, GATE, FileType::Fifo, GATE_READY, 0).context(context)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let gate = rustix::fs::openat(&self.dir, GATE, flags, Mode::empty()).context(context)?;
        rustix::fs::fchmod(&gate, GATE_NOT_READY).context(context)?;
        Ok(gate)
    }

    /// Says that `start` may open the gate: the container is created.
    pub(crate) fn gate_is_ready(gate: &OwnedFd) -> Result<()> {
        rustix::fs::fchmod(gate, GATE_READY).context(|| "ready the start fifo".to_owned())
    }

    /// Opens the gate: the process executes its program. What is returned hangs up once it has, or is dead.
    pub(crate) fn open_gate(&self) -> Result<OwnedFd> {
        let gate = match self.open_writer() {
            Err(Errno::NXIO) => return Err(Error::new(Kind::State, "container process is already dead")),
            other => other.context(|| "open the start fifo".to_owned())?,
        };
        rustix::io::write(&gate, &[1]).context(|| "write the start fifo".to_owned())?;
        self.remove_gate()?;
        Ok(gate)
    }

    fn remove_gate(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.dir, GATE, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other.context(|| "remove the start fifo".to_owned()),
        }
    }

    /// Ends every process that is left, removes the cgroup and the directory, and runs the poststop hooks;
    /// those that fail are no failure of the removal, and are returned to be warned of.
    pub(crate) fn destroy(self) -> Result<Vec<Error>> {
        let cgroup = self.cgroup()?;
        self.kill(&cgroup)?;
        // Where it fails, the container stays recorded, and `delete --force` may be tried again.
        cgroup.remove().map_err(|e| Error::because(Kind::Environment, "remove the container's cgroup", e))?;
        self.remove_directory()?;
        Ok(crate::process::hooks::run_all("poststop", &self.record.poststop, &self.state(Status::Stopped)))
    }

    fn kill(&self, cgroup: &Cgroup) -> Result<()> {
        let context = |e| Error::because(Kind::Environment, "kill the container's processes", e);
        let first = self.process();
        if let Some(process) = &first {
            process.kill()?;
        }
        if self.record.cgroup_made {
            // What is frozen does not die.
            if cgroup.is_frozen().unwrap_or(false) {
                cgroup.thaw().map_err(context)?;
            }
            if let Some(process) = &first {
                process.wait()?;
            }
            if !cgroup.processes().unwrap_or_default().is_empty() {
                cgroup.kill_all(9).map_err(context)?;
            }
        } else if let Some(process) = &first {
            process.wait()?;
        }
        Ok(())
    }

    fn remove_directory(&self) -> Result<()> {
        remove_directory(&self.root, &self.record.id, self.dir.as_fd())
    }
}

fn remove_directory(root: &Path, id: &str, dir: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    // The record goes first: without it the container does not exist.
    for name in [RECORD, RECORD_NEW, GATE] {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            other => other.context(|| format!("remove the state of {id}"))?,
        }
    }
    match rustix::fs::rmdir(root.join(id)) {
        Err(Errno::NOENT) => Ok(()),
        other => other.context(|| format!("remove {}", root.join(id).display())),
    }
}

/// Removes what an interrupted `create` left before it wrote a record; whether there was anything.
pub(crate) fn remove_remnant(root: &Path, id: &str) -> Result<bool> {
    check_id(id)?;
    match open_directory(&root.join(id)) {
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno).context(|| format!("open {}", root.join(id).display())),
        Ok(dir) => remove_directory(root, id, dir.as_fd()).map(|()| true),
    }
}

/// The ids of all containers below `root`, sorted.
pub(crate) fn ids(root: &Path) -> Result<Vec<String>> {
    let dir = match open_directory(root) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        other => other.context(|| format!("open {}", root.display()))?,
    };
    let mut ids = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir).context(|| format!("list {}", root.display()))? {
        let entry = entry.context(|| format!("list {}", root.display()))?;
        if let Ok(name) = entry.file_name().to_str()
            && check_id(name).is_ok()
        {
            ids.push(name.to_owned());
        }
    }
    ids.sort();
    Ok(ids)
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn make_root(root: &Path) -> Result<()> {
    if open_directory(root).is_ok() {
        return Ok(());
    }
    if let Some(above) = root.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_root(above)?;
    }
    match rustix::fs::mkdir(root, Mode::from_raw_mode(0o711)) {
        Err(Errno::EXIST) => Ok(()),
        other => other.context(|| format!("make {}", root.display())),
    }
}

/// Most bytes of an id; it names a directory.
const ID_MAX: usize = 255;

/// Refuses an id that could not name a directory or a cgroup.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() || id.len() > ID_MAX || id == "." || id == ".." || !id.bytes().all(allowed) {
        return Err(Error::new(Kind::Input, format!("invalid container ID format: {id:?}")));
    }
    Ok(())
}
