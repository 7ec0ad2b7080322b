//! What the probe is: everything about its own process that a configuration can ask for.

use std::collections::BTreeMap;

use plimsoll_sys::inspect;
use rustix::process::getrlimit;
use serde_json::{Value, json};

use crate::netlink::Netlink;
use crate::rlimits::{LIMITS, Limit};

/// Everything.
pub(super) fn all() -> Value {
    let mut facts = identity();
    let status = status();
    let field = |name: &str| status.get(name).cloned();
    let members = json!({
        "pid": rustix::process::getpid().as_raw_nonzero().get(),
        "ppid": field("PPid").and_then(|text| text.parse::<i32>().ok()),
        "argv": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().ok(),
        "umask": field("Umask"),
        "namespaces": namespaces("self"),
        "hostname": name(rustix::system::uname().nodename()),
        "domainname": name(rustix::system::uname().domainname()),
        "machine": name(rustix::system::uname().machine()),
        "noNewPrivileges": field("NoNewPrivs").map(|text| text == "1"),
        "seccomp": field("Seccomp"),
        "speculation": field("Speculation_Store_Bypass"),
        "affinity": field("Cpus_allowed_list"),
        "rlimits": rlimits(),
        "oomScoreAdj": read("/proc/self/oom_score_adj").and_then(|text| text.trim().parse::<i64>().ok()),
        "descriptors": descriptors(),
        "mounts": mounts("self"),
        "scheduler": scheduler(),
        "ioPriority": inspect::io_priority().ok(),
        "personality": inspect::personality().ok(),
        "memoryPolicy": inspect::memory_policy().ok().map(|(mode, nodes)| json!({"mode": mode, "nodes": nodes})),
        "terminal": terminal(),
        "cgroup": read("/proc/self/cgroup"),
        "interfaces": interfaces(),
        "clocks": clocks(),
        "apparmor": read("/proc/self/attr/apparmor/current"),
        "selinux": read("/proc/self/attr/current"),
    });
    if let (Some(facts), Value::Object(members)) = (facts.as_object_mut(), members) {
        facts.extend(members);
    }
    facts
}

/// Who it is.
pub(super) fn identity() -> Value {
    let status = status();
    let numbers = |name: &str| -> Vec<u32> {
        let text = status.get(name).map(String::as_str).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let set = |name: &str| status.get(name).cloned();
    json!({
        "uids": numbers("Uid"),
        "gids": numbers("Gid"),
        "groups": numbers("Groups"),
        "capabilities": {
            "effective": set("CapEff"),
            "bounding": set("CapBnd"),
            "inheritable": set("CapInh"),
            "permitted": set("CapPrm"),
            "ambient": set("CapAmb"),
        },
    })
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn name(text: &std::ffi::CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The fields of `/proc/self/status`.
fn status() -> BTreeMap<String, String> {
    let text = read("/proc/self/status").unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// The namespaces of `process` by kind, as the kernel names them.
pub(crate) fn namespaces(process: &str) -> BTreeMap<String, String> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let link = |kind: &&str| {
        let target = std::fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
        Some(((*kind).to_owned(), target.to_string_lossy().into_owned()))
    };
    kinds.iter().filter_map(link).collect()
}

/// Whether `process` is kept from being looked into by this one. One of an ordinary user is, after its ids or
/// capabilities have changed, until it executes the next program; see proc(5) on `PR_SET_DUMPABLE`.
pub(crate) fn is_hidden(process: &str) -> bool {
    let link = std::fs::read_link(format!("/proc/{process}/exe"));
    link.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The mount table of `process`, a line an object.
pub(super) fn mounts(process: &str) -> Vec<Value> {
    let text = read(&format!("/proc/{process}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Value> {
    let (own, rest) = line.split_once(" - ")?;
    let own: Vec<&str> = own.split(' ').collect();
    let mut rest = rest.split(' ');
    Some(json!({
        "id": own.first()?.parse::<u64>().ok()?,
        "parent": own.get(1)?.parse::<u64>().ok()?,
        "device": own.get(2)?,
        "root": own.get(3)?,
        "target": own.get(4)?,
        "options": own.get(5)?.split(',').collect::<Vec<_>>(),
        "propagation": own.get(6..)?,
        "type": rest.next()?,
        "source": rest.next()?,
        "superblock": rest.next()?.split(',').collect::<Vec<_>>(),
    }))
}

fn rlimits() -> Value {
    let limit = |limit: &Limit| {
        let found = getrlimit(limit.resource);
        // No limit is `null`.
        (limit.name.to_owned(), json!({"soft": found.current, "hard": found.maximum}))
    };
    Value::Object(LIMITS.iter().map(limit).collect())
}

/// Open descriptors, without the one that lists them.
fn descriptors() -> Vec<Value> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            let target = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some((number, target))
        })
        .filter(|(_, target)| !target.ends_with("/fd"))
        .collect();
    found.sort();
    found.into_iter().map(|(number, target)| json!({"fd": number, "target": target})).collect()
}

fn scheduler() -> Value {
    match inspect::scheduler() {
        Ok(attributes) => json!({
            "policy": attributes.policy,
            "flags": attributes.flags,
            "nice": attributes.nice,
            "priority": attributes.priority,
            "runtime": attributes.runtime,
            "deadline": attributes.deadline,
            "period": attributes.period,
        }),
        Err(_) => Value::Null,
    }
}

fn terminal() -> Value {
    let stdin = rustix::stdio::stdin();
    let streams = [stdin, rustix::stdio::stdout(), rustix::stdio::stderr()];
    let size = rustix::termios::tcgetwinsize(stdin).ok();
    json!({
        "streams": streams.map(rustix::termios::isatty),
        "name": rustix::termios::ttyname(stdin, Vec::new()).ok().map(|name| name.to_string_lossy().into_owned()),
        "rows": size.map(|size| size.ws_row),
        "columns": size.map(|size| size.ws_col),
    })
}

/// Network devices by name; those of other processes' namespaces are not seen.
fn interfaces() -> BTreeMap<String, Value> {
    Netlink::open().and_then(|mut netlink| netlink.describe()).unwrap_or_default()
}

/// Seconds of the clocks that a time namespace moves.
fn clocks() -> Value {
    use rustix::time::{ClockId, clock_gettime};
    json!({
        "monotonic": clock_gettime(ClockId::Monotonic).tv_sec,
        "boottime": clock_gettime(ClockId::Boottime).tv_sec,
    })
}
