//! Who runs the judge: root, or an ordinary user with what the host lends.

use std::path::Path;

use rustix::fs::{Access, access};
use serde_json::{Value, json};

use crate::case::Obstacle;
use crate::verdict::Reason;

use super::settings::CgroupDriver;

/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Who runs the judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Root, who may do all that the machine allows.
    Root,
    /// Somebody else.
    User(User),
}

/// An ordinary user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
    /// What is lent to the user.
    lent: Lent,
    /// The cgroup in which the user may make others, as `/proc/PID/cgroup` has it.
    cgroup: Option<String>,
}

/// First id and count of ranges, in their order; see subuid(5).
type Ranges = Vec<(u32, u32)>;

/// Ranges of user and of group ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lent {
    uids: Ranges,
    gids: Ranges,
}

impl Lent {
    /// How many there are of both.
    fn count(&self) -> u32 {
        let sum = |ranges: &Ranges| ranges.iter().fold(0, |sum: u32, range| sum.saturating_add(range.1));
        sum(&self.uids).min(sum(&self.gids))
    }
}

impl Caller {
    /// Whoever this process belongs to.
    pub(crate) fn of_this_process() -> Caller {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() {
            return Caller::Root;
        }
        let (uid, gid) = (uid.as_raw(), gid.as_raw());
        Caller::User(User { uid, gid, lent: lent(uid), cgroup: delegated() })
    }

    /// The skip of a case in which the caller or the subject has to `act` as only root may.
    pub(crate) fn must_be_root(&self, act: &str) -> Result<(), Obstacle> {
        match self {
            Caller::Root => Ok(()),
            Caller::User(_) => Err(Obstacle::Skip(Reason::Privilege, format!("only root may {act}"))),
        }
    }

    /// The skip of a case in which a container has the ids up to `highest`.
    pub(crate) fn must_have_ids(&self, highest: u32) -> Result<(), Obstacle> {
        match self {
            Caller::User(User { lent, .. }) if lent.count() < highest => {
                let why = format!("the caller is lent no {highest} ids by /etc/subuid and /etc/subgid");
                Err(Obstacle::Skip(Reason::Privilege, why))
            }
            _ => Ok(()),
        }
    }

    /// What the names of new cgroups begin with.
    ///
    /// # Errors
    /// [`Obstacle::Skip`] where the caller may make none.
    pub(crate) fn cgroups(&self, driver: CgroupDriver) -> Result<String, Obstacle> {
        let found = match (self, driver) {
            (Caller::Root, CgroupDriver::Cgroupfs) => Some("/".to_owned()),
            (Caller::User(user), CgroupDriver::Cgroupfs) => user.cgroup.clone(),
            (Caller::Root, CgroupDriver::Systemd) => Some("system.slice:".to_owned()),
            (Caller::User(_), CgroupDriver::Systemd) => Some("user.slice:".to_owned()),
        };
        let why = || Obstacle::Skip(Reason::Privilege, "no cgroup is delegated to the caller".to_owned());
        found.ok_or_else(why)
    }

    /// The id of the host that is the container's root, where the caller has no other for it.
    pub(crate) fn own_id(&self) -> Option<u32> {
        match self {
            Caller::Root => None,
            Caller::User(user) => Some(user.uid),
        }
    }

    /// Puts the container of an ordinary user into the user namespace without which he can have none.
    pub(crate) fn enter_user_namespace(&self, config: &mut Value) {
        let Caller::User(user) = self else { return };
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.push(json!({"type": "user"}));
        }
        config["linux"]["uidMappings"] = mapping(user.uid, &user.lent.uids);
        config["linux"]["gidMappings"] = mapping(user.gid, &user.lent.gids);
    }
}

/// Id 0 is the caller's own, those from 1 on are lent.
fn mapping(own: u32, lent: &Ranges) -> Value {
    let mut ranges = vec![json!({"containerID": 0, "hostID": own, "size": 1})];
    let mut next = 1u32;
    for (first, count) in lent {
        ranges.push(json!({"containerID": next, "hostID": first, "size": count}));
        next = next.saturating_add(*count);
    }
    ranges.into()
}

/// What the host lends to `uid`, where the programs that map it are there too.
fn lent(uid: u32) -> Lent {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !["newuidmap", "newgidmap"].iter().all(is_there) {
        return Lent::default();
    }
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let name = passwd.lines().find_map(|line| named(line, uid)).unwrap_or_default();
    Lent { uids: ranges(&read("/etc/subuid"), name, uid), gids: ranges(&read("/etc/subgid"), name, uid) }
}

/// The name in a line of passwd(5), if it is that of `uid`.
fn named(line: &str, uid: u32) -> Option<&str> {
    let mut fields = line.split(':');
    let (name, id) = (fields.next()?, fields.nth(1)?);
    (id.parse() == Ok(uid)).then_some(name)
}

/// The ranges of a user in the text of subuid(5).
fn ranges(text: &str, name: &str, uid: u32) -> Ranges {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == name || owner.parse() == Ok(uid)).then_some(range)
    };
    text.lines().filter_map(range).collect()
}

/// The cgroup of version 2 beside this process's own where the user may make others. Its own is no such
/// place: one that holds processes hands no controllers on.
fn delegated() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let above = Path::new(own).parent()?.to_str()?.trim_end_matches('/');
    let folder = format!("{CGROUPS}{above}");
    let may = |file: &str, right| access(format!("{folder}/{file}"), right).is_ok();
    (may("cgroup.controllers", Access::READ_OK)
        && may("", Access::WRITE_OK)
        && may("cgroup.procs", Access::WRITE_OK))
    .then(|| format!("{above}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uids: &[(u32, u32)], gids: &[(u32, u32)]) -> Caller {
        let lent = Lent { uids: uids.into(), gids: gids.into() };
        Caller::User(User { uid: 1000, gid: 100, lent, cgroup: None })
    }

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let text = "other:1:2\nme:100000:65536\n1000:7:9\n";
        assert_eq!(ranges(text, "me", 1000), [(100_000, 65_536), (7, 9)]);
        assert_eq!(ranges(text, "", 1001), []);
        assert_eq!(named("me:x:1000:100::/:/bin/sh", 1000), Some("me"));
        assert_eq!(named("me:x:1000:100::/:/bin/sh", 100), None);
    }

    #[test]
    fn a_user_gets_a_namespace_with_all_that_is_lent() {
        let mut config = json!({"linux": {"namespaces": []}});
        user(&[(100_000, 9), (500_000, 5)], &[(200_000, 9)]).enter_user_namespace(&mut config);
        let range = |inside: u32, outside: u32, size: u32| json!({"containerID": inside, "hostID": outside, "size": size});
        assert_eq!(
            config["linux"],
            json!({
                "namespaces": [{"type": "user"}],
                "uidMappings": [range(0, 1000, 1), range(1, 100_000, 9), range(10, 500_000, 5)],
                "gidMappings": [range(0, 100, 1), range(1, 200_000, 9)],
            })
        );
        let mut config = json!({"linux": {"namespaces": []}});
        user(&[], &[]).enter_user_namespace(&mut config);
        assert_eq!(config["linux"]["uidMappings"], json!([range(0, 1000, 1)]));
        let mut config = json!({});
        Caller::Root.enter_user_namespace(&mut config);
        assert_eq!(config, json!({}));
    }

    #[test]
    fn what_is_lent_bounds_the_ids() {
        assert!(user(&[(1, 1000), (5, 10)], &[(1, 999)]).must_have_ids(999).is_ok());
        assert!(user(&[(1, 1000), (5, 10)], &[(1, 999)]).must_have_ids(1000).is_err());
        assert!(user(&[], &[(1, 9)]).must_have_ids(1).is_err());
        assert!(Caller::Root.must_have_ids(u32::MAX).is_ok());
    }
}
