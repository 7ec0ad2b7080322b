//! Adding a process to a running container: a table of its own, because little of it is like making one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_cgroups::Cgroup;
use plimsoll_sys::process::{self, CloneFlags, Forked, SingleThreaded, fork};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::thread::{Gid, Uid};

use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{NAMESPACE_FILES, ProcessPlan};

use super::child::{self, Fault, Outcome};
use super::fault::explain;
use super::parent::{Child, died, go};
use super::protocol::{self, Message};

/// What the child carries from step to step.
struct Exec<'a> {
    plan: &'a ProcessPlan,
    socket: BorrowedFd<'a>,
    /// The container's first process, whose namespaces are joined.
    target: BorrowedFd<'a>,
    namespaces: CloneFlags,
    waits: bool,
    single_threaded: SingleThreaded,
    slave: Option<OwnedFd>,
    program: usize,
}

/// One step. Its name, for messages, and why it stands where it does are the first columns of the table.
type Step = fn(&mut Exec<'_>) -> Outcome;

macro_rules! steps {
    ($($name:literal, $why:literal, $run:expr;)*) => {
        const EXEC: &[Step] = &[$($run,)*];
        /// The names of the steps of an added process.
        pub(crate) const STEPS_OF_EXEC: &[&str] = &[$($name,)*];
    };
}

steps! {
    "wait for the runtime", "the cgroup is joined before anything is done at its cost", wait;
    "hide from the container", "its processes see this one as soon as namespaces are joined", |_| Ok(process::set_not_dumpable()?);
    "set oom score", "through the host's /proc, which no image could prepare", |exec| child::oom_score_adj(exec.plan);
    "ask for the AppArmor profile", "through the host's /proc too; it is entered by execve", |exec| child::apparmor(exec.plan);
    "join namespaces", "all at once, so that nothing runs between two of them", |exec| Ok(process::setns(exec.target, exec.namespaces)?);
    "fork into namespaces", "a pid namespace takes only children in", fork_again;
    "become root of the user namespace", "what follows needs the capabilities that come with it", become_root;
    "join the session keyring", "as the root who owns it", |exec| child::session_keyring(exec.plan).map(drop);
    "start a session", "before a terminal is adopted", |_| Ok(rustix::process::setsid().map(drop)?);
    "allocate the terminal", "from the container's own devpts", terminal;
    "set resource limit", "while privileges still allow to raise them", |exec| child::rlimits(exec.plan);
    "set the execution domain", "before a filter that may refuse it", |exec| child::personality(exec.plan);
    "adopt the terminal", "streams are the process's own from here on", adopt_terminal;
    "give the streams to the user", "before privileges go", |exec| { child::own_streams(exec.plan, exec.namespaces.contains(CloneFlags::NEWUSER)); Ok(()) };
    "drop from the bounding set", "needs CAP_SETPCAP", |exec| child::bounding_set(exec.plan);
    "load the privileged filter", "without no_new_privs it takes CAP_SYS_ADMIN, which goes next", |exec| child::filter_with_privilege(exec.plan);
    "become the user", "no privilege is needed after this", |exec| child::user(exec.plan);
    "set capabilities", "after the user, which would clear them", |exec| child::capability_sets(exec.plan);
    "enter the working directory", "as the user", |exec| child::working_directory(exec.plan);
    "find the program", "as the user", |exec| { exec.program = child::find_program(exec.plan)?; Ok(()) };
    "set no_new_privs", "nothing gains privileges after this", |exec| child::no_new_privileges(exec.plan);
    "let go of the runtime", "before a filter that may refuse it", let_go;
    "load the filter", "last, because it may refuse what the steps before do", |exec| child::filter(exec.plan);
    "execute", "descriptors close, the program takes over", execute;
}

fn run(exec: &mut Exec<'_>) -> ! {
    for (number, step) in EXEC.iter().enumerate() {
        if let Err(Fault { index, errno }) = step(exec) {
            // A parent that is gone does not want to know.
            let _ = protocol::send(
                exec.socket,
                Message::Failed { step: number as u8, index, errno: errno.raw_os_error() },
            );
            break;
        }
    }
    process::exit(255)
}

fn wait(exec: &mut Exec<'_>) -> Outcome {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if exec.waits {
        protocol::wait_go(exec.socket)?;
    }
    Ok(())
}

fn fork_again(exec: &mut Exec<'_>) -> Outcome {
    if !exec.namespaces.contains(CloneFlags::NEWPID) {
        return Ok(());
    }
    match process::fork_from_child(exec.single_threaded, CloneFlags::PARENT)? {
        None => Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?),
        Some(pid) => {
            protocol::send(exec.socket, Message::Forked(pid))?;
            process::exit(0)
        }
    }
}

fn become_root(exec: &mut Exec<'_>) -> Outcome {
    if exec.namespaces.contains(CloneFlags::NEWUSER) {
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    }
    Ok(())
}

fn terminal(exec: &mut Exec<'_>) -> Outcome {
    if !exec.plan.terminal {
        return Ok(());
    }
    let root =
        rustix::fs::openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let (master, slave) = child::open_terminal(root.as_fd())?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(exec.plan.uid)), None)?;
    protocol::send_master(exec.socket, master.as_fd())?;
    exec.slave = Some(slave);
    Ok(())
}

fn adopt_terminal(exec: &mut Exec<'_>) -> Outcome {
    match exec.slave.take() {
        Some(slave) => child::adopt_terminal(slave.as_fd(), exec.plan.window),
        None => Ok(()),
    }
}

fn let_go(exec: &mut Exec<'_>) -> Outcome {
    // The runtime may leave now, and its death no longer means ours.
    rustix::process::set_parent_process_death_signal(None)?;
    process::unblock_signals()?;
    process::default_sigpipe();
    Ok(process::cloexec_from(3 + exec.plan.preserved)?)
}

fn execute(exec: &mut Exec<'_>) -> Outcome {
    let program = exec.plan.candidates.get(exec.program).ok_or(Errno::NOENT)?;
    Err(process::execve(program, &exec.plan.args, &exec.plan.env).into())
}

/// Runs the process of `plan` in `cgroup` beside `target`, a container's first process; the child and the terminal's
/// master.
pub(crate) fn exec(
    cgroup: &Cgroup,
    target: &crate::state::Process,
    plan: &ProcessPlan,
) -> Result<(Child, Option<OwnedFd>)> {
    let token = SingleThreaded::prove().context(|| "make sure that the runtime has one thread".to_owned())?;
    let moves = cgroup.v2_fd().is_none() && !cgroup.paths().is_empty();
    let (ours, theirs) = protocol::channel().context(|| "make a socket pair".to_owned())?;
    let namespaces = namespaces(target.pid)?;
    let context = || "clone the process".to_owned();
    let Forked::Parent { pid, pidfd } = fork(token, CloneFlags::empty(), cgroup.v2_fd()).context(context)?
    else {
        drop(ours);
        run(&mut Exec {
            plan,
            socket: theirs.as_fd(),
            target: target.pidfd.as_fd(),
            namespaces,
            waits: moves,
            single_threaded: token,
            slave: None,
            program: 0,
        });
    };
    let mut child = Child::new(pid, pidfd);
    drop(theirs);
    if moves {
        cgroup.add(pid).map_err(|e| Error::because(Kind::Environment, "join the cgroup", e))?;
        go(&ours)?;
    }
    let master = converse(plan, &mut child, &ours)?;
    Ok((child, master))
}

fn converse(plan: &ProcessPlan, child: &mut Child, socket: &OwnedFd) -> Result<Option<OwnedFd>> {
    let mut master = None;
    loop {
        match protocol::receive(socket).context(|| "listen to the process".to_owned())? {
            Some((Message::Forked(pid), _)) => child.succeeded_by(pid)?,
            Some((Message::Master, fd)) => master = fd,
            Some((Message::Failed { step, index, errno }, _)) => {
                return Err(explain(plan, STEPS_OF_EXEC, step, index, errno));
            }
            Some(_) => return Err(Error::new(Kind::Environment, "the new process talks nonsense")),
            // The socket closes when the program is executed, and when the child dies.
            None if has_exited(child) => return Err(died(child)),
            None => return Ok(master),
        }
    }
}

/// Whether the child ended before it could execute: its own failures are reported, so only a signal can be why.
fn has_exited(child: &Child) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::PidFd(child.pidfd.as_fd()), options) {
        Ok(Some(status)) => status.terminating_signal() == Some(9) && !status.exited(),
        _ => false,
    }
}

/// The namespaces in which process `pid` differs from this one.
fn namespaces(pid: i32) -> Result<CloneFlags> {
    let mut differing = CloneFlags::empty();
    for (name, flag) in NAMESPACE_FILES {
        let inode = |process: &str| match rustix::fs::stat(format!("/proc/{process}/ns/{name}")) {
            // A kernel without this kind has nothing to join.
            Err(Errno::NOENT) => Ok(0),
            other => other
                .map(|stat| stat.st_ino)
                .context(|| format!("look at the {name} namespace of process {process}")),
        };
        if inode("self")? != inode(&pid.to_string())? {
            differing |= flag;
        }
    }
    Ok(differing)
}
