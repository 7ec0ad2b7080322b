//! Locks that end with their holder.

use std::os::fd::OwnedFd;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A lock on what a descriptor is open to, see [flock(2)](https://man7.org/linux/man-pages/man2/flock.2.html).
/// It ends when this is dropped, even while a child that another thread has just forked has a copy of the
/// descriptor.
#[derive(Debug)]
pub(crate) struct Lock(OwnedFd);

impl Lock {
    /// Waits for it.
    pub(crate) fn shared(file: OwnedFd) -> Result<Lock, Errno> {
        Lock::take(file, FlockOperation::LockShared)
    }

    /// Waits for it.
    pub(crate) fn exclusive(file: OwnedFd) -> Result<Lock, Errno> {
        Lock::take(file, FlockOperation::LockExclusive)
    }

    /// None where somebody else has it.
    pub(crate) fn try_exclusive(file: OwnedFd) -> Result<Option<Lock>, Errno> {
        match Lock::take(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            taken => taken.map(Some),
        }
    }

    fn take(file: OwnedFd, operation: FlockOperation) -> Result<Lock, Errno> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))?;
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the last copy would do, and nothing tells which is the last.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}
