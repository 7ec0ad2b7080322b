//! The fence: the only crate with `unsafe`. Safe signatures over system calls that rustix lacks.
//!
//! Every wrapper allocates nothing, so that it may be used between clone and exec. Descriptors are
//! `OwnedFd` or `BorrowedFd`; numbers come back as `rustix::io::Errno`.

#[macro_use]
mod flags;

pub mod bpf;
pub mod capability;
pub mod fs;
pub mod inspect;
pub mod keyring;
pub mod mount;
pub mod net;
pub mod process;
pub mod seccomp;
pub mod signal;
