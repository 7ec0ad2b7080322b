//! Unknown properties, at every level of a configuration: each is tried alone, so that a verdict names it.

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::evidence::{Judge, describe, was_refused};
use crate::runtime::Stage;
use crate::verdict::Judgement;

use super::edit::set;

/// An object of a configuration: its name, its pointer, and what is set first for it to be there.
struct Level(&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// `PROBE` stands for the probe's path on the host.
const LEVELS: [Level; 32] = [
    Level("top", "", &[]),
    Level("root", "/root", &[]),
    Level("process", "/process", &[]),
    Level("user", "/process/user", &[]),
    Level("capabilities", "/process/capabilities", &[]),
    Level(
        "rlimit",
        "/process/rlimits/0",
        &[("/process/rlimits", r#"[{"type":"RLIMIT_NOFILE","soft":512,"hard":512}]"#)],
    ),
    Level("console-size", "/process/consoleSize", &[("/process/consoleSize", r#"{"height":20,"width":80}"#)]),
    Level("scheduler", "/process/scheduler", &[("/process/scheduler", r#"{"policy":"SCHED_OTHER"}"#)]),
    Level(
        "io-priority",
        "/process/ioPriority",
        &[("/process/ioPriority", r#"{"class":"IOPRIO_CLASS_BE","priority":4}"#)],
    ),
    Level("cpu-affinity", "/process/execCPUAffinity", &[("/process/execCPUAffinity", r#"{"initial":"0"}"#)]),
    Level("mount", "/mounts/0", &[]),
    Level("hooks", "/hooks", &[("/hooks", "{}")]),
    Level(
        "hook",
        "/hooks/createRuntime/0",
        &[("/hooks", r#"{"createRuntime":[{"path":"PROBE","args":["probe","whoami"]}]}"#)],
    ),
    Level("linux", "/linux", &[]),
    Level("namespace", "/linux/namespaces/0", &[]),
    Level(
        "device",
        "/linux/devices/0",
        &[("/linux/devices", r#"[{"path":"/dev/more","type":"c","major":1,"minor":3}]"#)],
    ),
    Level("resources", "/linux/resources", &[("/linux/resources", "{}")]),
    Level(
        "resources-device",
        "/linux/resources/devices/0",
        &[(
            "/linux/resources",
            r#"{"devices":[{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}]}"#,
        )],
    ),
    Level(
        "resources-memory",
        "/linux/resources/memory",
        &[("/linux/resources", r#"{"memory":{"limit":268435456}}"#)],
    ),
    Level("resources-cpu", "/linux/resources/cpu", &[("/linux/resources", r#"{"cpu":{"shares":512}}"#)]),
    Level("resources-pids", "/linux/resources/pids", &[("/linux/resources", r#"{"pids":{"limit":100}}"#)]),
    Level(
        "resources-huge-pages",
        "/linux/resources/hugepageLimits/0",
        &[("/linux/resources", r#"{"hugepageLimits":[{"pageSize":"2MB","limit":209715200}]}"#)],
    ),
    Level("user-mapping", "/linux/uidMappings/0", &USERS),
    Level("group-mapping", "/linux/gidMappings/0", &USERS),
    Level("resources-block-io", "/linux/resources/blockIO", &[("/linux/resources", r#"{"blockIO":{}}"#)]),
    Level("resources-network", "/linux/resources/network", &[("/linux/resources", r#"{"network":{}}"#)]),
    Level("seccomp", "/linux/seccomp", &[("/linux/seccomp", r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)]),
    Level(
        "seccomp-syscall",
        "/linux/seccomp/syscalls/0",
        &[(
            "/linux/seccomp",
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["acct"],"action":"SCMP_ACT_ERRNO"}]}"#,
        )],
    ),
    Level(
        "seccomp-argument",
        "/linux/seccomp/syscalls/0/args/0",
        &[(
            "/linux/seccomp",
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["acct"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":7,"op":"SCMP_CMP_EQ"}]}]}"#,
        )],
    ),
    Level("personality", "/linux/personality", &[("/linux/personality", r#"{"domain":"LINUX"}"#)]),
    Level(
        "time-offset",
        "/linux/timeOffsets/monotonic",
        &[
            ("/linux/timeOffsets", r#"{"monotonic":{"secs":7}}"#),
            (
                "/linux/namespaces",
                r#"[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"},{"type":"time"}]"#,
            ),
        ],
    ),
    Level(
        "memory-policy",
        "/linux/memoryPolicy",
        &[("/linux/memoryPolicy", r#"{"mode":"MPOL_PREFERRED","nodes":"0"}"#)],
    ),
];

/// A user namespace.
const USERS: [(&str, &str); 3] = [
    ("/linux/uidMappings", r#"[{"containerID":0,"hostID":100000,"size":65536}]"#),
    ("/linux/gidMappings", r#"[{"containerID":0,"hostID":100000,"size":65536}]"#),
    (
        "/linux/namespaces",
        r#"[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"},{"type":"user"}]"#,
    ),
];

/// No version of the specification has it.
const UNKNOWN: &str = "plimsollUnknownProperty";

pub(super) fn cases() -> Vec<Case<Stage>> {
    LEVELS.iter().map(case).collect()
}

fn case(level: &'static Level) -> Case<Stage> {
    let Level(name, pointer, before) = *level;
    let run = move |stage: &mut Stage| -> Result<(), Obstacle> {
        let mut config = stage.config(&["exit:0"]);
        for (place, text) in before {
            let text = text.replace("PROBE", &stage.settings.probe.to_string_lossy());
            set(&mut config, place, serde_json::from_str(&text).unwrap_or_default());
        }
        let known = config.clone();
        set(&mut config, &format!("{pointer}/{UNKNOWN}"), json!({"list": [1, "two", null], "flag": true}));
        stage.observe("unknown", &config)?;
        // Only to know why.
        if ran_well(stage.evidence.at("/unknown")) { Ok(()) } else { stage.observe("known", &known) }
    };
    Case::new(format!("extensibility/{name}"), run).rule("CFG-EXT-01", ignored())
}

/// Whether the observed container has lived and its program reported.
fn ran_well(seen: Option<&Value>) -> bool {
    seen.is_some_and(|seen| seen["start"]["exit"] == 0 && seen["report"]["pid"].is_number())
}

/// With the unknown property, all is as without. Where even what is known there is refused, the object is one
/// that this subject or this host does not have, and nothing is unknown in it.
fn ignored() -> Judge {
    Box::new(|evidence| {
        let place = |name: &str| evidence.at(name).unwrap_or(&Value::Null);
        let failed = |name: &str| {
            [&place(name)["create"], &place(name)["start"]].into_iter().find(|ran| was_refused(ran)).cloned()
        };
        if let (false, Some(failed)) = (ran_well(evidence.at("/unknown")), failed("/known")) {
            return Judgement::not_applicable(describe(&failed));
        }
        let observed = match failed("/unknown") {
            Some(failed) => describe(&failed),
            None => evidence.show("/unknown/report/pid"),
        };
        let holds = ran_well(evidence.at("/unknown"));
        Judgement::of(holds, "the container runs in spite of an unknown property", observed)
    })
}
