//! One name in one open directory: make it, describe it, ask about it. Nothing here follows a link.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

/// A point in time: seconds since 1970, negative before, and nanoseconds that always count forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC, rounded down.
    pub seconds: i64,
    /// Nanoseconds after that second, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    fn both(self) -> Timestamps {
        let time = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds.into() };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// Makes a new regular file for writing; the umask takes its part of `mode`.
///
/// # Errors
/// Those of open(2); `AlreadyExists` if the name is taken, by a link too.
pub fn create_file(parent: impl AsFd, name: &[u8], mode: u32) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(fs::openat(parent, name, flags, Mode::from_raw_mode(mode))?))
}

/// Makes a directory; the umask takes its part of `mode`.
///
/// # Errors
/// Those of mkdir(2).
pub fn create_directory(parent: impl AsFd, name: &[u8], mode: u32) -> io::Result<()> {
    Ok(fs::mkdirat(parent, name, Mode::from_raw_mode(mode))?)
}

/// Makes a symbolic link that says `target`.
///
/// # Errors
/// Those of symlink(2).
pub fn symlink(parent: impl AsFd, name: &[u8], target: &[u8]) -> io::Result<()> {
    Ok(fs::symlinkat(target, parent, name)?)
}

/// Gives the file `old` a second name. A symbolic link is linked itself.
///
/// # Errors
/// Those of link(2).
pub fn hard_link(old_parent: impl AsFd, old: &[u8], parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    Ok(fs::linkat(old_parent, old, parent, name, AtFlags::empty())?)
}

/// Makes a device node or a FIFO.
///
/// # Errors
/// Those of mknod(2).
pub fn make_node(
    parent: impl AsFd,
    name: &[u8],
    kind: FileType,
    mode: u32,
    device: (u32, u32),
) -> io::Result<()> {
    let device = fs::makedev(device.0, device.1);
    Ok(fs::mknodat(parent, name, kind, Mode::from_raw_mode(mode), device)?)
}

/// What stands under a name.
///
/// # Errors
/// Those of fstatat(2).
pub fn status(parent: impl AsFd, name: &[u8]) -> io::Result<Stat> {
    Ok(fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets owner and group of an open file.
///
/// # Errors
/// Those of fchown(2); `InvalidInput` for 2^32 - 1, which the kernel takes for "leave it".
pub fn set_owner(file: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = ids(uid, gid)?;
    Ok(fs::fchown(file, Some(uid), Some(gid))?)
}

/// Sets owner and group of a name.
///
/// # Errors
/// As [`set_owner`].
pub fn set_name_owner(parent: impl AsFd, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = ids(uid, gid)?;
    Ok(fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn ids(uid: u32, gid: u32) -> io::Result<(Uid, Gid)> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "user or group id 4294967295 names nobody"));
    }
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Sets the mode bits of an open file, whatever the umask.
///
/// # Errors
/// Those of fchmod(2).
pub fn set_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Sets the mode bits of a name that the caller has just made and knows to be no symbolic link.
///
/// # Errors
/// Those of fchmodat(2).
pub fn set_name_mode(parent: impl AsFd, name: &[u8], mode: u32) -> io::Result<()> {
    Ok(fs::chmodat(parent, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// Sets access and modification time of an open file.
///
/// # Errors
/// Those of futimens(3).
pub fn set_times(file: impl AsFd, time: Timestamp) -> io::Result<()> {
    Ok(fs::futimens(file, &time.both())?)
}

/// Sets access and modification time of a name.
///
/// # Errors
/// Those of utimensat(2).
pub fn set_name_times(parent: impl AsFd, name: &[u8], time: Timestamp) -> io::Result<()> {
    Ok(fs::utimensat(parent, name, &time.both(), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets an extended attribute of an open file.
///
/// # Errors
/// Those of fsetxattr(2).
pub fn set_xattr(file: impl AsFd, attribute: &CStr, value: &[u8]) -> io::Result<()> {
    Ok(fs::fsetxattr(file, attribute, value, XattrFlags::empty())?)
}

/// Sets an extended attribute of a name that cannot be opened: a symbolic link, a device, a FIFO.
///
/// The directory is reached through `/proc/self/fd`, the last name is not followed.
///
/// # Errors
/// Those of lsetxattr(2).
pub fn set_name_xattr(parent: impl AsFd, name: &[u8], attribute: &CStr, value: &[u8]) -> io::Result<()> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    Ok(fs::lsetxattr(path, attribute, value, XattrFlags::empty())?)
}

/// An extended attribute of an open file, `None` if it has none of that name or knows no attributes.
///
/// # Errors
/// Those of fgetxattr(2); a value above 64 KiB, which the kernel never stores.
pub fn xattr(file: impl AsFd, attribute: &CStr) -> io::Result<Option<Vec<u8>>> {
    value(|value| fs::fgetxattr(&file, attribute, value))
}

/// The value that `get` writes, `None` where there is none.
pub(super) fn value(get: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0u8; 4096];
    match get(&mut value) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(Errno::RANGE) => {
            let mut value = vec![0u8; 65536];
            let length = get(&mut value)?;
            value.truncate(length);
            Ok(Some(value))
        }
        Err(error) => Err(error.into()),
    }
}
