//! The ranges of ids that a host lends to a user, in `/etc/subuid` and `/etc/subgid`. Lines that are malformed
//! are passed over, as `newuidmap` does, which has the last word.
//!
//! # References
//! - [subuid(5)](https://man7.org/linux/man-pages/man5/subuid.5.html)

use std::io::ErrorKind;

use anyhow::{Context as _, Result, bail};
use plimsoll_spec::runtime::IdMapping;

use super::mapping;

/// Where ranges start on most distributions, and how long they are.
const FIRST: u32 = 100_000;
const SIZE: u32 = 65_536;

/// The mapping of a container of user `uid`: `own` is id 0, and what `file` lends follows.
pub(super) fn of(file: &str, uid: u32, own: u32) -> Result<Vec<IdMapping>> {
    let text = read(file)?;
    let name = name(&read("/etc/passwd")?, uid).unwrap_or_else(|| uid.to_string());
    let lent = lent(&text, &name, uid);
    if lent.is_empty() {
        bail!("{file} has no range for {name}; let root add the line `{name}:{}:{SIZE}` to it", free(&text));
    }
    let mut mappings = vec![mapping(0, own, 1)];
    let mut next = 1u32;
    for (start, count) in lent {
        let Some(end) = next.checked_add(count) else { break };
        mappings.push(mapping(next, start, count));
        next = end;
    }
    Ok(mappings)
}

fn read(file: &str) -> Result<String> {
    match std::fs::read(file) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => Ok(String::from_utf8_lossy(&text.with_context(|| format!("read {file}"))?).into_owned()),
    }
}

/// What the host calls user `uid`.
fn name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
}

/// Start and length of each range of the user, each once, in the order of the file.
fn lent(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    let mut ranges = Vec::new();
    for (owner, start, count) in text.lines().filter_map(line) {
        let whole = count > 0 && start.checked_add(count).is_some();
        if whole && (owner == name || owner == uid) && !ranges.contains(&(start, count)) {
            ranges.push((start, count));
        }
    }
    ranges
}

fn line(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.trim_end().split(':');
    Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The first id behind all ranges of the file.
fn free(text: &str) -> u32 {
    text.lines().filter_map(line).map(|(_, start, count)| start.saturating_add(count)).fold(FIRST, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBUID: &str = "root:100000:65536\nme:165536:10\n# me:1:1\nme:x:1\n1000:300000:5\nme:165536:10\nme:4294967295:2\nme:9:0\n";

    #[test]
    fn ranges_are_found_by_name_and_number_each_once() {
        assert_eq!(lent(SUBUID, "me", 1000), [(165_536, 10), (300_000, 5)]);
        assert_eq!(lent(SUBUID, "you", 1001), []);
    }

    #[test]
    fn a_range_that_is_proposed_is_free() {
        assert_eq!(free(""), 100_000);
        assert_eq!(free("a:1:2\n"), 100_000);
        assert_eq!(free("root:100000:65536\nme:165536:10\n"), 165_546);
    }

    #[test]
    fn users_have_names() {
        let passwd = "root:x:0:0::/:\nbad\nme:x:1000:1000::/:\n";
        assert_eq!((name(passwd, 1000), name(passwd, 1)), (Some("me".to_owned()), None));
    }
}
