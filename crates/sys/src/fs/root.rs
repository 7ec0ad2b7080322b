//! A directory that its paths cannot leave.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::attributes::clear_xattrs;

/// The directory that stands for `/` in every path given to it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// A directory below a [`Root`], and what was true of it when it was opened.
#[derive(Debug)]
pub struct Directory {
    /// The open directory.
    pub fd: OwnedFd,
    /// What `fstat` said.
    pub status: fs::Stat,
}

impl Root {
    /// Opens `path`, the one place where the host's own name for the tree is used.
    ///
    /// # Errors
    /// Those of open(2); not being a directory is one of them.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: fs::open(path, flags, Mode::empty())? })
    }

    /// Opens whatever `path` leads to inside the root; symbolic links, absolute ones too, stay inside.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn resolve(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { b"." } else { path };
        loop {
            // EAGAIN says that a rename raced with `..`; the man page says to try again.
            match fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Opens a regular file for reading, and refuses everything else without waiting on a FIFO.
    ///
    /// # Errors
    /// Those of openat2(2), and `InvalidInput` if it is no regular file.
    pub fn open_file(&self, path: &[u8]) -> io::Result<File> {
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        let kind = fs::FileType::from_raw_mode(fs::fstat(&fd)?.st_mode);
        if kind != fs::FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// Opens a directory, following links inside the root.
    ///
    /// # Errors
    /// Those of openat2(2) and fstat(2).
    pub fn directory(&self, path: &[u8]) -> io::Result<Directory> {
        Directory::of(self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)
    }

    /// Opens a directory whose last name must not be a symbolic link.
    ///
    /// # Errors
    /// Those of openat2(2) and fstat(2).
    pub fn directory_itself(&self, path: &[u8]) -> io::Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        Directory::of(self.resolve(path, flags, Mode::empty())?)
    }

    /// Makes the directory and those above it that are missing, each with `mode`: neither the umask nor an
    /// access list of a directory above has a say.
    ///
    /// # Errors
    /// Those of mkdir(2), openat2(2) and fchmod(2); something else in the way is `NotADirectory`.
    pub fn create_directories(&self, path: &[u8], mode: Mode) -> io::Result<Directory> {
        match self.directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            answer => return answer,
        }
        let mut parent = self.directory(b"")?;
        for (end, name) in prefixes(path) {
            let made = match fs::mkdirat(&parent.fd, name, mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            parent = self.directory(&path[..end])?;
            if made {
                clear_xattrs(&parent)?;
                fs::fchmod(&parent, mode)?;
            }
        }
        Ok(parent)
    }
}

impl Directory {
    fn of(fd: OwnedFd) -> io::Result<Self> {
        let status = fs::fstat(&fd)?;
        Ok(Self { fd, status })
    }
}

impl From<OwnedFd> for Root {
    /// A root of a directory that is already open.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Each name of a path with the offset at which it ends.
fn prefixes(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    path.split(|byte| *byte == b'/').filter_map(move |name| {
        let end = start + name.len();
        start = end + 1;
        (!name.is_empty()).then_some((end, name))
    })
}
