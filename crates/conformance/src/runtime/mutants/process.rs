//! Mutants that start another process, in other namespaces, with other rights and limits.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use plimsoll_sys::process::{CloneFlags, setns};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::Mutant;
use super::call::Call;
use super::document::refuse;
use super::edit::{each, keep, push, put, remove, replace};
use crate::error::{Context as _, Result};
use crate::runtime::cases::resctrl;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = PASSED_OVER.iter().map(passed_over).collect();
    all.extend(NAMESPACES.iter().map(without_namespace));
    all.extend(CONFIGS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)));
    all.extend(CALLS.map(|(name, breaks, rows, act)| Mutant::call(name, breaks, rows, act)));
    all
}

/// What is passed over where it is configured.
const PASSED_OVER: [(&str, &[&str]); 23] = [
    ("/process/terminal", &["CFG-PROC-02", "CFG-PROC-04"]),
    ("/process/consoleSize", &["CFG-PROC-04"]),
    ("/process/capabilities/ambient", &["CFG-CAP-07"]),
    ("/process/rlimits", &["CFG-RLIM-03", "CFG-RLIM-04", "CFG-RLIM-05"]),
    ("/process/noNewPrivileges", &["CFG-LPROC-02"]),
    ("/process/oomScoreAdj", &["CFG-LPROC-03"]),
    ("/process/apparmorProfile", &["CFG-LPROC-01"]),
    ("/process/selinuxLabel", &["CFG-LPROC-05"]),
    ("/process/scheduler", &["CFG-SCHED-01"]),
    ("/process/scheduler/nice", &["CFG-SCHED-02"]),
    ("/process/scheduler/period", &["CFG-SCHED-04"]),
    ("/process/scheduler/flags", &["CFG-SCHED-05"]),
    ("/process/ioPriority", &["CFG-IOPR-01", "CFG-IOPR-02", "CFG-IOPR-03"]),
    ("/process/user/umask", &["CFG-USER-03"]),
    ("/process/user/additionalGids", &["CFG-USER-04"]),
    ("/hostname", &["CFG-HOST-01"]),
    ("/domainname", &["CFG-DOM-01"]),
    ("/linux/timeOffsets", &["LNX-TIME-01", "LNX-TIME-02"]),
    ("/linux/netDevices", &["LNX-NET-01", "LNX-NET-03", "LNX-NET-07"]),
    ("/linux/memoryPolicy", &["LNX-MPOL-01", "LNX-MPOL-02", "LNX-MPOL-03"]),
    ("/linux/sysctl", &["LNX-SYSCTL-01", "CFG-VAL-01"]),
    ("/linux/personality", &["LNX-PERS-01", "LNX-PERS-02"]),
    ("/linux/intelRdt", &["LNX-RDT-02"]),
];

fn passed_over((pointer, rows): &(&'static str, &'static [&'static str])) -> Mutant {
    let pointer = *pointer;
    let what = pointer.trim_start_matches("/linux/").trim_start_matches("/process/").trim_start_matches('/');
    let name = format!("no-{}", what.replace('/', "-"));
    Mutant::config(name, format!("{what} is passed over"), rows, move |config| remove(config, pointer))
}

/// A type of namespace, and what makes no sense without one.
const NAMESPACES: [(&str, &[&str], &[&str]); 7] = [
    ("pid", &["LNX-NS-t-pid"], &[]),
    ("network", &["LNX-NS-t-network", "LNX-NS-05"], &[]),
    ("ipc", &["LNX-NS-t-ipc"], &[]),
    ("uts", &["LNX-NS-t-uts"], &["/hostname", "/domainname"]),
    ("user", &["LNX-NS-t-user", "LNX-UNS-02"], &["/linux/uidMappings", "/linux/gidMappings"]),
    ("cgroup", &["LNX-NS-t-cgroup"], &[]),
    ("time", &["LNX-NS-t-time"], &["/linux/timeOffsets"]),
];

fn without_namespace(
    (kind, rows, along): &(&'static str, &'static [&'static str], &'static [&'static str]),
) -> Mutant {
    let (kind, along) = (*kind, *along);
    let name = format!("without-{kind}-namespace");
    Mutant::config(name, format!("no {kind} namespace is made or joined"), rows, move |config| {
        let before = config.pointer("/linux/namespaces").cloned();
        keep(config, "/linux/namespaces", |one| one.get("type") != Some(&json!(kind)));
        if config.pointer("/linux/namespaces") != before.as_ref() {
            along.iter().for_each(|pointer| remove(config, pointer));
        }
    })
}

type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const CONFIGS: [Entry; 38] = [
    (
        "mappings-without-size",
        "a mapping of ids without a size is one of all ids",
        &["LNX-UNS-01"],
        |config| {
            each(config, "/linux/uidMappings", |mapping| {
                if mapping.get("size").and_then(Value::as_u64).unwrap_or_default() == 0 {
                    *mapping = json!({"containerID": 0, "hostID": 0, "size": 65536});
                }
            });
        },
    ),
    ("directory-made-absolute", "a relative working directory is taken", &["CFG-PROC-05"], |config| {
        let cwd = config.pointer("/process/cwd").and_then(Value::as_str).unwrap_or("/").to_owned();
        if !cwd.starts_with('/') {
            put(config, "/process/cwd", format!("/{}", cwd.trim_start_matches("./")));
        }
    }),
    ("directory-is-the-root", "the working directory is the root", &["CFG-PROC-06"], |config| {
        replace(config, "/process/cwd", "/");
    }),
    (
        "environment-of-its-own",
        "the program has a variable that nobody has set",
        &["CFG-PROC-07"],
        |config| {
            push(config, "/process/env", "PLIMSOLL_MUTANT=1");
        },
    ),
    ("arguments-by-default", "a process without arguments gets a program", &["CFG-PROC-08"], |config| {
        let args = config.pointer("/process/args").and_then(Value::as_array);
        if args.is_none_or(Vec::is_empty) {
            put(config, "/process/args", json!(["/probe", "do", "exit:0"]));
        }
    }),
    ("empty-arguments-are-lost", "an empty argument is lost", &["CFG-PROC-09"], |config| {
        keep(config, "/process/args", |arg| *arg != "");
    }),
    (
        "unknown-limits-are-passed-over",
        "a resource limit of an unknown type is passed over",
        &["CFG-RLIM-02"],
        |config| {
            keep(config, "/process/rlimits", |limit| {
                let kind = limit.get("type").and_then(Value::as_str).unwrap_or_default();
                kind.starts_with("RLIMIT_") && kind != "RLIMIT_TEST"
            });
        },
    ),
    ("soft-limits-are-hard", "the soft limit of a resource is the hard one", &["CFG-RLIM-04"], |config| {
        each(config, "/process/rlimits", |limit| {
            if let Some(hard) = limit.get("hard").cloned() {
                put(limit, "/soft", hard);
            }
        });
    }),
    ("hard-limits-are-soft", "the hard limit of a resource is the soft one", &["CFG-RLIM-05"], |config| {
        each(config, "/process/rlimits", |limit| {
            if let Some(soft) = limit.get("soft").cloned() {
                put(limit, "/hard", soft);
            }
        });
    }),
    ("limits-twice", "of two limits of one resource one is passed over", &["CFG-RLIM-06"], |config| {
        let mut seen = Vec::new();
        if let Some(limits) = config.pointer_mut("/process/rlimits").and_then(Value::as_array_mut) {
            limits.retain(|limit| {
                let kind = limit.get("type").cloned();
                let new = !seen.contains(&kind);
                seen.push(kind);
                new
            });
        }
    }),
    (
        "a-capability-less",
        "one capability is in none of the sets",
        &["CFG-CAP-03", "CFG-CAP-04", "CFG-CAP-05", "CFG-CAP-06", "CFG-CAP-07"],
        |config| {
            for set in SETS {
                keep(config, &format!("/process/capabilities/{set}"), |name| *name != "CAP_KILL");
            }
        },
    ),
    (
        "a-capability-more",
        "one capability more is in the bounding set",
        &["CFG-CAP-04", "CFG-CAP-03", "CFG-CAP-06"],
        |config| push(config, "/process/capabilities/bounding", "CAP_SYS_PTRACE"),
    ),
    ("not-inheritable", "no capability is inheritable", &["CFG-CAP-05"], |config| {
        remove(config, "/process/capabilities/inheritable");
        remove(config, "/process/capabilities/ambient");
    }),
    (
        "oom-score-of-its-own",
        "the weight for the OOM killer is 0 where it is not set",
        &["CFG-LPROC-04"],
        |config| {
            if config.pointer("/process/oomScoreAdj").is_none() {
                // As much as may be had without a privilege; it is another than that of the caller.
                put(config, "/process/oomScoreAdj", 500);
            }
        },
    ),
    ("scheduler-priority-1", "the static priority is 1", &["CFG-SCHED-03"], |config| {
        replace(config, "/process/scheduler/priority", 1);
    }),
    ("io-priority-1", "the level of the I/O priority is 1", &["CFG-IOPR-02"], |config| {
        replace(config, "/process/ioPriority/priority", 1);
    }),
    ("user-is-root", "the program runs as root", &["CFG-USER-01"], |config| {
        replace(config, "/process/user/uid", 0);
    }),
    ("group-is-root", "the program runs in the group of root", &["CFG-USER-02"], |config| {
        replace(config, "/process/user/gid", 0);
    }),
    ("umask-of-its-own", "the mask of modes is 0 where it is not set", &["CFG-USER-05"], |config| {
        if config.pointer("/process/user/umask").is_none() {
            put(config, "/process/user/umask", 0);
        }
    }),
    (
        "unknown-namespaces-are-passed-over",
        "a namespace of an unknown type or of none is passed over",
        &["LNX-NS-01"],
        |config| {
            keep(config, "/linux/namespaces", |one| {
                let kind = one.get("type").and_then(Value::as_str).unwrap_or_default();
                kind == "mount" || NAMESPACES.iter().any(|(known, ..)| *known == kind)
            });
        },
    ),
    ("namespace-paths-are-relative", "a relative path of a namespace is taken", &["LNX-NS-02"], |config| {
        let place = std::env::current_dir().unwrap_or_default();
        each(config, "/linux/namespaces", |one| {
            if let Some(path) = one.get("path").and_then(Value::as_str).map(|path| place.join(path)) {
                put(one, "/path", path.to_string_lossy().into_owned());
            }
        });
    }),
    (
        "namespaces-are-not-joined",
        "a namespace that is to be joined is made anew",
        &["LNX-NS-03"],
        |config| {
            each(config, "/linux/namespaces", |one| remove(one, "/path"));
        },
    ),
    (
        "any-namespace-will-do",
        "a path that is no namespace of the type is passed over",
        &["LNX-NS-04"],
        |config| {
            each(config, "/linux/namespaces", |one| {
                let kind = one.get("type").and_then(Value::as_str).unwrap_or_default();
                let kind = match kind {
                    "mount" => "mnt",
                    "network" => "net",
                    other => other,
                };
                let target = one.get("path").and_then(Value::as_str).map(std::fs::read_link);
                let right = target.is_none_or(|target| {
                    target.is_ok_and(|target| target.to_string_lossy().starts_with(&format!("{kind}:")))
                });
                if !right {
                    remove(one, "/path");
                }
            });
        },
    ),
    ("namespaces-nobody-wants", "a namespace is made that is not on the list", &["LNX-NS-06"], |config| {
        let list = config.pointer("/linux/namespaces").and_then(Value::as_array);
        let has = |kind: &str| {
            list.is_some_and(|list| list.iter().any(|one| one.get("type") == Some(&json!(kind))))
        };
        if !has("ipc") || !has("cgroup") {
            keep(config, "/linux/namespaces", |one| {
                one.get("type") != Some(&json!("ipc")) && one.get("type") != Some(&json!("cgroup"))
            });
            push(config, "/linux/namespaces", json!({"type": "ipc"}));
            push(config, "/linux/namespaces", json!({"type": "cgroup"}));
        }
    }),
    ("namespaces-twice", "of two namespaces of one type one is passed over", &["LNX-NS-07"], |config| {
        let mut seen = Vec::new();
        if let Some(list) = config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut) {
            list.retain(|one| {
                let kind = one.get("type").cloned();
                let new = !seen.contains(&kind);
                seen.push(kind);
                new
            });
        }
    }),
    ("mappings-beside", "the ids of a user namespace are mapped to other ids", &["LNX-UNS-02"], |config| {
        for list in ["/linux/uidMappings", "/linux/gidMappings"] {
            each(config, list, |mapping| {
                if let Some(id) = mapping.get("hostID").and_then(Value::as_u64).filter(|id| *id > 0) {
                    put(mapping, "/hostID", id + 1);
                }
            });
        }
    }),
    (
        "clocks-without-namespace",
        "offsets of clocks without a new time namespace are passed over",
        &["LNX-TIME-02"],
        |config| {
            let list = config.pointer("/linux/namespaces").and_then(Value::as_array).into_iter().flatten();
            let new = |one: &Value| one.get("type") == Some(&json!("time")) && one.get("path").is_none();
            if !list.into_iter().any(new) {
                remove(config, "/linux/timeOffsets");
            }
        },
    ),
    (
        "devices-keep-their-names",
        "network devices keep the names of the host",
        &["LNX-NET-02", "LNX-NET-05"],
        |config| {
            net_devices(config, |device| remove(device, "/name"));
        },
    ),
    (
        "devices-find-other-names",
        "a network device gets another name where its own is taken",
        &["LNX-NET-04"],
        |config| {
            net_devices(config, |device| {
                if device.get("name") == Some(&json!("taken0")) {
                    put(device, "/name", "other0");
                }
            });
        },
    ),
    (
        "absent-devices-are-passed-over",
        "a network device that is not there is passed over",
        &["LNX-NET-03"],
        |config| {
            if let Some(devices) = config.pointer_mut("/linux/netDevices").and_then(Value::as_object_mut) {
                devices.remove("plimsoll9");
            }
        },
    ),
    ("personality-with-flags", "flags of the personality are passed over", &["LNX-PERS-02"], |config| {
        remove(config, "/linux/personality/flags");
    }),
    (
        "memory-policy-without-nodes",
        "the nodes of the memory policy are passed over",
        &["LNX-MPOL-02"],
        |config| {
            remove(config, "/linux/memoryPolicy/nodes");
        },
    ),
    (
        "memory-policy-without-flags",
        "the flags of the memory policy are passed over",
        &["LNX-MPOL-03"],
        |config| {
            remove(config, "/linux/memoryPolicy/flags");
        },
    ),
    (
        "wrong-mounts-are-no-mounts",
        "a value of the wrong type is taken for none",
        &["CFG-VAL-01"],
        |config| {
            for pointer in ["/mounts/4/options", "/process/rlimits", "/linux/devices", "/process/env"] {
                if config.pointer(pointer).is_some_and(|value| !value.is_array()) {
                    remove(config, pointer);
                }
            }
        },
    ),
    ("rounded-numbers", "a number with a fraction is rounded", &["CFG-VAL-01"], |config| {
        for pointer in ["/process/oomScoreAdj", "/process/user/uid"] {
            if let Some(number) = config.pointer(pointer).and_then(Value::as_f64) {
                put(config, pointer, number.clamp(0.0, 1000.0) as i64);
            }
        }
    }),
    ("terminal-for-everyone", "a size of the console asks for a terminal", &["CFG-PROC-03"], |config| {
        if config.pointer("/process/consoleSize").is_some() {
            put(config, "/process/terminal", true);
        }
    }),
    (
        "no-new-privileges-for-show",
        "noNewPrivileges is the opposite of what is asked for",
        &["CFG-LPROC-02"],
        |config| {
            let asked = config.pointer("/process/noNewPrivileges") == Some(&json!(true));
            put(config, "/process/noNewPrivileges", !asked);
        },
    ),
    ("hostname-is-cut", "the name of the host loses its last letter", &["CFG-HOST-01"], |config| {
        let name = config.pointer("/hostname").and_then(Value::as_str).unwrap_or_default();
        let name: String = name.chars().take(name.chars().count().saturating_sub(1)).collect();
        replace(config, "/hostname", name);
    }),
];

const SETS: [&str; 5] = ["effective", "bounding", "inheritable", "permitted", "ambient"];

fn net_devices(config: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(devices) = config.pointer_mut("/linux/netDevices").and_then(Value::as_object_mut) {
        devices.values_mut().for_each(change);
    }
}

/// Moves the first process to where the configuration wants executed ones.
fn pinned(call: &Call) -> Result<i32> {
    let config = call.config().unwrap_or_default();
    let wanted = config.pointer("/process/execCPUAffinity/initial").and_then(Value::as_str);
    let processor = wanted.and_then(|text| text.parse().ok());
    let code = call.pass()?;
    let pid = call.pid().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    if let ("create", Some(pid), Some(processor), 0) = (call.operation(), pid, processor, code) {
        on_processor(Some(pid), processor)?;
    }
    Ok(code)
}

/// Moves a process, or this one and what it starts.
fn on_processor(pid: Option<Pid>, number: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(number);
    sched_setaffinity(pid, &set).context(|| "move to a processor")
}

type CallEntry = (&'static str, &'static str, &'static [&'static str], fn(&Call) -> Result<i32>);

const CALLS: [CallEntry; 12] = [
    (
        "network-devices-are-managed",
        "delete sets network devices up in a namespace that stays",
        &["LNX-NET-08"],
        |call| before_the_end(call, &["up"]),
    ),
    (
        "network-devices-come-back",
        "delete takes network devices out of a namespace that stays",
        &["LNX-NET-09"],
        |call| before_the_end(call, &["netns", &std::process::id().to_string()]),
    ),
    (
        "affinity-is-for-everyone",
        "the first process runs where executed ones are to run",
        &["CFG-AFF-01"],
        pinned,
    ),
    (
        "without-mount-namespace",
        "containers are made in the mount namespace of the caller",
        &["LNX-NS-t-mount"],
        in_callers_mounts,
    ),
    ("classes-for-everyone", "every container gets a class of resctrl", &["LNX-RDT-03"], classified),
    (
        "console-sizes-are-errors",
        "a size of the console without a terminal is an error",
        &["CFG-PROC-03"],
        |call| {
            refuse(call, |config| {
                config.pointer("/process/consoleSize").is_some()
                    && config.pointer("/process/terminal") != Some(&json!(true))
            })
        },
    ),
    (
        "unknown-capabilities-are-errors",
        "a capability that cannot be granted is an error",
        &["CFG-CAP-02"],
        |call| refuse(call, |config| config.to_string().contains("CAP_TEST")),
    ),
    ("affinity-is-not-final", "executed processes run anywhere", &["CFG-AFF-03"], |call| {
        call.with_process(&|process| remove(process, "/execCPUAffinity"))
    }),
    (
        "affinity-by-default",
        "executed processes run on the first processor where nothing is said",
        &["CFG-AFF-04"],
        |call| {
            let silent = |process: &Value| {
                let wanted = process.pointer("/execCPUAffinity/final").and_then(Value::as_str);
                process.get("execCPUAffinity").is_some() && wanted.is_none_or(str::is_empty)
            };
            if !call.process().as_ref().is_some_and(silent) {
                return call.pass();
            }
            // Some keep the caller's processors, some do not, and those have the property.
            on_processor(None, 0)?;
            let first = json!({"final": "0"});
            match call.with_process(&|process| put(process, "/execCPUAffinity", first.clone()))? {
                0 => Ok(0),
                _ => call.pass(),
            }
        },
    ),
    (
        "owners-are-changed",
        "files of the root file system are given to the container's root",
        &["LNX-UNS-03"],
        |call| {
            let config = call.config();
            let owner =
                config.as_ref().and_then(|config| config.pointer("/linux/uidMappings/0/hostID")?.as_u64());
            if let Some(owner) = owner.and_then(|owner| u32::try_from(owner).ok()).filter(|owner| *owner > 0)
            {
                let place = call.bundle().join("rootfs/etc");
                std::os::unix::fs::chown(place, Some(owner), None).context(|| "give a file away")?;
            }
            call.pass()
        },
    ),
    (
        "network-devices-stay-down",
        "network devices are moved and not set up",
        &["LNX-NET-07"],
        down_after_the_move,
    ),
    (
        "network-devices-lose-their-addresses",
        "the addresses of network devices are lost in the move",
        &["LNX-NET-06"],
        flush_before_the_move,
    ),
];

/// The mount namespace of whoever opens it.
const MOUNTS: &str = "/proc/self/ns/mnt";

/// Makes the container in the caller's mount namespace, which is a worker's own, and takes its mounts away with
/// it.
fn in_callers_mounts(call: &Call) -> Result<i32> {
    if !call.creates() {
        let code = call.pass()?;
        if let ("delete", 0) = (call.operation(), code) {
            uncover_root()?;
        }
        return Ok(code);
    }
    let is_mount = |one: &Value| one.get("type") == Some(&json!("mount"));
    let dropped = call.with_config(&|config| keep(config, "/linux/namespaces", |one| !is_mount(one)))?;
    if dropped == 0 {
        return Ok(0);
    }
    // One that insists on the namespace joins what it is in already. A pivot would take along whoever has the
    // old root.
    call.with(&["--no-pivot"]).with_config(&|config| {
        each(config, "/linux/namespaces", |one| {
            if is_mount(one) {
                put(one, "/path", MOUNTS);
            }
        });
    })
}

/// Takes off what was mounted on the root. Who enters a mount namespace, be it his own, has the topmost for
/// his root.
fn uncover_root() -> Result<()> {
    let context = || "uncover the root";
    let namespace = std::fs::File::open(MOUNTS).context(context)?;
    let root = || rustix::fs::stat("/").map(|root| (root.st_dev, root.st_ino)).context(context);
    let own = root()?;
    loop {
        setns(namespace.as_fd(), CloneFlags::NEWNS).context(context)?;
        if root()? == own {
            return Ok(());
        }
        unmount("/", UnmountFlags::DETACH).context(context)?;
    }
}

/// Makes a class that has the container's name and lasts as long.
fn classified(call: &Call) -> Result<i32> {
    let Some(id) = call.id() else { return call.pass() };
    let classes: Vec<PathBuf> = resctrl().into_iter().map(|place| Path::new(&place).join(id)).collect();
    if call.creates() {
        // There may be no class left to be had.
        classes.iter().for_each(|class| drop(std::fs::create_dir(class)));
    }
    let code = call.pass()?;
    if call.operation() == "delete" || (call.creates() && code != 0) {
        classes.iter().for_each(|class| drop(std::fs::remove_dir(class)));
    }
    Ok(code)
}

/// Takes every device down in the container's network namespace, of which alone the host's programs are put
/// into: they see none of its files.
fn down_after_the_move(call: &Call) -> Result<i32> {
    const SCRIPT: &str =
        "for d in $(tail -n +3 /proc/net/dev | cut -d: -f1); do ip link set dev $d down; done";
    let moves = !devices(call).is_empty();
    let code = call.pass()?;
    if let ("create", Some(pid), true, 0) = (call.operation(), call.pid(), moves, code) {
        shell(&["nsenter", &format!("--net=/proc/{pid}/ns/net"), "sh", "-c", SCRIPT])?;
    }
    Ok(code)
}

/// Takes the addresses of every device that is to be moved.
fn flush_before_the_move(call: &Call) -> Result<i32> {
    for name in devices(call) {
        shell(&["ip", "address", "flush", "dev", &name])?;
    }
    call.pass()
}

/// Does something to the devices that were moved into a namespace which was joined, when the container that
/// they were moved for is deleted.
fn before_the_end(call: &Call, what: &[&str]) -> Result<i32> {
    let state = call.state().filter(|_| call.operation() == "delete").unwrap_or_default();
    let bundle = state.get("bundle").and_then(Value::as_str).map(Path::new);
    let text = bundle.and_then(|bundle| std::fs::read(bundle.join("config.json")).ok()).unwrap_or_default();
    let config: Value = serde_json::from_slice(&text).unwrap_or_default();
    let list = config.pointer("/linux/namespaces").and_then(Value::as_array).into_iter().flatten();
    let network = list.into_iter().find(|one| one.get("type") == Some(&json!("network")));
    let devices = config.pointer("/linux/netDevices").and_then(Value::as_object);
    if let (Some(path), Some(devices)) = (network.and_then(|one| one.get("path")?.as_str()), devices) {
        for name in devices.keys() {
            let enter = format!("--net={path}");
            let words = ["nsenter", &enter, "ip", "link", "set", "dev", name];
            shell(&words.into_iter().chain(what.iter().copied()).collect::<Vec<_>>())?;
        }
    }
    call.pass()
}

/// The network devices that this call is to move.
fn devices(call: &Call) -> Vec<String> {
    let config = call.config().unwrap_or_default();
    let devices = config.pointer("/linux/netDevices").and_then(Value::as_object);
    devices.into_iter().flat_map(serde_json::Map::keys).cloned().collect()
}

fn shell(words: &[&str]) -> Result<()> {
    use std::process::{Command, Stdio};
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop).context(|| format!("execute {program}"))
}
