//! The child's way from clone to exec: one table, read top to bottom, whose order is the security design.
//!
//! Nothing here allocates, formats or locks. A step that fails is reported by its number.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_sys::keyring;
use plimsoll_sys::process::{self, CloneFlags, SingleThreaded};
use rustix::io::Errno;
use rustix::thread::{Gid, Uid};

use crate::plan::Plan;
use crate::rootfs::{device, hidden, mount, pivot};

use super::child::{self, Fault, Outcome};
use super::hooks;
use super::protocol::{self, Message};

/// What the child carries from step to step.
pub(crate) struct Init<'a> {
    pub plan: &'a Plan,
    /// The parent.
    pub socket: BorrowedFd<'a>,
    /// What opens when the program is to be executed: the parent's socket or the fifo of `start`.
    pub gate: BorrowedFd<'a>,
    /// Whether the parent must act before the first step.
    pub waits: bool,
    /// Whether hooks run in the runtime's namespaces before the root changes.
    pub runtime_hooks: bool,
    pub single_threaded: SingleThreaded,
    /// State as hooks read it, up to the pid and behind it.
    pub state: [&'a [u8]; 2],
    /// The root of the container while the host's root is still there.
    pub root: Option<OwnedFd>,
    pub slave: Option<OwnedFd>,
    pub program: usize,
}

/// One step: its name in messages, and what it does. Why it stands where it does is the middle column of the table.
pub(crate) struct Step {
    pub name: &'static str,
    pub run: fn(&mut Init<'_>) -> Outcome,
}

macro_rules! steps {
    ($($name:literal, $why:literal, $run:expr;)*) => {
        const INIT: &[Step] = &[$(Step { name: $name, run: $run },)*];
        /// The names of the steps of a container's first process.
        pub(crate) const STEPS_OF_INIT: &[&str] = &[$($name,)*];
    };
}

steps! {
    "wait for the runtime", "ids and cgroups exist before anything depends on them", wait;
    "join namespaces", "the user namespace first: it grants what the others ask for", join;
    "unshare namespaces", "what a joined user namespace must own, and the cgroup view", unshare;
    "fork into namespaces", "a pid or time namespace takes only children in", fork_again;
    "become root of the user namespace", "mounts need the capabilities that come with it", become_root;
    "make the session keyring", "owned by the root of the user namespace, who adds processes to it", session_keyring;
    "start a session", "before a terminal is adopted", |_| Ok(rustix::process::setsid().map(drop)?);
    "set the host name", "needs the uts namespace only", names;
    "bring the loopback device up", "needs the network namespace only", loopback;
    "make the root file system a mount", "private to the host from here on", |init| pivot::prepare(init);
    "mount", "in the order of the configuration", |init| mount::all(init);
    "create device", "on the /dev that is mounted now", |init| device::all(init);
    "run hooks before the root changes", "mounts are visible, the host still is", before_pivot;
    "allocate the terminal", "from the container's own devpts", terminal;
    "write kernel parameter", "through the host's /proc, which no image could prepare", sysctl;
    "set oom score", "through the host's /proc, and before privileges go", |init| child::oom_score_adj(&init.plan.process);
    "ask for the AppArmor profile", "through the host's /proc too; it is entered by execve", |init| child::apparmor(&init.plan.process);
    "make path read-only", "after every mount that could lie above it", |init| hidden::readonly(init);
    "mask path", "last of the mounts, so that nothing uncovers it", |init| hidden::masked(init);
    "change the root", "the host's tree is gone after this", |init| pivot::change(init);
    "set resource limit", "while privileges still allow to raise them", |init| child::rlimits(&init.plan.process);
    "set the execution domain", "before a filter that may refuse it", |init| child::personality(&init.plan.process);
    "adopt the terminal", "streams are the container's own from here on", adopt_terminal;
    "give the streams to the user", "before privileges go", |init| { child::own_streams(&init.plan.process, init.plan.in_user_namespace()); Ok(()) };
    "drop from the bounding set", "needs CAP_SETPCAP", |init| child::bounding_set(&init.plan.process);
    "change the working directory", "as root first, for a directory that only root may enter", enter_as_root;
    "load the privileged filter", "without no_new_privs it takes CAP_SYS_ADMIN, which goes next", |init| child::filter_with_privilege(&init.plan.process);
    "become the user", "no privilege is needed after this", |init| child::user(&init.plan.process);
    "set capabilities", "after the user, which would clear them", |init| child::capability_sets(&init.plan.process);
    "enter the working directory", "again as the user, who may be the only one allowed", |init| child::working_directory(&init.plan.process);
    "find the program", "as the user; create fails where start could not succeed", |init| { init.program = child::find_program(&init.plan.process)?; Ok(()) };
    "set no_new_privs", "nothing gains privileges after this", |init| child::no_new_privileges(&init.plan.process);
    "wait for the start", "everything that can fail has been tried", ready;
    "run startContainer hook", "with the credentials of the process itself", start_hooks;
    "restore SIGPIPE", "after the hooks: one that does not read must not end this process", |_| { process::default_sigpipe(); Ok(()) };
    "mark descriptors", "before a filter that may refuse it", |init| Ok(process::cloexec_from(3 + init.plan.process.preserved)?);
    "load the filter", "last, because it may refuse what the steps before do", |init| child::filter(&init.plan.process);
    "execute", "descriptors close, the program takes over", execute;
}

/// Runs the table and, if it comes back, reports the failed step.
pub(crate) fn run(init: &mut Init<'_>) -> ! {
    for (number, step) in INIT.iter().enumerate() {
        if let Err(Fault { index, errno }) = (step.run)(init) {
            let message = Message::Failed { step: number as u8, index, errno: errno.raw_os_error() };
            if protocol::send(init.socket, message).is_err() {
                // Nobody listens after `create` has returned; the container's own stderr is what is left.
                let _ = rustix::io::write(rustix::stdio::stderr(), step.name.as_bytes());
                let _ = rustix::io::write(rustix::stdio::stderr(), b": failed\n");
            }
            break;
        }
    }
    process::exit(1)
}

fn wait(init: &mut Init<'_>) -> Outcome {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if init.waits {
        Ok(protocol::wait_go(init.socket)?)
    } else {
        // A runtime that had died before that was asked for sends no signal.
        Ok(protocol::is_heard(init.socket)?)
    }
}

fn join(init: &mut Init<'_>) -> Outcome {
    for (i, join) in init.plan.joins.iter().enumerate() {
        process::setns(join.fd.as_fd(), join.kind).map_err(|errno| Fault { index: i as u16, errno })?;
    }
    Ok(())
}

fn unshare(init: &mut Init<'_>) -> Outcome {
    let late = init.plan.unshared_late();
    if !late.is_empty() {
        process::unshare(late)?;
    }
    if let Some(offsets) = &init.plan.time_offsets {
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(c"/proc/self/timens_offsets", flags, rustix::fs::Mode::empty())?;
        rustix::io::write(&file, offsets.as_bytes())?;
    }
    Ok(())
}

fn fork_again(init: &mut Init<'_>) -> Outcome {
    if !init.plan.forks_twice() {
        return Ok(());
    }
    match process::fork_from_child(init.single_threaded, CloneFlags::PARENT)? {
        None => {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // What this process says must not come before the word of which process it is.
            Ok(protocol::wait_go(init.socket)?)
        }
        Some(pid) => {
            protocol::send(init.socket, Message::Forked(pid))?;
            process::exit(0)
        }
    }
}

fn become_root(init: &mut Init<'_>) -> Outcome {
    if !init.plan.in_user_namespace() {
        return Ok(());
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    // A change of user clears the signal that was asked for.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

fn session_keyring(init: &mut Init<'_>) -> Outcome {
    /// The possessor may do all, the owner view, read, search and link; without the right to search it, which the
    /// kernel does not give at first, nobody finds it by its name.
    const FOUND_BY_OWNER: u32 = 0x3f1b_0000;
    match child::session_keyring(&init.plan.process)? {
        Some(serial) => Ok(keyring::set_permissions(serial, FOUND_BY_OWNER)?),
        None => Ok(()),
    }
}

fn names(init: &mut Init<'_>) -> Outcome {
    if let Some(name) = &init.plan.hostname {
        rustix::system::sethostname(name.as_bytes())?;
    }
    if let Some(name) = &init.plan.domainname {
        rustix::system::setdomainname(name.as_bytes())?;
    }
    Ok(())
}

fn loopback(init: &mut Init<'_>) -> Outcome {
    if init.plan.new.contains(CloneFlags::NEWNET) {
        plimsoll_sys::net::loopback_up()?;
    }
    Ok(())
}

fn before_pivot(init: &mut Init<'_>) -> Outcome {
    if init.runtime_hooks {
        protocol::send(init.socket, Message::Mounted)?;
        protocol::wait_go(init.socket)?;
    }
    hooks::run_in_child(init.single_threaded, &init.plan.create_container, init.state)
}

fn terminal(init: &mut Init<'_>) -> Outcome {
    if !init.plan.process.terminal {
        return Ok(());
    }
    let root = init.root.as_ref().ok_or(Errno::BADF)?;
    let (master, slave) = child::open_terminal(root.as_fd())?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(init.plan.process.uid)), None)?;
    device::console(root.as_fd(), slave.as_fd())?;
    protocol::send_master(init.socket, master.as_fd())?;
    init.slave = Some(slave);
    Ok(())
}

fn adopt_terminal(init: &mut Init<'_>) -> Outcome {
    match init.slave.take() {
        Some(slave) => child::adopt_terminal(slave.as_fd(), init.plan.process.window),
        None => Ok(()),
    }
}

fn sysctl(init: &mut Init<'_>) -> Outcome {
    use child::Entry as _;
    use rustix::fs::{Mode, OFlags};
    if init.plan.sysctl.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/proc/sys", flags, Mode::empty())?;
    for (i, (path, value)) in init.plan.sysctl.iter().enumerate() {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&directory, path.as_c_str(), flags, Mode::empty()).entry(i)?;
        rustix::io::write(&file, value).entry(i)?;
    }
    Ok(())
}

fn enter_as_root(init: &mut Init<'_>) -> Outcome {
    match rustix::process::chdir(init.plan.process.cwd.as_c_str()) {
        // A directory that only the user may enter is tried again as the user.
        Err(Errno::ACCESS) => Ok(()),
        Err(Errno::NOENT) => {
            let root = rustix::fs::open(
                "/",
                rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )?;
            let relative = crate::rootfs::path::relative(init.plan.process.cwd.as_c_str());
            crate::rootfs::path::create_directory(root.as_fd(), relative)?;
            Ok(rustix::process::chdir(init.plan.process.cwd.as_c_str())?)
        }
        other => Ok(other?),
    }
}

fn ready(init: &mut Init<'_>) -> Outcome {
    // In the background the runtime may leave now. In the foreground it stays, and the change of user has
    // cleared what was asked for.
    let death = init.plan.dies_with_runtime.then_some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(death)?;
    process::unblock_signals()?;
    protocol::send(init.socket, Message::Ready)?;
    let mut byte = [0u8; 8];
    loop {
        match rustix::io::read(init.gate, &mut byte) {
            // Whoever could have opened the gate is gone.
            Ok(0) => process::exit(1),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn start_hooks(init: &mut Init<'_>) -> Outcome {
    hooks::run_in_child(init.single_threaded, &init.plan.start_container, init.state)
}

fn execute(init: &mut Init<'_>) -> Outcome {
    let plan = &init.plan.process;
    let program = plan.candidates.get(init.program).ok_or(Errno::NOENT)?;
    Err(process::execve(program, &plan.args, &plan.env).into())
}
