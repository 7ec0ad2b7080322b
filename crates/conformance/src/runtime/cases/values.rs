//! Wrong values, for every object of a configuration: of the wrong type, out of range, or none of an
//! enumeration.
//!
//! Only what is wrong by the text itself or by the kernel's interface stands here. `null` and what is missing
//! do not: a runtime need not tell them from what is not configured. Nor does what would leave a container in
//! the mount namespace of the worker, were it passed over: the worker would lose its root.

use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::judge::{refusals_leave_nothing, refused_by_start, unless_refused};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::{Judgement, Verdict};

pub(super) fn cases() -> Vec<Case<Stage>> {
    OBJECTS.iter().map(object).collect()
}

/// One object: what is valid and supported by most, and what is then put in its place.
struct Object {
    name: &'static str,
    /// The minor version of the specification that has it.
    since: u32,
    /// Pointers and values that are added to the minimal configuration.
    base: &'static [(&'static str, &'static str)],
    /// Pointers and values that are wrong, each on its own.
    wrong: &'static [(&'static str, &'static str)],
}

const OBJECTS: &[Object] = &[
    Object {
        name: "document",
        since: 0,
        base: &[("/annotations", r#"{"org.plimsoll.test": "x"}"#)],
        wrong: &[
            ("/ociVersion", "5"),
            ("/root", r#""rootfs""#),
            ("/root", "[]"),
            ("/root/path", "5"),
            ("/root/readonly", r#""yes""#),
            ("/root/readonly", "1"),
            ("/hostname", "5"),
            ("/hostname", "{}"),
            ("/mounts", "{}"),
            ("/mounts", r#""proc""#),
            ("/process", r#""probe""#),
            ("/process", "[]"),
            ("/hooks", "[]"),
            ("/annotations", "[]"),
            ("/annotations/org.plimsoll.test", "5"),
            ("/annotations/org.plimsoll.test", "{}"),
        ],
    },
    Object {
        name: "domainname",
        since: 1,
        base: &[("/domainname", r#""example""#)],
        wrong: &[("/domainname", "5"), ("/domainname", "[]")],
    },
    Object {
        name: "mounts",
        since: 0,
        base: &[(
            "/mounts/4",
            r#"{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]}"#,
        )],
        wrong: &[
            ("/mounts/4", r#""/mnt""#),
            ("/mounts/4/destination", "5"),
            ("/mounts/4/type", "5"),
            ("/mounts/4/type", r#""plimsollfs""#),
            ("/mounts/4/source", "5"),
            ("/mounts/4/options", r#""nosuid""#),
            ("/mounts/4/options", "[5]"),
            ("/mounts/4/options", "{}"),
        ],
    },
    Object {
        name: "process",
        since: 0,
        base: &[("/process/oomScoreAdj", "100")],
        wrong: &[
            ("/process/terminal", r#""yes""#),
            ("/process/terminal", "1"),
            ("/process/cwd", "5"),
            ("/process/env", r#""A=b""#),
            ("/process/env", "[5]"),
            ("/process/env", r#"{"A": "b"}"#),
            ("/process/args", r#""/probe""#),
            ("/process/args", "[5]"),
            ("/process/user", r#""root""#),
            ("/process/user", "[]"),
            ("/process/capabilities", "[]"),
            ("/process/capabilities", r#""CAP_KILL""#),
            ("/process/rlimits", "{}"),
            ("/process/noNewPrivileges", r#""yes""#),
            ("/process/noNewPrivileges", "1"),
            ("/process/oomScoreAdj", r#""much""#),
            ("/process/oomScoreAdj", "1001"),
            ("/process/oomScoreAdj", "-1001"),
            ("/process/oomScoreAdj", "1.5"),
            ("/process/apparmorProfile", "5"),
            ("/process/selinuxLabel", "5"),
        ],
    },
    Object {
        name: "user",
        since: 0,
        base: &[("/process/user", r#"{"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [7]}"#)],
        wrong: &[
            ("/process/user/uid", r#""root""#),
            ("/process/user/uid", "-1"),
            ("/process/user/uid", "1.5"),
            // The kernel's word for no user.
            ("/process/user/uid", "4294967295"),
            ("/process/user/uid", "4294967296"),
            ("/process/user/gid", r#""root""#),
            ("/process/user/gid", "-1"),
            ("/process/user/gid", "4294967295"),
            ("/process/user/gid", "4294967296"),
            ("/process/user/umask", r#""022""#),
            ("/process/user/umask", "-1"),
            ("/process/user/additionalGids", "7"),
            ("/process/user/additionalGids", r#"["wheel"]"#),
            ("/process/user/additionalGids", "[-1]"),
        ],
    },
    Object {
        name: "capabilities",
        since: 0,
        base: &[("/process/capabilities/ambient", "[]")],
        wrong: &[
            ("/process/capabilities/bounding", r#""CAP_KILL""#),
            ("/process/capabilities/bounding", "[5]"),
            ("/process/capabilities/effective", "{}"),
            ("/process/capabilities/permitted", "32"),
            ("/process/capabilities/inheritable", r#""CAP_KILL""#),
            ("/process/capabilities/ambient", r#""CAP_KILL""#),
        ],
    },
    Object {
        name: "rlimits",
        since: 0,
        base: &[("/process/rlimits", r#"[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]"#)],
        wrong: &[
            ("/process/rlimits/0", r#""RLIMIT_CORE""#),
            ("/process/rlimits/0/type", "5"),
            ("/process/rlimits/0/soft", r#""few""#),
            ("/process/rlimits/0/soft", "-1"),
            ("/process/rlimits/0/hard", r#""few""#),
            ("/process/rlimits/0/hard", "-1"),
            // More than the hard limit.
            ("/process/rlimits/0/soft", "1"),
        ],
    },
    Object {
        name: "scheduler",
        since: 1,
        base: &[("/process/scheduler", r#"{"policy": "SCHED_OTHER", "nice": 1}"#)],
        wrong: &[
            ("/process/scheduler", r#""SCHED_OTHER""#),
            ("/process/scheduler/policy", "5"),
            ("/process/scheduler/nice", r#""very""#),
            ("/process/scheduler/nice", "2147483648"),
            ("/process/scheduler/priority", r#""high""#),
            ("/process/scheduler/flags", r#""SCHED_FLAG_RESET_ON_FORK""#),
            ("/process/scheduler/flags", "[5]"),
            ("/process/scheduler/runtime", "-1"),
            ("/process/scheduler/deadline", r#""soon""#),
        ],
    },
    Object {
        name: "io-priority",
        since: 1,
        base: &[("/process/ioPriority", r#"{"class": "IOPRIO_CLASS_BE", "priority": 4}"#)],
        wrong: &[
            ("/process/ioPriority", r#""IOPRIO_CLASS_BE""#),
            ("/process/ioPriority/class", "2"),
            ("/process/ioPriority/class", r#""IOPRIO_CLASS_NONSENSE""#),
            ("/process/ioPriority/priority", r#""high""#),
            ("/process/ioPriority/priority", "8"),
        ],
    },
    Object {
        name: "exec-affinity",
        since: 2,
        base: &[],
        wrong: &[
            ("/process/execCPUAffinity", r#""0""#),
            ("/process/execCPUAffinity", r#"{"initial": 0}"#),
            ("/process/execCPUAffinity", r#"{"final": [0]}"#),
        ],
    },
    Object {
        name: "namespaces",
        since: 0,
        base: &[],
        wrong: &[
            ("/linux/namespaces/0", r#""pid""#),
            ("/linux/namespaces/0/type", "5"),
            ("/linux/namespaces/0/type", r#""process""#),
            ("/linux/namespaces/0/path", "5"),
            ("/linux/namespaces/0/path", "{}"),
        ],
    },
    Object {
        name: "mappings",
        since: 0,
        base: &[
            ("/linux/namespaces/5", r#"{"type": "user"}"#),
            ("/linux/uidMappings", r#"[{"containerID": 0, "hostID": 0, "size": 65536}]"#),
            ("/linux/gidMappings", r#"[{"containerID": 0, "hostID": 0, "size": 65536}]"#),
        ],
        wrong: &[
            ("/linux/uidMappings", r#""0 0 65536""#),
            ("/linux/uidMappings", "{}"),
            ("/linux/uidMappings/0/size", r#""all""#),
            ("/linux/uidMappings/0/size", "-1"),
            ("/linux/uidMappings/0/containerID", "-1"),
            ("/linux/uidMappings/0/hostID", "4294967296"),
            ("/linux/gidMappings/0/size", r#""all""#),
            ("/linux/gidMappings/0/hostID", "-1"),
        ],
    },
    Object {
        name: "time-offsets",
        since: 1,
        base: &[
            ("/linux/namespaces/5", r#"{"type": "time"}"#),
            ("/linux/timeOffsets", r#"{"monotonic": {"secs": 5, "nanosecs": 0}}"#),
        ],
        wrong: &[
            ("/linux/timeOffsets", "[]"),
            ("/linux/timeOffsets/monotonic", "5"),
            ("/linux/timeOffsets/monotonic/secs", r#""five""#),
            ("/linux/timeOffsets/monotonic/nanosecs", "-1"),
            // A whole second.
            ("/linux/timeOffsets/monotonic/nanosecs", "1000000000"),
        ],
    },
    Object {
        name: "devices",
        since: 0,
        base: &[(
            "/linux/devices",
            r#"[{"path": "/dev/plimsoll", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}]"#,
        )],
        wrong: &[
            ("/linux/devices", "{}"),
            ("/linux/devices/0", r#""/dev/plimsoll""#),
            ("/linux/devices/0/path", "5"),
            ("/linux/devices/0/type", r#""x""#),
            ("/linux/devices/0/type", "5"),
            ("/linux/devices/0/major", r#""one""#),
            ("/linux/devices/0/minor", r#""three""#),
            ("/linux/devices/0/fileMode", r#""0666""#),
            ("/linux/devices/0/fileMode", "-1"),
            ("/linux/devices/0/uid", "-1"),
            ("/linux/devices/0/gid", r#""root""#),
        ],
    },
    Object {
        name: "net-devices",
        since: 3,
        base: &[],
        wrong: &[
            ("/linux/netDevices", "[]"),
            ("/linux/netDevices", r#"{"plimsoll0": 5}"#),
            ("/linux/netDevices", r#"{"plimsoll0": {"name": 5}}"#),
        ],
    },
    Object {
        name: "resources",
        since: 0,
        base: &[],
        wrong: &[
            ("/linux/cgroupsPath", "5"),
            ("/linux/cgroupsPath", "[]"),
            ("/linux/resources", "[]"),
            ("/linux/resources", r#""all""#),
            ("/linux/resources", r#"{"memory": []}"#),
            ("/linux/resources", r#"{"memory": {"limit": "much"}}"#),
            ("/linux/resources", r#"{"memory": {"limit": 1.5}}"#),
            ("/linux/resources", r#"{"memory": {"swappiness": -1}}"#),
            ("/linux/resources", r#"{"memory": {"disableOOMKiller": "yes"}}"#),
            ("/linux/resources", r#"{"cpu": {"shares": "many"}}"#),
            ("/linux/resources", r#"{"cpu": {"shares": -1}}"#),
            ("/linux/resources", r#"{"cpu": {"quota": "some"}}"#),
            ("/linux/resources", r#"{"cpu": {"period": -1}}"#),
            ("/linux/resources", r#"{"cpu": {"cpus": 0}}"#),
            ("/linux/resources", r#"{"pids": {"limit": "few"}}"#),
            ("/linux/resources", r#"{"blockIO": {"weight": "heavy"}}"#),
            ("/linux/resources", r#"{"blockIO": {"weight": 65536}}"#),
            ("/linux/resources", r#"{"hugepageLimits": {}}"#),
            ("/linux/resources", r#"{"hugepageLimits": [{"pageSize": 5, "limit": 1}]}"#),
            ("/linux/resources", r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]}"#),
            ("/linux/resources", r#"{"network": {"classID": "x"}}"#),
            ("/linux/resources", r#"{"rdma": []}"#),
            ("/linux/resources", r#"{"unified": []}"#),
            ("/linux/resources", r#"{"unified": {"pids.max": 5}}"#),
        ],
    },
    Object {
        name: "device-rules",
        since: 0,
        base: &[(
            "/linux/resources",
            r#"{"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]}"#,
        )],
        wrong: &[
            ("/linux/resources/devices", "{}"),
            ("/linux/resources/devices/0/allow", r#""yes""#),
            ("/linux/resources/devices/0/type", r#""z""#),
            ("/linux/resources/devices/0/type", "5"),
            ("/linux/resources/devices/0/major", r#""one""#),
            ("/linux/resources/devices/0/access", "7"),
        ],
    },
    Object {
        name: "sysctl",
        since: 0,
        base: &[("/linux/sysctl", r#"{"net.ipv4.ip_forward": "1"}"#)],
        wrong: &[
            ("/linux/sysctl", "[]"),
            ("/linux/sysctl", r#"{"net.ipv4.ip_forward": 1}"#),
            ("/linux/sysctl", r#"{"net.ipv4.ip_forward": {}}"#),
            ("/linux/sysctl", r#"{"net.plimsoll.nothing": "1"}"#),
            ("/linux/sysctl", r#"{"net.ipv4.ip_forward": "plimsoll"}"#),
        ],
    },
    Object {
        name: "seccomp",
        since: 0,
        base: &[(
            "/linux/seccomp",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
        )],
        wrong: &[
            ("/linux/seccomp", "[]"),
            ("/linux/seccomp", r#""SCMP_ACT_ALLOW""#),
            ("/linux/seccomp/defaultAction", "5"),
            ("/linux/seccomp/defaultAction", r#""SCMP_ACT_NONSENSE""#),
            ("/linux/seccomp/architectures", r#""SCMP_ARCH_X86_64""#),
            ("/linux/seccomp/architectures", r#"["SCMP_ARCH_NONSENSE"]"#),
            ("/linux/seccomp/flags", r#""SECCOMP_FILTER_FLAG_LOG""#),
            ("/linux/seccomp/flags", "[5]"),
            ("/linux/seccomp/syscalls", "{}"),
            ("/linux/seccomp/syscalls/0", r#""getpriority""#),
            ("/linux/seccomp/syscalls/0/names", r#""getpriority""#),
            ("/linux/seccomp/syscalls/0/names", "[5]"),
            ("/linux/seccomp/syscalls/0/action", "5"),
            ("/linux/seccomp/syscalls/0/action", r#""SCMP_ACT_NONSENSE""#),
            ("/linux/seccomp/syscalls/0/errnoRet", "-1"),
            ("/linux/seccomp/syscalls/0/args", "{}"),
            ("/linux/seccomp/syscalls/0/args/0/index", "-1"),
            ("/linux/seccomp/syscalls/0/args/0/value", r#""one""#),
            ("/linux/seccomp/syscalls/0/args/0/op", "5"),
            ("/linux/seccomp/syscalls/0/args/0/op", r#""SCMP_CMP_NONSENSE""#),
        ],
    },
    Object {
        name: "root-file-system",
        since: 0,
        base: &[
            ("/linux/rootfsPropagation", r#""private""#),
            ("/linux/maskedPaths", r#"["/proc/kcore"]"#),
            ("/linux/readonlyPaths", r#"["/proc/sys"]"#),
        ],
        wrong: &[
            ("/linux/rootfsPropagation", "5"),
            ("/linux/rootfsPropagation", r#""plimsoll""#),
            ("/linux/maskedPaths", r#""/proc/kcore""#),
            ("/linux/maskedPaths", "[5]"),
            ("/linux/readonlyPaths", r#""/proc/sys""#),
            ("/linux/readonlyPaths", "[5]"),
            ("/linux/mountLabel", "5"),
        ],
    },
    Object {
        name: "personality",
        since: 0,
        base: &[("/linux/personality", r#"{"domain": "LINUX"}"#)],
        wrong: &[
            ("/linux/personality", r#""LINUX""#),
            ("/linux/personality/domain", "5"),
            ("/linux/personality/domain", r#""LINUX64""#),
        ],
    },
    Object {
        name: "memory-policy",
        since: 3,
        base: &[("/linux/memoryPolicy", r#"{"mode": "MPOL_BIND", "nodes": "0"}"#)],
        wrong: &[
            ("/linux/memoryPolicy", r#""MPOL_BIND""#),
            ("/linux/memoryPolicy/mode", "5"),
            ("/linux/memoryPolicy/mode", r#""MPOL_NONSENSE""#),
            ("/linux/memoryPolicy/nodes", "0"),
            ("/linux/memoryPolicy/nodes", r#""0-""#),
            ("/linux/memoryPolicy/flags", r#""MPOL_F_STATIC_NODES""#),
            ("/linux/memoryPolicy/flags", r#"["MPOL_F_NONSENSE"]"#),
        ],
    },
    Object {
        name: "intel-rdt",
        since: 0,
        base: &[],
        wrong: &[
            ("/linux/intelRdt", r#""x""#),
            ("/linux/intelRdt", "[]"),
            ("/linux/intelRdt", r#"{"closID": 5}"#),
        ],
    },
    Object {
        name: "hooks",
        since: 0,
        base: &[("/hooks", r#"{"poststop": [{"path": "/probe-that-is-not-there"}]}"#)],
        wrong: &[
            ("/hooks/poststop", "{}"),
            ("/hooks/poststop/0", r#""/bin/true""#),
            ("/hooks/poststop/0/path", "5"),
            ("/hooks/poststop/0/args", r#""true""#),
            ("/hooks/poststop/0/env", r#""A=b""#),
            ("/hooks/poststop/0/timeout", r#""long""#),
            ("/hooks/poststop/0/timeout", "1.5"),
        ],
    },
];

fn object(object: &'static Object) -> Case<Stage> {
    Case::new(format!("values/{}", object.name), |stage: &mut Stage| {
        stage.wants_version(object.since, object.name)?;
        let mut base = stage.config(&["exit:0"]);
        object.base.iter().for_each(|(pointer, value)| put(&mut base, pointer, parsed(value)));
        stage.observe("control", &base)?;
        let mut tried = Vec::new();
        for (at, (pointer, value)) in object.wrong.iter().enumerate() {
            let mut config = base.clone();
            put(&mut config, pointer, parsed(value));
            stage.attempt(&format!("attempt-{at}"), &config)?;
            tried.push(json!({"pointer": pointer, "value": parsed(value)}));
        }
        stage.evidence.record("wrong", tried);
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    // Who does not support the object at all refuses wrong values of it with the right ones, which shows nothing.
    .rule("CFG-VAL-01", unless_refused("/control", every_one_refused()))
    .where_it_applies()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Puts `value` at `pointer`, whose parent is there.
fn put(config: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match config.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(member.to_owned(), value);
        }
        Some(Value::Array(items)) => match member.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
            Some(item) => *item = value,
            None => items.push(value),
        },
        _ => {}
    }
}

/// Every wrong value was refused, by start at the latest; those that were not are named.
fn every_one_refused() -> Judge {
    Box::new(|evidence: &Evidence| {
        let wrong = evidence.at("/wrong").and_then(Value::as_array).cloned().unwrap_or_default();
        let accepted: Vec<String> = wrong
            .iter()
            .enumerate()
            .filter(|(at, _)| refused_by_start(&format!("/attempt-{at}"))(evidence).verdict != Verdict::Pass)
            .map(|(_, tried)| {
                format!("{} = {}", tried["pointer"].as_str().unwrap_or_default(), tried["value"])
            })
            .collect();
        let observed = match accepted.as_slice() {
            [] => format!("all {} are", wrong.len()),
            accepted => format!("not refused: {}", accepted.join(", ")),
        };
        Judgement::of(accepted.is_empty() && !wrong.is_empty(), "every wrong value is refused", observed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_json_and_has_a_place() {
        for object in OBJECTS {
            let mut config = json!({
                "root": {}, "mounts": [1, 2, 3, 4], "process": {"user": {}, "capabilities": {}},
                "linux": {"namespaces": [{}, {}, {}, {}, {}]},
            });
            for (pointer, value) in object.base {
                assert!(serde_json::from_str::<Value>(value).is_ok(), "{value}");
                put(&mut config, pointer, parsed(value));
                assert_eq!(config.pointer(pointer), Some(&parsed(value)), "{pointer}");
            }
            for (pointer, value) in object.wrong {
                assert!(serde_json::from_str::<Value>(value).is_ok(), "{value}");
                let mut changed = config.clone();
                put(&mut changed, pointer, json!("there"));
                assert_eq!(changed.pointer(pointer), Some(&json!("there")), "{pointer}");
            }
        }
    }
}
