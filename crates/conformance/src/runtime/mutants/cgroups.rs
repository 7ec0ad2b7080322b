//! Mutants that put containers into other cgroups, limit them otherwise, or give their cgroups away.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Mutant;
use super::call::Call;
use super::document::refuse;
use super::edit::{each, keep, put, remove, replace, reverse};
use crate::error::Result;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = LIMITS.map(not_applied).into();
    all.extend(CONFIGS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)));
    all.extend(CALLS.map(|(name, breaks, rows, act)| Mutant::call(name, breaks, rows, act)));
    all.extend(OWNERS.map(owned));
    all
}

/// What is not applied, below `/linux/resources`, and who has to notice.
const LIMITS: [(&str, &[&str]); 25] = [
    ("memory/limit", &["LNX-MEM-limit", "LNX-MEM-oom"]),
    ("memory/reservation", &["LNX-MEM-reservation"]),
    ("memory/swap", &["LNX-MEM-swap"]),
    ("memory/swappiness", &["LNX-MEM-swappiness"]),
    ("memory/disableOOMKiller", &["LNX-MEM-disableOOMKiller"]),
    ("memory/useHierarchy", &["LNX-MEM-useHierarchy"]),
    ("cpu/shares", &["LNX-CPU-shares"]),
    ("cpu/quota", &["LNX-CPU-quota"]),
    ("cpu/period", &["LNX-CPU-period"]),
    ("cpu/burst", &["LNX-CPU-burst"]),
    ("cpu/idle", &["LNX-CPU-idle"]),
    ("cpu/cpus", &["LNX-CPU-cpus"]),
    ("cpu/mems", &["LNX-CPU-mems"]),
    ("pids/limit", &["LNX-PID-01"]),
    ("hugepageLimits", &["LNX-HUGE-01", "LNX-HUGE-02", "LNX-HUGE-03"]),
    ("blockIO/throttleReadBpsDevice", &["LNX-BIO-throttleReadBpsDevice"]),
    ("blockIO/throttleWriteBpsDevice", &["LNX-BIO-throttleWriteBpsDevice"]),
    ("blockIO/throttleReadIOPSDevice", &["LNX-BIO-throttleReadIOPSDevice"]),
    ("blockIO/throttleWriteIOPSDevice", &["LNX-BIO-throttleWriteIOPSDevice"]),
    ("blockIO/weight", &["LNX-BIO-weight"]),
    ("network/classID", &["LNX-CGN-01"]),
    ("network/priorities", &["LNX-CGN-02"]),
    ("unified", &["LNX-UNI-01", "LNX-UNI-02", "LNX-UNI-03"]),
    ("devices", &["LNX-CGD-01", "LNX-DEV-11", "LNX-CGD-05"]),
    ("memory", &["LNX-UNI-05"]),
];

fn not_applied((what, rows): (&'static str, &'static [&'static str])) -> Mutant {
    let name = format!("no-limit-{}", what.replace('/', "-"));
    Mutant::config(name, format!("resources: {what} is passed over"), rows, move |config| {
        remove(config, &format!("/linux/resources/{what}"));
        // A burst without a quota is no configuration any more.
        if what == "cpu/quota" {
            remove(config, "/linux/resources/cpu/burst");
        }
    })
}

type ConfigEntry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const CONFIGS: [ConfigEntry; 9] = [
    ("cgroup-beside", "cgroupsPath is not where the container is", &["LNX-CGP-02"], |config| {
        let path =
            config.pointer("/linux/cgroupsPath").and_then(Value::as_str).map(|path| format!("{path}-beside"));
        if let Some(path) = path {
            replace(config, "/linux/cgroupsPath", path);
        }
    }),
    ("cgroup-of-the-moment", "one cgroupsPath leads to many places", &["LNX-CGP-04"], |config| {
        let path = config.pointer("/linux/cgroupsPath").and_then(Value::as_str);
        if let Some(path) = path.map(|path| format!("{path}-{}", std::process::id())) {
            replace(config, "/linux/cgroupsPath", path);
        }
    }),
    (
        "device-rules-in-reverse",
        "rules about devices are applied from last to first",
        &["LNX-CGD-01"],
        |config| {
            reverse(config, "/linux/resources/devices");
        },
    ),
    (
        "device-rules-only-allow",
        "rules that deny devices are passed over",
        &["LNX-CGD-01", "LNX-DEV-11"],
        |config| {
            keep(config, "/linux/resources/devices", |rule| rule.get("allow") == Some(&json!(true)));
        },
    ),
    ("device-rules-need-a-type", "rules without a type are passed over", &["LNX-CGD-03"], |config| {
        keep(config, "/linux/resources/devices", |rule| rule.get("type").is_some());
    }),
    (
        "device-rules-need-numbers",
        "rules that allow a type and name no number are passed over",
        &["LNX-CGD-04"],
        |config| {
            keep(config, "/linux/resources/devices", |rule| {
                rule.get("type").is_none() || rule.get("major").is_some()
            });
        },
    ),
    ("device-rules-allow-everything", "a rule allows every access", &["LNX-CGD-05"], |config| {
        each(config, "/linux/resources/devices", |rule| put(rule, "/access", "rwm"));
    }),
    ("no-limit-is-a-limit", "a limit of -1 is a small one", &["LNX-MEM-neg1", "LNX-PID-02"], |config| {
        for (pointer, limit) in
            [("/linux/resources/memory/limit", 64 << 20), ("/linux/resources/pids/limit", 64)]
        {
            if config.pointer(pointer) == Some(&json!(-1)) {
                replace(config, pointer, limit);
            }
        }
    }),
    ("no-processes-is-no-limit", "a limit of no processes is none", &["LNX-PID-03"], |config| {
        if config.pointer("/linux/resources/pids/limit") == Some(&json!(0)) {
            replace(config, "/linux/resources/pids/limit", -1);
        }
    }),
];

type CallEntry = (&'static str, &'static str, &'static [&'static str], fn(&Call) -> Result<i32>);

const CALLS: [CallEntry; 3] = [
    ("cgroups-are-not-made", "a cgroup whose parent is not there is refused", &["LNX-CGP-07"], |call| {
        refuse(call, |config| {
            let path = config.pointer("/linux/cgroupsPath").and_then(Value::as_str);
            path.is_some_and(|path| path.trim_start_matches('/').contains('/'))
        })
    }),
    ("cgroups-climb", "a cgroupsPath that climbs leads out of the mount", &["LNX-CGP-06"], |call| {
        let config = call.config().unwrap_or_default();
        let path = config.pointer("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or_default();
        if let Some((_, outside)) = path.rsplit_once("..") {
            // As a cgroup it has a file, so that nobody takes it for an empty directory.
            let _ = std::fs::create_dir(outside);
            let _ = std::fs::write(PathBuf::from(outside).join("cgroup.procs"), "");
        }
        call.pass()
    }),
    (
        "delegation-needs-every-file",
        "a cgroup to be given away is refused where a listed file is missing",
        &["LNX-CGO-07"],
        |call| refuse(call, |config| owner(config).is_some() && is_writable(config)),
    ),
];

/// Name, what is wrong, the rows, and which files of the cgroup get the container's owner.
type Owner = (&'static str, &'static str, &'static [&'static str], fn(&Value, &str) -> Option<bool>);

/// An empty name is the directory itself; nothing is said about what stays as it is.
const OWNERS: [Owner; 4] = [
    (
        "cgroups-are-given-away",
        "cgroups belong to the container's owner whatever it sees of them",
        &["LNX-CGO-02", "LNX-CGO-03", "LNX-CGO-04", "LNX-CGO-05"],
        |_, name| name.is_empty().then_some(true),
    ),
    ("cgroups-are-kept", "cgroups stay root's", &["LNX-CGO-04"], |config, _| {
        is_writable(config).then_some(false)
    }),
    (
        "cgroups-are-given-away-with-all",
        "with its cgroup the container gets every file in it",
        &["LNX-CGO-06", "LNX-CGO-09", "LNX-CGO-10"],
        |config, _| is_writable(config).then_some(true),
    ),
    (
        "cgroups-are-given-away-without-procs",
        "with its cgroup the container does not get cgroup.procs",
        &["LNX-CGO-06", "LNX-CGO-08"],
        |config, name| (is_writable(config) && name == "cgroup.procs").then_some(false),
    ),
];

fn owned((name, breaks, rows, whose): Owner) -> Mutant {
    Mutant::call(name, breaks, rows, move |call| {
        let config = call.config();
        let code = call.pass()?;
        let (Some(config), Some(pid), 0) = (config, call.pid(), code) else { return Ok(code) };
        let Some(owner) = owner(&config) else { return Ok(code) };
        places(&pid).iter().for_each(|place| give(place, owner, |name| whose(&config, name)));
        Ok(code)
    })
}

/// Gives the directory of a cgroup and its files to whom `whose` says.
fn give(place: &Path, owner: u32, whose: impl Fn(&str) -> Option<bool>) {
    let names = std::fs::read_dir(place).into_iter().flatten().flatten();
    let names = names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    for name in std::iter::once(String::new()).chain(names) {
        let path = if name.is_empty() { place.to_owned() } else { place.join(&name) };
        if let Some(theirs) = whose(&name) {
            let uid = if theirs { owner } else { 0 };
            // What refuses its new owner keeps the old.
            let _ = std::os::unix::fs::chown(
                &path,
                Some(uid),
                std::fs::metadata(&path).ok().map(|file| file.gid()),
            );
        }
    }
}

/// The host's id of the container's root, where it is another than root.
fn owner(config: &Value) -> Option<u32> {
    let id = config.pointer("/linux/uidMappings/0/hostID")?.as_u64()?;
    u32::try_from(id).ok().filter(|id| *id != 0)
}

/// Whether the container may write to its cgroups.
fn is_writable(config: &Value) -> bool {
    let mounts = config.get("mounts").and_then(Value::as_array).into_iter().flatten();
    let mut cgroups = mounts.filter(|mount| mount.get("destination") == Some(&json!("/sys/fs/cgroup")));
    cgroups.any(|mount| {
        mount.get("options").and_then(Value::as_array).is_some_and(|options| options.contains(&json!("rw")))
    })
}

/// The directories of the process: one in version 2 where that is alone, else one for each controller.
fn places(pid: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let place = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let hierarchy = controllers.trim_start_matches("name=");
        Some(PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}{path}")))
    };
    text.lines().filter_map(place).filter(|place| place.join("cgroup.procs").exists()).collect()
}
