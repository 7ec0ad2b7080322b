//! The process as the child executes it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::path::Path;

use plimsoll_spec::runtime::{Linux, NamespaceKind, Personality, Process, Seccomp};
use plimsoll_sys::capability;
use plimsoll_sys::process::CStrArray;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::Gid;

use crate::error::{Error, Kind, Result};
use crate::rootfs::path;
use crate::security::seccomp::{self, Filter};

use super::{c_string, id, invalid};

/// The five capability sets, one bit a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub bounding: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub ambient: u64,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub rows: u16,
    pub columns: u16,
}

/// What is executed, as whom, with what.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub args: CStrArray,
    pub env: CStrArray,
    /// Files that `args[0]` may mean, in the order in which they are tried.
    pub candidates: Vec<CString>,
    pub cwd: CString,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<Gid>,
    pub umask: u32,
    pub rlimits: Vec<(Resource, Rlimit)>,
    pub capabilities: Option<Capabilities>,
    pub last_capability: u8,
    /// What is asked for and cannot be had, without being a reason to fail.
    pub warnings: Vec<Error>,
    pub no_new_privileges: bool,
    pub seccomp: Option<Filter>,
    /// The execution domain, by its number.
    pub personality: Option<u32>,
    /// What is written to have the program executed under an AppArmor profile.
    pub apparmor: Option<String>,
    pub oom_score_adj: Option<String>,
    pub terminal: bool,
    pub window: Option<Window>,
    /// Descriptors from 3 on that the program inherits.
    pub preserved: i32,
    /// The name of the container's session keyring; `None` leaves the process that of its maker.
    pub keyring: Option<CString>,
}

/// What `execvp` searches where the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl ProcessPlan {
    /// The plan of `process`, with the filter and the execution domain of `linux`; HOME is looked up in the
    /// container's rootfs.
    pub(crate) fn new(process: &Process, rootfs: &Path, linux: &Linux) -> Result<ProcessPlan> {
        let pointer = "/process";
        if !process.cwd.starts_with('/') {
            return Err(invalid(
                &format!("{pointer}/cwd"),
                format!("is not an absolute path: {:?}", process.cwd),
            ));
        }
        let strings = |values: &[String], name: &str| {
            let one =
                |(i, value): (usize, &String)| c_string(value.as_str(), &format!("{pointer}/{name}/{i}"));
            values.iter().enumerate().map(one).collect::<Result<Vec<_>>>()
        };
        let Some(program) = process.args.first() else {
            return Err(invalid(&format!("{pointer}/args"), "needs at least one entry"));
        };
        let mut env = process.env.clone();
        if !env.iter().any(|entry| entry.strip_prefix("HOME=").is_some_and(|home| !home.is_empty())) {
            env.retain(|entry| !entry.starts_with("HOME="));
            env.push(format!("HOME={}", home(rootfs, process.user.uid).unwrap_or_else(|| "/".to_owned())));
        }
        let search =
            process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let last_capability = capability::last().unwrap_or(40);
        let in_user_namespace = linux.namespaces.iter().any(|one| one.kind == NamespaceKind::User);
        let left_out = |sets| left_out(sets, last_capability, in_user_namespace);
        let size = process.console_size.as_ref().filter(|_| process.terminal);
        Ok(ProcessPlan {
            candidates: candidates(program, search, pointer)?,
            args: CStrArray::new(strings(&process.args, "args")?),
            env: CStrArray::new(strings(&env, "env")?),
            cwd: c_string(process.cwd.as_str(), pointer)?,
            uid: id(process.user.uid, "/process/user/uid")?,
            gid: id(process.user.gid, "/process/user/gid")?,
            groups: groups(&process.user.additional_gids)?,
            umask: process.user.umask.unwrap_or(0o022) & 0o777,
            rlimits: rlimits(process, pointer)?,
            capabilities: process.capabilities.as_ref().map(capabilities),
            last_capability,
            warnings: process.capabilities.iter().filter_map(left_out).collect(),
            no_new_privileges: process.no_new_privileges,
            personality: linux.personality.as_ref().map(domain).transpose()?,
            seccomp: linux.seccomp.as_ref().map(compile).transpose()?,
            apparmor: apparmor(process, pointer)?,
            oom_score_adj: oom_score_adj(process, pointer)?,
            terminal: process.terminal,
            preserved: 0,
            keyring: None,
            window: size.map(|size| Window { rows: size.height, columns: size.width }),
        })
    }
}

/// What the session keyring of the container `id` is called, as runc calls it.
pub(crate) fn keyring_name(id: &str) -> Result<CString> {
    CString::new(format!("_ses.{id}")).map_err(|e| Error::because(Kind::Input, "name the session keyring", e))
}

fn groups(gids: &[u32]) -> Result<Vec<Gid>> {
    let one =
        |(i, gid): (usize, &u32)| id(*gid, &format!("/process/user/additionalGids/{i}")).map(Gid::from_raw);
    gids.iter().enumerate().map(one).collect()
}

/// The number of an execution domain.
///
/// # References
/// - [config-linux.md, Personality](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#personality)
fn domain(personality: &Personality) -> Result<u32> {
    let pointer = "/linux/personality";
    if !personality.flags.is_empty() {
        return Err(invalid(&format!("{pointer}/flags"), "are not defined by the specification"));
    }
    match personality.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => {
            Err(invalid(&format!("{pointer}/domain"), format!("is neither LINUX nor LINUX32: {other:?}")))
        }
    }
}

fn compile(filter: &Seccomp) -> Result<Filter> {
    seccomp::compile(filter).map_err(|e| {
        let kind = if e.unsupported { Kind::Unsupported } else { Kind::Input };
        Error::new(kind, e.to_string())
    })
}

fn candidates(program: &str, search: &str, pointer: &str) -> Result<Vec<CString>> {
    let pointer = format!("{pointer}/args/0");
    if program.is_empty() {
        return Err(invalid(&pointer, "is empty"));
    }
    if program.contains('/') {
        return Ok(vec![c_string(program, &pointer)?]);
    }
    let join = |dir: &str| match dir {
        "" => c_string(format!("./{program}"), &pointer),
        dir => c_string(format!("{dir}/{program}"), &pointer),
    };
    search.split(':').map(join).collect()
}

/// Most bytes of `/etc/passwd` that are read; an image chooses what stands there.
const PASSWD_LIMIT: usize = 1 << 20;

/// The home of `uid` by the container's `/etc/passwd`, read as a regular file inside the root.
fn home(rootfs: &Path, uid: u32) -> Option<String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(rootfs, flags, Mode::empty()).ok()?;
    let place = path::open(root.as_fd(), c"etc/passwd").ok()?;
    let file = path::open_file(place.as_fd()).ok()?;
    let size = rustix::fs::fstat(&file).ok()?.st_size;
    let mut text = vec![0; usize::try_from(size).ok()?.min(PASSWD_LIMIT)];
    let length = rustix::io::read(&file, &mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let uid = uid.to_string();
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.len() >= 7 && fields[2] == uid).then(|| fields[5].to_owned())
    })
}

fn capabilities(sets: &plimsoll_spec::runtime::Capabilities) -> Capabilities {
    // An unknown name is skipped, as the specification asks, and warned of: the process has one privilege fewer.
    let bits = |names: &[String]| {
        names.iter().filter_map(|name| capability::number(name)).fold(0, |set, n| set | 1 << n)
    };
    Capabilities {
        bounding: bits(&sets.bounding),
        effective: bits(&sets.effective),
        inheritable: bits(&sets.inheritable),
        permitted: bits(&sets.permitted),
        ambient: bits(&sets.ambient),
    }
}

/// The warning of the capabilities in `asked` that the process will not have, because nobody knows them or because
/// this runtime has none to give. A user namespace of the container's own has all that the kernel knows.
///
/// # References
/// - [config.md, Linux process](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-process)
fn left_out(
    asked: &plimsoll_spec::runtime::Capabilities,
    last: u8,
    in_user_namespace: bool,
) -> Option<Error> {
    let planned = capabilities(asked);
    let (bounding, permitted) = match in_user_namespace {
        true => (u64::MAX, u64::MAX),
        false => (bounding_among(planned.bounding), capability::permitted().unwrap_or(u64::MAX)),
    };
    let sets = [
        ("bounding", &asked.bounding, bounding),
        ("effective", &asked.effective, permitted),
        ("inheritable", &asked.inheritable, permitted),
        ("permitted", &asked.permitted, permitted),
        ("ambient", &asked.ambient, permitted & planned.permitted & planned.inheritable),
    ];
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (set, names, grantable) in sets {
        for name in names {
            let number = capability::number(name).filter(|number| *number <= last);
            if number.is_none_or(|number| grantable & 1 << number == 0) {
                missing.entry(name).or_default().push(set);
            }
        }
    }
    let one = |(name, sets): (&&str, &Vec<&str>)| format!("{name} ({})", sets.join(", "));
    let names: Vec<_> = missing.iter().map(one).collect();
    let why = "left out, unknown or not to be granted here";
    let warning = || {
        Error::new(
            Kind::Environment,
            format!("config.json: /process/capabilities: {why}: {}", names.join(", ")),
        )
    };
    (!names.is_empty()).then(warning)
}

/// Those of `set` that are in this runtime's own bounding set.
fn bounding_among(set: u64) -> u64 {
    let held = |number: &u8| set & 1 << number != 0 && capability::is_in_bounding(*number).unwrap_or(false);
    (0..64).filter(held).fold(0, |held, number| held | 1 << number)
}

const RLIMITS: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

fn rlimits(process: &Process, pointer: &str) -> Result<Vec<(Resource, Rlimit)>> {
    let mut limits: Vec<(Resource, Rlimit)> = Vec::with_capacity(process.rlimits.len());
    for (i, rlimit) in process.rlimits.iter().enumerate() {
        let pointer = format!("{pointer}/rlimits/{i}");
        let Some((_, resource)) = RLIMITS.iter().find(|(name, _)| *name == rlimit.kind) else {
            return Err(invalid(&format!("{pointer}/type"), format!("is unknown: {:?}", rlimit.kind)));
        };
        if limits.iter().any(|(earlier, _)| earlier == resource) {
            return Err(invalid(&format!("{pointer}/type"), format!("repeats {:?}", rlimit.kind)));
        }
        if rlimit.soft > rlimit.hard {
            return Err(invalid(&format!("{pointer}/soft"), "is above the hard limit"));
        }
        let value = |n: u64| (n != u64::MAX).then_some(n);
        limits.push((*resource, Rlimit { current: value(rlimit.soft), maximum: value(rlimit.hard) }));
    }
    Ok(limits)
}

/// The change of profile at the next `execve`. Without AppArmor a profile cannot be had, and going without one
/// would be less than was asked for.
///
/// # References
/// - [apparmor(7)](https://manpages.debian.org/bookworm/apparmor/apparmor.7.en.html)
fn apparmor(process: &Process, pointer: &str) -> Result<Option<String>> {
    let Some(profile) = process.apparmor_profile.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let pointer = format!("{pointer}/apparmorProfile");
    if profile.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(invalid(&pointer, "holds a control character"));
    }
    let enabled = super::read_limited(Path::new("/sys/module/apparmor/parameters/enabled"), 16);
    match enabled.is_ok_and(|text| text.starts_with(b"Y")) {
        true => Ok(Some(format!("exec {profile}"))),
        false => {
            let why = format!("config.json: {pointer} {profile:?}: AppArmor is not enabled on this host");
            Err(Error::new(Kind::Environment, why))
        }
    }
}

fn oom_score_adj(process: &Process, pointer: &str) -> Result<Option<String>> {
    match process.oom_score_adj {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(invalid(&format!("{pointer}/oomScoreAdj"), format!("is outside -1000 to 1000: {score}")))
        }
        score => Ok(score.map(|score| score.to_string())),
    }
}
