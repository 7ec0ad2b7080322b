//! Who the process runs as, by `/etc/passwd` and `/etc/group` of the root file system. They belong to the
//! image: they are opened within it, must be regular files of bounded size, and lines that are malformed
//! are passed over.
//!
//! # References
//! - [conversion.md, Config.User](https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md#configuser)
//! - [passwd(5)](https://man7.org/linux/man-pages/man5/passwd.5.html), [group(5)](https://man7.org/linux/man-pages/man5/group.5.html)

use std::io::Read as _;
use std::os::fd::BorrowedFd;

use plimsoll_spec::runtime::User;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use crate::{Error, Kind, Result, tree};

/// Some 100,000 users.
const SIZE_LIMIT: u64 = 8 << 20;
/// The kernel's `NGROUPS_MAX`.
const GROUPS_LIMIT: usize = 65536;

/// A user and where it is at home.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    pub(super) user: User,
    pub(super) home: String,
}

/// A line of `/etc/passwd`.
struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// The account that `wanted`, which is `USER[:GROUP]`, has in `rootfs`; root where it is empty.
pub(super) fn resolve(rootfs: BorrowedFd<'_>, wanted: &str) -> Result<Account> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) if !group.is_empty() => (user, Some(group)),
        Some((user, _)) => (user, None),
        None => (wanted, None),
    };
    let passwd = read(rootfs, "etc/passwd")?;
    let numeric = number("user", user)?;
    let entry = users(&passwd).find(|entry| match (user, numeric) {
        ("", _) => entry.uid == 0,
        (_, Some(uid)) => entry.uid == uid,
        (name, None) => entry.name == name,
    });
    let (uid, gid) = match (&entry, numeric) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) if user.is_empty() => (0, 0),
        (None, None) => return Err(unknown("user", user)),
    };
    let groups = read(rootfs, "etc/group")?;
    let (gid, additional_gids) = match (group, numeric, &entry) {
        (Some(group), _, _) => (group_id(&groups, group)?, Vec::new()),
        (None, None, Some(entry)) => (gid, memberships(&groups, entry.name)),
        _ => (gid, Vec::new()),
    };
    let home = entry.map(|entry| entry.home).filter(|home| home.starts_with('/'));
    let user = User { uid, gid, additional_gids, ..User::default() };
    Ok(Account { user, home: home.unwrap_or("/").to_owned() })
}

fn unknown(kind: &str, name: &str) -> Error {
    let file = if kind == "user" { "/etc/passwd" } else { "/etc/group" };
    Error::new(Kind::NotFound, format!("the container's {file} has no {kind} {name:?}"))
}

/// The number that `text` is, if it is of digits alone. The highest one stands for "none" in the kernel.
fn number(kind: &str, text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(Error::new(Kind::Invalid, format!("{kind} id {text} is out of range"))),
    }
}

fn group_id(groups: &str, wanted: &str) -> Result<u32> {
    match number("group", wanted)? {
        Some(gid) => Ok(gid),
        None => self::groups(groups)
            .find(|group| group.name == wanted)
            .map(|group| group.gid)
            .ok_or_else(|| unknown("group", wanted)),
    }
}

/// The groups that list `name`, each once.
fn memberships(groups: &str, name: &str) -> Vec<u32> {
    let mut gids = Vec::new();
    for group in self::groups(groups).filter(|group| group.members.split(',').any(|member| member == name)) {
        if gids.len() < GROUPS_LIMIT {
            gids.push(group.gid);
        }
    }
    gids.sort_unstable();
    gids.dedup();
    gids
}

fn users(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or("");
        (!name.is_empty()).then_some(Passwd { name, uid, gid, home })
    })
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        (!name.is_empty()).then_some(Group { name, gid, members: fields.next().unwrap_or("") })
    })
}

/// The text of `path` in `rootfs`, empty where it is absent. What is not UTF-8 in it is replaced.
fn read(rootfs: BorrowedFd<'_>, path: &str) -> Result<String> {
    let failed = |e| Error::io(format!("read /{path} of the image"), e);
    let file = match tree::open_file(rootfs, path, ResolveFlags::IN_ROOT) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        file => file.map_err(|e| failed(e.into()))?,
    };
    let Some(file) = file else {
        return Err(Error::new(Kind::Invalid, format!("/{path} of the image is no regular file")));
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > SIZE_LIMIT {
        let context = format!("/{path} of the image has {} bytes, over {SIZE_LIMIT}", metadata.len());
        return Err(Error::new(Kind::Limit, context));
    }
    let mut text = Vec::new();
    file.take(SIZE_LIMIT).read_to_end(&mut text).map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
