//! When and where a process runs: scheduler, I/O priority, processors, memory policy.

use std::path::Path;

use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::Judge;
use crate::evidence::judge::{
    all, each_refused_by_start, equals, refusals_leave_nothing, same, satisfies, where_supported,
};
use crate::runtime::Stage;
use crate::verdict::Reason;

use super::privileges::has;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = SCHEDULERS.iter().map(scheduler).collect();
    cases.extend([scheduler_defaults(), scheduler_refused()]);
    cases.extend(PRIORITIES.iter().map(io_priority));
    cases.push(io_priority_refused());
    cases.extend([affinity_of_init(), affinity_of_exec()]);
    cases.extend(POLICIES.iter().map(memory_policy));
    cases.push(memory_policy_refused());
    cases
}

/// A scheduler as the configuration has it, and the facts by which the probe has to show it.
struct Scheduler {
    name: &'static str,
    config: &'static str,
    facts: &'static [(&'static str, &'static str, u64)],
}

/// Policies by the kernel's number. The deadline scheduler keeps a period that is left out as the deadline.
const SCHEDULERS: [Scheduler; 9] = [
    Scheduler {
        name: "other",
        config: r#"{"policy": "SCHED_OTHER", "nice": 7}"#,
        facts: &[("CFG-SCHED-01", "policy", 0), ("CFG-SCHED-02", "nice", 7), ("CFG-SCHED-03", "priority", 0)],
    },
    Scheduler {
        name: "batch",
        config: r#"{"policy": "SCHED_BATCH", "nice": 3}"#,
        facts: &[("CFG-SCHED-01", "policy", 3), ("CFG-SCHED-02", "nice", 3)],
    },
    Scheduler {
        name: "idle",
        config: r#"{"policy": "SCHED_IDLE"}"#,
        facts: &[("CFG-SCHED-01", "policy", 5)],
    },
    Scheduler {
        name: "fifo",
        config: r#"{"policy": "SCHED_FIFO", "priority": 10}"#,
        facts: &[("CFG-SCHED-01", "policy", 1), ("CFG-SCHED-03", "priority", 10)],
    },
    Scheduler {
        name: "rr",
        config: r#"{"policy": "SCHED_RR", "priority": 21}"#,
        facts: &[("CFG-SCHED-01", "policy", 2), ("CFG-SCHED-03", "priority", 21)],
    },
    Scheduler {
        name: "deadline",
        config: r#"{"policy": "SCHED_DEADLINE", "runtime": 5000000, "deadline": 50000000, "period": 100000000}"#,
        facts: &[
            ("CFG-SCHED-01", "policy", 6),
            ("CFG-SCHED-04", "runtime", 5_000_000),
            ("CFG-SCHED-04", "deadline", 50_000_000),
            ("CFG-SCHED-04", "period", 100_000_000),
        ],
    },
    Scheduler {
        name: "deadline-period",
        config: r#"{"policy": "SCHED_DEADLINE", "runtime": 5000000, "deadline": 70000000}"#,
        facts: &[
            ("CFG-SCHED-04", "runtime", 5_000_000),
            ("CFG-SCHED-04", "deadline", 70_000_000),
            ("CFG-SCHED-04", "period", 70_000_000),
        ],
    },
    Scheduler {
        name: "reset-on-fork",
        config: r#"{"policy": "SCHED_OTHER", "nice": 2, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}"#,
        facts: &[("CFG-SCHED-05", "flags", 1), ("CFG-SCHED-02", "nice", 2)],
    },
    Scheduler {
        name: "overrun",
        config: r#"{"policy": "SCHED_DEADLINE", "runtime": 5000000, "deadline": 50000000, "flags": ["SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_RECLAIM"]}"#,
        facts: &[("CFG-SCHED-05", "flags", 6)],
    },
];

const CGROUPS: &str = "/sys/fs/cgroup";
const REAL_TIME: &str = "cpu.rt_runtime_us";

fn scheduler(wanted: &'static Scheduler) -> Case<Stage> {
    let case = Case::new(format!("scheduler/{}", wanted.name), |stage: &mut Stage| {
        if !has(CapabilitySet::SYS_NICE) {
            return Err(Obstacle::Skip(Reason::Privilege, "CAP_SYS_NICE is needed".to_owned()));
        }
        if wanted.config.contains("DEADLINE") && cpuset_is_split() {
            let why = "the deadline scheduler wants a process that may use every processor";
            return Err(Obstacle::Skip(Reason::Configuration, why.to_owned()));
        }
        let mut config = stage.config(&["exit:0"]);
        let real_time = wanted.config.contains("FIFO") || wanted.config.contains("RR");
        if real_time
            && ["cpu", "cpu,cpuacct"]
                .iter()
                .any(|name| Path::new(CGROUPS).join(name).join(REAL_TIME).exists())
        {
            // Where real-time is scheduled by groups, a new group has none until it is given some.
            let real_time = json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 100_000});
            config["linux"]["resources"] = json!({"cpu": real_time});
        }
        config["process"]["scheduler"] = parsed(wanted.config);
        stage.observe("life", &config)
    });
    wanted.facts.iter().fold(case, |case, (row, fact, value)| {
        let judge = equals(&format!("/life/report/scheduler/{fact}"), *value);
        case.rule(row, where_supported("/life", judge))
    })
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether this process may not use all processors that are online.
fn cpuset_is_split() -> bool {
    let own = rustix::thread::sched_getaffinity(None).map_or(0, |set| set.count());
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    own as usize != list_length(online.trim())
}

/// How many numbers a list as `0-3,7` has.
fn list_length(list: &str) -> usize {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(last.parse::<usize>().ok()?.saturating_sub(first.parse().ok()?) + 1)
    };
    list.split(',').filter_map(range).sum()
}

/// What is not set is 0, also where the caller has something else.
fn scheduler_defaults() -> Case<Stage> {
    Case::new("scheduler/defaults", |stage: &mut Stage| {
        rustix::process::nice(4).context(|| "be nice")?;
        let mut config = stage.config(&["exit:0"]);
        stage.observe("control", &config)?;
        config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER"});
        stage.observe("life", &config)
    })
    .rule(
        "CFG-SCHED-02",
        where_supported(
            "/life",
            crate::evidence::judge::provided(
                equals("/control/report/scheduler/nice", 4),
                equals("/life/report/scheduler/nice", 0),
            ),
        ),
    )
    .rule("CFG-SCHED-03", where_supported("/life", equals("/life/report/scheduler/priority", 0)))
}

fn scheduler_refused() -> Case<Stage> {
    Case::new("scheduler/refused", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER"});
        stage.observe("control", &config)?;
        for (name, value) in [
            ("unknown", json!({"policy": "SCHED_TEST"})),
            // The kernel has never had it.
            ("unsupported", json!({"policy": "SCHED_ISO"})),
            ("flag", json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_TEST"]})),
        ] {
            config["process"]["scheduler"] = value;
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    .rule("CFG-SCHED-01", where_supported("/control", each_refused_by_start(&["/unknown", "/unsupported"])))
    .rule("CFG-SCHED-05", where_supported("/control", each_refused_by_start(&["/flag"])))
}

/// Class, level, and the kernel's number of the class; the idle class has no levels.
const PRIORITIES: [(&str, i64, i64); 4] = [("RT", 4, 1), ("BE", 6, 2), ("BE", 0, 2), ("IDLE", 0, 3)];

fn io_priority((class, level, number): &'static (&str, i64, i64)) -> Case<Stage> {
    let name = format!("io-priority/{}-{level}", class.to_lowercase());
    let is = |pointer: &str, test: fn(i64) -> i64, wanted: i64| {
        satisfies(pointer, &format!("has {wanted} in its part"), move |value| {
            value.as_i64().is_some_and(|value| test(value) == wanted)
        })
    };
    let both = |test: fn(i64) -> i64, wanted: i64| {
        where_supported("/life", is("/life/report/ioPriority", test, wanted))
    };
    Case::new(name, move |stage: &mut Stage| {
        if *class == "RT" && !has(CapabilitySet::SYS_NICE) && !has(CapabilitySet::SYS_ADMIN) {
            return Err(Obstacle::Skip(Reason::Privilege, "CAP_SYS_NICE is needed".to_owned()));
        }
        let mut config = stage.config(&["run:/probe:do", "exit:0"]);
        config["process"]["ioPriority"] =
            json!({"class": format!("IOPRIO_CLASS_{class}"), "priority": level});
        stage.observe("life", &config)
    })
    .rule("CFG-IOPR-01", both(|value| value >> 13, *number))
    .rule("CFG-IOPR-02", both(|value| value & 7, *level))
    .rule(
        "CFG-IOPR-03",
        where_supported(
            "/life",
            all(vec![
                is("/life/report/ioPriority", |value| value >> 13, *number),
                same("/life/report/ioPriority", "/life/report/results/0/value/frames/0/ioPriority"),
            ]),
        ),
    )
}

fn io_priority_refused() -> Case<Stage> {
    Case::new("io-priority/refused", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
        stage.observe("control", &config)?;
        for (name, value) in [
            ("class", json!({"class": "IOPRIO_CLASS_TEST", "priority": 1})),
            ("high", json!({"class": "IOPRIO_CLASS_BE", "priority": 8})),
            ("negative", json!({"class": "IOPRIO_CLASS_BE", "priority": -1})),
        ] {
            config["process"]["ioPriority"] = value;
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    .rule("CFG-IOPR-01", where_supported("/control", each_refused_by_start(&["/class"])))
    .rule("CFG-IOPR-02", where_supported("/control", each_refused_by_start(&["/high", "/negative"])))
}

fn several_processors() -> Result<(), Obstacle> {
    match std::thread::available_parallelism() {
        Ok(count) if count.get() > 1 => Ok(()),
        _ => Err(Obstacle::Skip(Reason::Hardware, "there is only one processor".to_owned())),
    }
}

fn affinity_of_init() -> Case<Stage> {
    Case::new("affinity/init", |stage: &mut Stage| {
        several_processors()?;
        let mut config = stage.config(&["exit:0"]);
        stage.observe("control", &config)?;
        config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
        stage.observe("life", &config)
    })
    .rule("CFG-AFF-01", where_supported("/life", same("/life/report/affinity", "/control/report/affinity")))
}

fn affinity_of_exec() -> Case<Stage> {
    Case::new("affinity/exec", |stage: &mut Stage| {
        several_processors()?;
        let config = stage.config(&["wait"]);
        let mut container = stage.bundle(&config)?;
        for ran in [stage.create(&mut container)?, stage.start(&container)?] {
            if !ran.ok() {
                return Err(Obstacle::Inconclusive(format!("the container does not run: {}", ran.stderr)));
            }
        }
        let mut process = stage.config(&["exit:0"])["process"].take();
        stage.exec("control", &container, &process)?;
        process["execCPUAffinity"] = json!({"final": "1"});
        stage.exec("final", &container, &process)?;
        process["execCPUAffinity"] = json!({"final": ""});
        stage.exec("empty", &container, &process)?;
        process["execCPUAffinity"] = json!({});
        stage.exec("omitted", &container, &process)?;
        stage.clean(&container)
    })
    .rule("CFG-AFF-03", where_executed("/final", equals("/final/report/affinity", "1")))
    .rule("CFG-AFF-04", where_executed("/empty", same("/empty/report/affinity", "/control/report/affinity")))
    .rule(
        "CFG-AFF-04",
        where_executed("/omitted", same("/omitted/report/affinity", "/control/report/affinity")),
    )
}

/// As [`where_supported`], for a process that was executed in a container.
fn where_executed(pointer: &str, judge: Judge) -> Judge {
    let pointer = pointer.to_owned();
    Box::new(move |evidence| match evidence.at(&format!("{pointer}/exec/exit")).and_then(Value::as_i64) {
        Some(code) if code != 0 => {
            crate::verdict::Judgement::skip(Reason::Unsupported, evidence.show(&format!("{pointer}/exec")))
        }
        _ => judge(evidence),
    })
}

/// A memory policy: name, configuration, and the mode with flags and the nodes that the kernel then has.
type Policy = (&'static str, &'static str, i64, u64);

const POLICIES: [Policy; 9] = [
    ("default", r#"{"mode": "MPOL_DEFAULT"}"#, 0, 0),
    ("preferred", r#"{"mode": "MPOL_PREFERRED", "nodes": "0"}"#, 1, 1),
    ("bind", r#"{"mode": "MPOL_BIND", "nodes": "0"}"#, 2, 1),
    ("interleave", r#"{"mode": "MPOL_INTERLEAVE", "nodes": "0"}"#, 3, 1),
    ("local", r#"{"mode": "MPOL_LOCAL"}"#, 4, 0),
    ("preferred-many", r#"{"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}"#, 5, 1),
    ("weighted", r#"{"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}"#, 6, 1),
    ("static", r#"{"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}"#, 2 | 1 << 15, 1),
    (
        "relative",
        r#"{"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}"#,
        3 | 1 << 14,
        1,
    ),
];

fn memory_policy((name, policy, mode, nodes): &'static Policy) -> Case<Stage> {
    let judge = |pointer: &str, value: Value| where_supported("/life", equals(pointer, value));
    let case = Case::new(format!("memory-policy/{name}"), |stage: &mut Stage| {
        kernel_has_policies(*mode)?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["memoryPolicy"] = parsed(policy);
        stage.observe("life", &config)
    });
    let mode_row = if *mode > 0xff { "LNX-MPOL-03" } else { "LNX-MPOL-01" };
    case.rule(mode_row, judge("/life/report/memoryPolicy/mode", json!(mode)))
        .rule("LNX-MPOL-02", judge("/life/report/memoryPolicy/nodes", json!(nodes)))
}

/// The weighted mode is the youngest, of Linux 6.9.
fn kernel_has_policies(mode: i64) -> Result<(), Obstacle> {
    let skip = |why: &str| Err(Obstacle::Skip(Reason::Kernel, why.to_owned()));
    if plimsoll_sys::inspect::memory_policy().is_err() {
        return skip("the kernel has no memory policies");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:")).unwrap_or_default();
    if !allowed.trim().starts_with('0') {
        return skip("the first memory node may not be used");
    }
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if mode == 6 && release < (6, 9) { skip("the kernel has no weighted interleaving") } else { Ok(()) }
}

fn memory_policy_refused() -> Case<Stage> {
    Case::new("memory-policy/refused", |stage: &mut Stage| {
        kernel_has_policies(0)?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
        stage.observe("control", &config)?;
        for (name, policy) in [
            ("unknown", json!({"mode": "MPOL_TEST"})),
            ("default-nodes", json!({"mode": "MPOL_DEFAULT", "nodes": "0"})),
            ("bind-none", json!({"mode": "MPOL_BIND"})),
            ("malformed", json!({"mode": "MPOL_BIND", "nodes": "zero"})),
            ("flag", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_TEST"]})),
        ] {
            config["linux"]["memoryPolicy"] = policy;
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("LNX-MPOL-01", where_supported("/control", each_refused_by_start(&["/unknown"])))
    .rule(
        "LNX-MPOL-02",
        where_supported("/control", each_refused_by_start(&["/default-nodes", "/bind-none", "/malformed"])),
    )
    .rule("LNX-MPOL-03", where_supported("/control", each_refused_by_start(&["/flag"])))
}
