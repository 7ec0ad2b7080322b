//! The runtime's side of making a container: the cgroup, the clone, the dialogue with the child, the record.
//!
//! Whatever fails on the way, nothing is left: the child is killed by [`Child`]'s drop, everything else goes
//! with [`Container::destroy`].

use std::os::fd::{AsFd, OwnedFd};

use plimsoll_cgroups::{Cgroup, Hierarchy};
use plimsoll_spec::runtime::{Hooks, Linux, Status};
use plimsoll_sys::process::{CloneFlags, Forked, SingleThreaded, fork};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};

use crate::error::{Context as _, Error, Kind, Result, errno_text};
use crate::plan::{Bundle, Plan};
use crate::rootfs::cgroup::CgroupMounts;
use crate::state::{CgroupPath, Container, Record, check_id, now, start_time};

use super::fault::explain;
use super::init::{self, Init};
use super::protocol::{self, Message};
use super::{hooks, idmap};

/// When the program of a new container is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// When `start` opens the gate.
    Later,
    /// As soon as the runtime says so over the socket.
    Now,
}

/// A child of this process; killed and reaped when it is dropped before it was released.
#[derive(Debug)]
pub(crate) struct Child {
    pub pid: i32,
    pub pidfd: OwnedFd,
    ours: bool,
}

impl Child {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Child {
        Child { pid, pidfd, ours: true }
    }

    /// Waits for the end of the child.
    pub(crate) fn wait(&mut self) -> Result<WaitStatus> {
        loop {
            match waitpid(Pid::from_raw(self.pid), WaitOptions::empty()) {
                Err(Errno::INTR) => continue,
                Ok(Some((_, status))) => {
                    self.ours = false;
                    return Ok(status);
                }
                Ok(None) => {
                    return Err(Error::new(Kind::Environment, "wait for the container: nothing to wait for"));
                }
                Err(errno) => return Err(errno).context(|| format!("wait for process {}", self.pid)),
            }
        }
    }

    /// Lets the child live on after this process.
    pub(crate) fn release(mut self) {
        self.ours = false;
    }

    /// The child has forked `pid` and exits; that process goes on in its place.
    pub(crate) fn succeeded_by(&mut self, pid: i32) -> Result<()> {
        let pidfd =
            Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let pidfd = pidfd.context(|| format!("watch process {pid}"))?;
        self.wait()?;
        *self = Child::new(pid, pidfd);
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ours {
            // The error that led here is the one to report.
            let _ = plimsoll_sys::signal::send(&self.pidfd, 9);
            let _ = self.wait();
        }
    }
}

/// A container whose first process waits for its start.
#[derive(Debug)]
pub(crate) struct Created {
    pub container: Container,
    pub child: Child,
    pub socket: OwnedFd,
    /// The terminal, where the configuration asks for one.
    pub master: Option<OwnedFd>,
    pub plan: Plan,
}

/// Makes container `id` of `bundle` below the state directory `root`, up to the point where its process waits.
pub(crate) fn create(
    root: &std::path::Path,
    id: &str,
    bundle: &Bundle,
    mut plan: Plan,
    start: Start,
) -> Result<Created> {
    let token = SingleThreaded::prove().context(|| "make sure that the runtime has one thread".to_owned())?;
    let rootless = !rustix::process::geteuid().is_root();
    let hierarchy = Hierarchy::detect();
    let linux = bundle.config.linux.as_ref();
    // A cgroup without a path of its own is named by it.
    check_id(id)?;
    let planned = planned_cgroup(hierarchy.as_ref().ok(), linux, id, rootless)?;
    let mut container = Container::create(root, record(id, bundle, &plan, planned))?;
    let made = (|| {
        let cgroup = make_cgroup(hierarchy, linux, id, rootless);
        // What could not be made is gone, and what was refused is somebody else's.
        let cgroup = cgroup.inspect_err(|_| container.record.cgroup.clear())?;
        container.record.cgroup_made = cgroup.is_some();
        if let Some((hierarchy, cgroup)) = &cgroup {
            // What an ordinary user makes is their own already.
            if let Some(owner) = plan.cgroup_owner().filter(|_| !rootless) {
                cgroup
                    .give_to(owner)
                    .map_err(|e| Error::because(Kind::Environment, "set up the cgroup", e))?;
            }
            plan.cgroup_mounts = cgroup_mounts(hierarchy, cgroup, plan.new.contains(CloneFlags::NEWCGROUP))?;
        }
        let gate = if start == Start::Later { Some(container.make_gate()?) } else { None };
        let made =
            launch(token, &mut container, bundle, &plan, cgroup.map(|(_, cgroup)| cgroup), gate.as_ref())?;
        if let Some(gate) = &gate {
            Container::gate_is_ready(gate)?;
        }
        Ok(made)
    })();
    match made {
        Ok((child, socket, master)) => Ok(Created { container, child, socket, master, plan }),
        Err(error) => {
            // What cannot be removed stays recorded for `delete --force`; the first error says why all this is.
            let _ = container.destroy();
            Err(error)
        }
    }
}

fn record(id: &str, bundle: &Bundle, plan: &Plan, cgroup: Vec<(String, std::path::PathBuf)>) -> Record {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let hooks = bundle.config.hooks.clone().unwrap_or_default();
    let entry = |(controllers, path): (String, std::path::PathBuf)| CgroupPath {
        controllers,
        path: text(&path),
        ..CgroupPath::default()
    };
    Record {
        id: id.to_owned(),
        bundle: text(&bundle.path),
        rootfs: text(&plan.rootfs_path),
        created: now(),
        owner: rustix::process::getuid().as_raw(),
        annotations: bundle.config.annotations.clone(),
        cgroup: cgroup.into_iter().map(entry).collect(),
        own_pid_namespace: plan.new.contains(CloneFlags::NEWPID),
        own_keyring: plan.process.keyring.is_some(),
        poststart: hooks.poststart,
        poststop: hooks.poststop,
        ..Record::default()
    }
}

type Found = std::result::Result<Hierarchy, plimsoll_cgroups::Error>;

/// What [`make_cgroup`] would make. A host without cgroups is for that to judge.
fn planned_cgroup(
    found: Option<&Hierarchy>,
    linux: Option<&Linux>,
    id: &str,
    rootless: bool,
) -> Result<Vec<(String, std::path::PathBuf)>> {
    let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let Some(found) = found else { return Ok(Vec::new()) };
    found.planned(path, id, rootless).map_err(|e| no_cgroup(rootless, e))
}

fn no_cgroup(rootless: bool, error: plimsoll_cgroups::Error) -> Error {
    let whose = if rootless { ", which has to be delegated to an ordinary user" } else { "" };
    Error::because(Kind::Environment, format!("set up the cgroup{whose}"), error)
}

fn make_cgroup(
    found: Found,
    linux: Option<&Linux>,
    id: &str,
    rootless: bool,
) -> Result<Option<(Hierarchy, Cgroup)>> {
    let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let resources = linux.and_then(|linux| linux.resources.as_ref());
    let context = |e| no_cgroup(rootless, e);
    let hierarchy = match found {
        // A host without cgroups runs containers that ask for nothing of them.
        Err(_) if path.is_none() && resources.is_none() => return Ok(None),
        other => other.map_err(context)?,
    };
    let cgroup = Cgroup::create(&hierarchy, path, id, resources, rootless).map_err(context)?;
    Ok(Some((hierarchy, cgroup)))
}

/// What a `cgroup` mount of the container shows.
fn cgroup_mounts(hierarchy: &Hierarchy, cgroup: &Cgroup, namespaced: bool) -> Result<CgroupMounts> {
    let paths = cgroup.paths();
    let own =
        |controllers: &str| paths.iter().find(|(of, _)| of == controllers).map(|(_, path)| path.as_path());
    let mounts: Vec<_> = hierarchy.mounts().collect();
    let hierarchies = mounts
        .iter()
        .map(|(controllers, point)| {
            let name = if mounts.len() == 1 && controllers.is_empty() { None } else { point.file_name() };
            crate::plan::hierarchy_mount(
                controllers,
                name.unwrap_or_default(),
                own(controllers).unwrap_or(point),
            )
        })
        .collect::<Result<_>>()?;
    Ok(CgroupMounts { hierarchies, namespaced })
}

/// Why there is no process. The kernel's own words for a limit of namespaces speak of a device.
///
/// # References
/// - [namespaces(7)](https://man7.org/linux/man-pages/man7/namespaces.7.html), the /proc/sys/user directory
fn cannot_clone(errno: Errno, user_namespace: bool) -> Error {
    let hint = match errno {
        Errno::NOSPC | Errno::USERS => {
            ": the limit of namespaces is reached; see /proc/sys/user/max_*_namespaces"
        }
        Errno::PERM if user_namespace => {
            ": this user may make no user namespace; see the settings unprivileged_userns_clone and \
             apparmor_restrict_unprivileged_userns in /proc/sys/kernel"
        }
        _ => "",
    };
    let why = format!("{}{hint}", errno_text(errno));
    Error::because(Kind::Environment, "clone the container's process", why)
}

type Launched = (Child, OwnedFd, Option<OwnedFd>);

fn launch(
    token: SingleThreaded,
    container: &mut Container,
    bundle: &Bundle,
    plan: &Plan,
    cgroup: Option<Cgroup>,
    gate: Option<&OwnedFd>,
) -> Result<Launched> {
    let (ours, theirs) = protocol::channel().context(|| "make a socket pair".to_owned())?;
    let cgroup_fd = cgroup.as_ref().and_then(Cgroup::v2_fd);
    let maps = plan.new.contains(CloneFlags::NEWUSER);
    // Until it is known to be alone in its cgroup, it must not fork.
    let waits = maps || cgroup.is_some();
    let hooks = bundle.config.hooks.clone().unwrap_or_default();
    let state = hooks::state_halves(container);
    let forked = fork(token, plan.cloned(), cgroup_fd).map_err(|errno| cannot_clone(errno, maps))?;
    let Forked::Parent { pid, pidfd } = forked else {
        drop(ours);
        container.close_in_child();
        init::run(&mut Init {
            plan,
            socket: theirs.as_fd(),
            gate: gate.unwrap_or(&theirs).as_fd(),
            waits,
            runtime_hooks: !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty()),
            single_threaded: token,
            state: [&state.0, &state.1],
            root: None,
            slave: None,
            program: 0,
        });
    };
    let mut child = Child::new(pid, pidfd);
    drop(theirs);
    if let Some(cgroup) = cgroup {
        child = enter(cgroup, child, container)?;
    }
    if maps {
        idmap::write(pid, &plan.uid_mappings, &plan.gid_mappings)?;
    }
    if waits {
        go(&ours)?;
    }
    note(container, pid)?;
    let master = converse(container, plan, &hooks, &mut child, &ours)?;
    Ok((child, ours, master))
}

/// Puts `child` into `cgroup`, where it has to be alone: what `delete` ends is what is in there.
fn enter(cgroup: Cgroup, child: Child, container: &mut Container) -> Result<Child> {
    cgroup.add(child.pid).map_err(|e| Error::because(Kind::Environment, "join the cgroup", e))?;
    let Err(e) = cgroup.refuse_others(child.pid) else { return Ok(child) };
    drop(child);
    cgroup.leave();
    container.record.cgroup.clear();
    Err(Error::because(Kind::Environment, "set up the cgroup", e))
}

fn note(container: &mut Container, pid: i32) -> Result<()> {
    // A child that is dead already has reported why, or will be found dead when it is listened to.
    container.record.start_time = start_time(pid).unwrap_or_default();
    container.record.pid = pid;
    container.save()
}

/// Tells the child to go on; its death is noticed by who listens next.
pub(crate) fn go(socket: &OwnedFd) -> Result<()> {
    match protocol::send(socket.as_fd(), Message::Go) {
        Ok(()) | Err(Errno::PIPE) => Ok(()),
        Err(errno) => Err(errno).context(|| "talk to the container's process".to_owned()),
    }
}

/// Answers the child until it is ready.
fn converse(
    container: &mut Container,
    plan: &Plan,
    hooks: &Hooks,
    child: &mut Child,
    socket: &OwnedFd,
) -> Result<Option<OwnedFd>> {
    let mut master = None;
    loop {
        match protocol::receive(socket).context(|| "listen to the container's process".to_owned())? {
            Some((Message::Forked(pid), _)) => {
                child.succeeded_by(pid)?;
                note(container, pid)?;
                go(socket)?;
            }
            Some((Message::Mounted, _)) => {
                let state = container.state(Status::Creating);
                hooks::run("prestart", &hooks.prestart, &state)?;
                hooks::run("createRuntime", &hooks.create_runtime, &state)?;
                go(socket)?;
            }
            Some((Message::Master, fd)) => master = fd,
            Some((Message::Ready, _)) => return Ok(master),
            Some((Message::Failed { step, index, errno }, _)) => {
                return Err(explain(plan, init::STEPS_OF_INIT, step, index, errno));
            }
            Some((Message::Go, _)) => {
                return Err(Error::new(Kind::Environment, "the container's process talks nonsense"));
            }
            None => return Err(died(child)),
        }
    }
}

/// Why a child is gone that has said nothing.
pub(crate) fn died(child: &mut Child) -> Error {
    let how = match child.wait() {
        Ok(status) => match status.terminating_signal() {
            Some(signal) => format!("was killed by signal {signal}"),
            None => format!("exited with status {}", status.exit_status().unwrap_or_default()),
        },
        Err(error) => error.chain(),
    };
    Error::new(Kind::Environment, format!("unable to start container process: it {how} while it was set up"))
}

/// Executes the program of a process that waits on the socket; returns once that has happened.
pub(crate) fn start_now(created: &mut Created) -> Result<()> {
    go(&created.socket)?;
    executed(&created.plan, &created.socket, init::STEPS_OF_INIT)
}

/// Waits until the socket closes, which the execution of the program does.
pub(crate) fn executed(
    plan: &impl super::fault::Named,
    socket: &OwnedFd,
    steps: &[&'static str],
) -> Result<()> {
    match protocol::receive(socket).context(|| "listen to the container's process".to_owned())? {
        None => Ok(()),
        Some((Message::Failed { step, index, errno }, _)) => Err(explain(plan, steps, step, index, errno)),
        Some(_) => Err(Error::new(Kind::Environment, "the container's process talks nonsense")),
    }
}
