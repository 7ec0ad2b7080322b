//! Device programs of cgroup v2: `bpf(2)` for `BPF_PROG_TYPE_CGROUP_DEVICE` and nothing else.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

const PROG_LOAD: i64 = 5;
const PROG_ATTACH: i64 = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// One instruction in the kernel's layout (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination in the low four bits, source in the high four (little endian machines).
    pub registers: u8,
    /// Offset of a jump or of a memory access.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// The head of `union bpf_attr` as `BPF_PROG_LOAD` reads it; the kernel takes the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    version: u32,
    flags: u32,
}

/// Loads a device program.
///
/// # References
/// - [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html)
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd> {
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log: [0; 2],
        version: 0,
        flags: 0,
    };
    // SAFETY: bpf reads `size_of::<Load>()` bytes of attributes; the two pointers in them live until it returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(last)?;
    // SAFETY: BPF_PROG_LOAD has returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup, beside those that are there: all of them must allow an access.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> Result<()> {
    let attach: [u32; 4] = [
        cgroup.as_raw_fd().cast_unsigned(),
        program.as_raw_fd().cast_unsigned(),
        ATTACH_CGROUP_DEVICE,
        ALLOW_MULTI,
    ];
    // SAFETY: bpf reads the sixteen bytes of the array, which hold no pointers.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach)) };
    if done == 0 { Ok(()) } else { Err(last()) }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
