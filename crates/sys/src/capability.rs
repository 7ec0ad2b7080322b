//! Capability sets of the calling thread, by number, so that a newer kernel's capabilities work too.

use rustix::io::{Errno, Result};

use crate::process::check;

/// The names of capabilities, in the order of their numbers.
///
/// # References
/// - [capabilities(7)](https://man7.org/linux/man-pages/man7/capabilities.7.html)
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The number of the capability `name`, or `None` for a name that is not known.
pub fn number(name: &str) -> Option<u8> {
    NAMES.iter().position(|known| *known == name).and_then(|n| u8::try_from(n).ok())
}

/// The highest capability that the running kernel knows.
pub fn last() -> Result<u8> {
    let mut text = [0u8; 8];
    let file = rustix::fs::open(
        "/proc/sys/kernel/cap_last_cap",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let n = rustix::io::read(&file, &mut text)?;
    std::str::from_utf8(&text[..n]).ok().and_then(|t| t.trim().parse().ok()).ok_or(Errno::INVAL)
}

/// Drops `capability` from the bounding set.
pub fn drop_bounding(capability: u8) -> Result<()> {
    // SAFETY: PR_CAPBSET_DROP takes an integer.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) })
}

/// Whether `capability` is in the bounding set.
///
/// # Errors
/// `EINVAL` for a capability that the kernel does not know.
///
/// # References
/// - [PR_CAPBSET_READ(2const)](https://man7.org/linux/man-pages/man2/PR_CAPBSET_READ.2const.html)
pub fn is_in_bounding(capability: u8) -> Result<bool> {
    // SAFETY: PR_CAPBSET_READ takes an integer.
    let held = unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) };
    check(held)?;
    Ok(held == 1)
}

/// Adds `capability` to the ambient set; it must be permitted and inheritable.
pub fn raise_ambient(capability: u8) -> Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    // SAFETY: PR_CAP_AMBIENT takes integers.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(capability), 0, 0) })
}

/// Sets the three sets of the calling thread, one bit a capability.
///
/// # References
/// - [capset(2)](https://man7.org/linux/man-pages/man2/capset.2.html)
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = Header { version: VERSION_3, pid: 0 };
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let data = [
        [low(effective), low(permitted), low(inheritable)],
        [high(effective), high(permitted), high(inheritable)],
    ];
    // SAFETY: version 3 reads a header and two data blocks of three u32, which is what is passed.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    check(done as i32)
}

/// The permitted set of the caller.
pub fn permitted() -> Result<u64> {
    let sets = rustix::thread::capabilities(None)?;
    Ok(sets.permitted.bits())
}

/// Keeps permitted capabilities over a change from root to another user.
pub fn keep_over_setuid() -> Result<()> {
    // SAFETY: PR_SET_KEEPCAPS takes an integer.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })
}
