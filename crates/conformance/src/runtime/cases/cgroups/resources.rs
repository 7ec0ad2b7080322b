//! Limits: a value of the configuration, and the file that has to hold it.

use serde_json::{Map, Value, json};

use crate::Reason;
use crate::case::{Case, Obstacle};
use crate::evidence::judge::{all, equals, refused_by_start, satisfies, succeeds};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::Judgement;

use super::{created, is_pure, need, need_own, need_pure, place, refusal, shows};

/// Which text a file has to hold.
#[derive(Clone, Copy)]
enum Shown {
    /// This one.
    Text(&'static str),
    /// A line that begins so.
    Line(&'static str),
    /// A number within these bounds: where the specification leaves the conversion open.
    Between(u64, u64),
    /// Nothing: version 2 has no such file.
    Nowhere,
}

use Shown::{Between, Line, Nowhere, Text};

/// One limit.
struct Limit {
    row: &'static str,
    controller: &'static str,
    resources: fn() -> Value,
    /// File and text by version 1.
    first: (&'static str, Shown),
    /// And by version 2.
    second: (&'static str, Shown),
}

const MEGA: u64 = 1 << 20;

const LIMITS: [Limit; 20] = [
    Limit {
        row: "LNX-MEM-limit",
        controller: "memory",
        resources: || json!({"memory": {"limit": 64 * MEGA}}),
        first: ("memory.limit_in_bytes", Text("67108864")),
        second: ("memory.max", Text("67108864")),
    },
    Limit {
        row: "LNX-MEM-reservation",
        controller: "memory",
        resources: || json!({"memory": {"reservation": 32 * MEGA}}),
        first: ("memory.soft_limit_in_bytes", Text("33554432")),
        second: ("memory.low", Text("33554432")),
    },
    Limit {
        row: "LNX-MEM-swap",
        controller: "memory",
        resources: || json!({"memory": {"limit": 64 * MEGA, "swap": 96 * MEGA}}),
        first: ("memory.memsw.limit_in_bytes", Text("100663296")),
        second: ("memory.swap.max", Text("33554432")),
    },
    Limit {
        row: "LNX-MEM-neg1",
        controller: "memory",
        resources: || json!({"memory": {"limit": -1}}),
        first: ("memory.limit_in_bytes", Between(1 << 50, u64::MAX)),
        second: ("memory.max", Text("max")),
    },
    Limit {
        row: "LNX-MEM-swappiness",
        controller: "memory",
        resources: || json!({"memory": {"swappiness": 10}}),
        first: ("memory.swappiness", Text("10")),
        second: ("", Nowhere),
    },
    Limit {
        row: "LNX-MEM-disableOOMKiller",
        controller: "memory",
        resources: || json!({"memory": {"limit": 64 * MEGA, "disableOOMKiller": true}}),
        first: ("memory.oom_control", Line("oom_kill_disable 1")),
        second: ("", Nowhere),
    },
    Limit {
        row: "LNX-MEM-useHierarchy",
        controller: "memory",
        resources: || json!({"memory": {"useHierarchy": true}}),
        first: ("memory.use_hierarchy", Text("1")),
        second: ("", Nowhere),
    },
    Limit {
        row: "LNX-CPU-shares",
        controller: "cpu",
        resources: || json!({"cpu": {"shares": 512}}),
        first: ("cpu.shares", Text("512")),
        // Half of the default share is less than the default weight, by any conversion.
        second: ("cpu.weight", Between(1, 99)),
    },
    Limit {
        row: "LNX-CPU-quota",
        controller: "cpu",
        resources: || json!({"cpu": {"quota": 50_000, "period": 100_000}}),
        first: ("cpu.cfs_quota_us", Text("50000")),
        second: ("cpu.max", Text("50000 100000")),
    },
    Limit {
        row: "LNX-CPU-period",
        controller: "cpu",
        resources: || json!({"cpu": {"quota": 20_000, "period": 40_000}}),
        first: ("cpu.cfs_period_us", Text("40000")),
        second: ("cpu.max", Text("20000 40000")),
    },
    Limit {
        row: "LNX-CPU-burst",
        controller: "cpu",
        resources: || json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 10_000}}),
        first: ("cpu.cfs_burst_us", Text("10000")),
        second: ("cpu.max.burst", Text("10000")),
    },
    Limit {
        row: "LNX-CPU-idle",
        controller: "cpu",
        resources: || json!({"cpu": {"idle": 1}}),
        first: ("cpu.idle", Text("1")),
        second: ("cpu.idle", Text("1")),
    },
    Limit {
        row: "LNX-CPU-cpus",
        controller: "cpuset",
        resources: || json!({"cpu": {"cpus": "0"}}),
        first: ("cpuset.cpus", Text("0")),
        second: ("cpuset.cpus", Text("0")),
    },
    Limit {
        row: "LNX-CPU-mems",
        controller: "cpuset",
        resources: || json!({"cpu": {"mems": "0"}}),
        first: ("cpuset.mems", Text("0")),
        second: ("cpuset.mems", Text("0")),
    },
    Limit {
        row: "LNX-PID-01",
        controller: "pids",
        resources: || json!({"pids": {"limit": 32}}),
        first: ("pids.max", Text("32")),
        second: ("pids.max", Text("32")),
    },
    Limit {
        row: "LNX-PID-02",
        controller: "pids",
        resources: || json!({"pids": {"limit": -1}}),
        first: ("pids.max", Text("max")),
        second: ("pids.max", Text("max")),
    },
    Limit {
        row: "LNX-HUGE-02",
        controller: "hugetlb",
        resources: || json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEGA}]}),
        first: ("hugetlb.2MB.limit_in_bytes", Text("4194304")),
        second: ("hugetlb.2MB.max", Text("4194304")),
    },
    Limit {
        row: "LNX-HUGE-03",
        controller: "hugetlb",
        resources: || json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEGA}]}),
        first: ("hugetlb.2MB.rsvd.limit_in_bytes", Text("4194304")),
        second: ("hugetlb.2MB.rsvd.max", Text("4194304")),
    },
    Limit {
        row: "LNX-CGN-01",
        controller: "net_cls",
        resources: || json!({"network": {"classID": 1_048_577}}),
        first: ("net_cls.classid", Text("1048577")),
        second: ("", Nowhere),
    },
    Limit {
        row: "LNX-CGN-02",
        controller: "net_prio",
        resources: || json!({"network": {"priorities": [{"name": "lo", "priority": 7}]}}),
        first: ("net_prio.ifpriomap", Line("lo 7")),
        second: ("", Nowhere),
    },
];

/// What of `blockIO` limits a device: member, file and unit of version 1, key of version 2.
const THROTTLES: [(&str, &str, &str, &str); 4] = [
    ("LNX-BIO-throttleReadBpsDevice", "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("LNX-BIO-throttleWriteBpsDevice", "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("LNX-BIO-throttleReadIOPSDevice", "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    (
        "LNX-BIO-throttleWriteIOPSDevice",
        "throttleWriteIOPSDevice",
        "blkio.throttle.write_iops_device",
        "wiops",
    ),
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = LIMITS.iter().map(limit).collect();
    cases.extend(THROTTLES.iter().map(throttle));
    cases.extend([
        weight(),
        no_processes(),
        out_of_memory(),
        out_of_processes(),
        unified(),
        one_that_is_off(),
    ]);
    let pages = |config: &mut Value| {
        config["linux"]["resources"] = json!({"hugepageLimits": [{"pageSize": "3MB", "limit": MEGA}]});
    };
    cases.push(refusal("huge-page-size", "LNX-HUGE-01", pages, || need_own("hugetlb").map(drop)));
    let unknown = |config: &mut Value| config["linux"]["resources"] = json!({"unified": {"nosuch.max": "1"}});
    cases.push(refusal("unified-unknown", "LNX-UNI-03", unknown, need_pure));
    cases.extend(inconvertible());
    cases
}

/// What the files named in `wanted` hold, of a created container of `config`.
fn read(stage: &mut Stage, config: &Value, controller: &str, wanted: &[&str]) -> Result<(), Obstacle> {
    let Some(container) = created(stage, config)? else { return Ok(()) };
    let place = place(&container, controller);
    let text = |file: &&str| {
        let text = place
            .as_ref()
            .and_then(|place| std::fs::read_to_string(format!("{}/{file}", place.directory)).ok());
        ((*file).to_owned(), json!(text))
    };
    stage.evidence.record("unified", place.as_ref().map(|place| place.unified));
    stage.evidence.record("files", wanted.iter().map(text).collect::<Map<_, _>>());
    stage.clean(&container)
}

fn limit(limit: &'static Limit) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        if is_pure() && matches!(limit.second.1, Nowhere) {
            let why =
                "cgroup version 2 has nothing that corresponds; LNX-UNI-05 says what follows".to_owned();
            return Err(Obstacle::NotApplicable(why));
        }
        let unified = need_own(limit.controller)?;
        let (file, _) = if unified { limit.second } else { limit.first };
        known_file(limit.controller, file)?;
        told_apart(limit.row)?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] = (limit.resources)();
        read(stage, &config, limit.controller, &[file])
    };
    let holds = Box::new(move |evidence: &Evidence| {
        let unified = evidence.at("/unified") == Some(&Value::Bool(true));
        let (file, shown) = if unified { limit.second } else { limit.first };
        held(file, shown)(evidence)
    });
    let case = Case::new(format!("cgroups/{}", limit.row), run);
    case.rule(limit.row, all(vec![succeeds("/create"), holds])).where_it_applies()
}

/// Skips where the file holds the same whether the limit is applied or not.
fn told_apart(row: &str) -> Result<(), Obstacle> {
    let holds =
        |file: &str, text: &str| std::fs::read_to_string(file).is_ok_and(|found| found.trim() == text);
    match row {
        "LNX-CPU-mems" if holds("/sys/devices/system/node/online", "0") => {
            Err(Obstacle::Skip(Reason::Hardware, "this host has one memory node".to_owned()))
        }
        "LNX-MEM-useHierarchy" if holds("/sys/fs/cgroup/memory/memory.use_hierarchy", "1") => {
            Err(Obstacle::Skip(Reason::Kernel, "every hierarchy of this kernel is one".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Skips where the kernel has the controller but not this file of it.
fn known_file(controller: &str, file: &str) -> Result<(), Obstacle> {
    // The root of a hierarchy lacks most of what its children have, so one below it is looked at.
    let root = std::path::Path::new(super::MOUNT);
    let hierarchy = match super::has(controller) {
        Some(false) => root.join(controller),
        _ if is_pure() => root.to_owned(),
        _ => root.join("unified"),
    };
    let below = std::fs::read_dir(&hierarchy).into_iter().flatten().flatten();
    let mut children = below.map(|entry| entry.path()).filter(|path| path.is_dir()).peekable();
    if hierarchy.join(file).exists()
        || children.peek().is_none()
        || children.any(|child| child.join(file).exists())
    {
        return Ok(());
    }
    // A hierarchy whose children have no controllers shows nothing either; only a subject can make it show.
    let delegated = std::fs::read_to_string(hierarchy.join("cgroup.subtree_control")).unwrap_or_default();
    if super::has(controller) == Some(true) && !delegated.split_whitespace().any(|one| one == controller) {
        return Ok(());
    }
    Err(Obstacle::Skip(Reason::Kernel, format!("this kernel has no {file}")))
}

fn held(file: &'static str, shown: Shown) -> Judge {
    let pointer = format!("/files/{file}");
    match shown {
        Text(wanted) => shows(file, wanted),
        Line(start) => satisfies(&pointer, &format!("has a line {start}"), move |text| {
            text.as_str().is_some_and(|text| text.lines().any(|line| line.starts_with(start)))
        }),
        Between(least, most) => satisfies(&pointer, &format!("is from {least} to {most}"), move |text| {
            let number = text.as_str().and_then(|text| text.trim().parse::<u64>().ok());
            number.is_some_and(|number| (least..=most).contains(&number))
        }),
        Nowhere => Box::new(|_| Judgement::not_applicable("cgroup version 2 has nothing that corresponds")),
    }
}

/// A block device of this host, by its numbers.
pub(super) fn block_device() -> Result<(u64, u64), Obstacle> {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let numbers = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let found = devices.filter_map(|entry| numbers(entry.path())).min();
    found.ok_or_else(|| Obstacle::Skip(Reason::Hardware, "this host has no block device".to_owned()))
}

fn throttle((row, member, first, second): &'static (&str, &str, &str, &str)) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        let unified = need_block_io()?;
        let (major, minor) = block_device()?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] =
            json!({"blockIO": {*member: [{"major": major, "minor": minor, "rate": 1_048_576}]}});
        stage.evidence.record("device", format!("{major}:{minor}"));
        let (controller, file) = if unified { ("io", "io.max") } else { ("blkio", *first) };
        read(stage, &config, controller, &[file])
    };
    let holds = Box::new(move |evidence: &Evidence| {
        let device = evidence.at("/device").and_then(Value::as_str).unwrap_or_default();
        let unified = evidence.at("/unified") == Some(&Value::Bool(true));
        let (file, wanted) =
            if unified { ("io.max", format!("{second}=1048576")) } else { (*first, "1048576".to_owned()) };
        let text = evidence.at(&format!("/files/{file}")).and_then(Value::as_str).unwrap_or_default();
        let line = text.lines().find(|line| line.split(' ').next() == Some(device));
        let shown = line.is_some_and(|line| line.split(' ').any(|word| word == wanted));
        Judgement::of(
            shown,
            format!("{file} has {wanted} for {device}"),
            evidence.show(&format!("/files/{file}")),
        )
    });
    Case::new(format!("cgroups/{row}"), run).rule(row, all(vec![succeeds("/create"), holds]))
}

/// The skip of a case that needs a controller of block devices; whether it is that of version 2.
fn need_block_io() -> Result<bool, Obstacle> {
    match need("blkio") {
        Ok(_) => Ok(false),
        Err(_) => need("io"),
    }
}

/// Version 2 has two weights, that of a scheduler and that of a cost model, and the specification says nothing
/// of either; the second has a wider range, and its conversion is left open.
fn weight() -> Case<Stage> {
    const FIRST: &str = "blkio.bfq.weight";
    const SECOND: [&str; 2] = ["io.bfq.weight", "io.weight"];
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] = json!({"blockIO": {"weight": 300}});
        if need_block_io()? {
            known_file("io", SECOND[0]).or_else(|_| known_file("io", SECOND[1]))?;
            read(stage, &config, "io", &SECOND)
        } else {
            known_file("blkio", FIRST)?;
            read(stage, &config, "blkio", &[FIRST])
        }
    };
    let holds = Box::new(|evidence: &Evidence| {
        let weight = |file: &str| {
            let text = evidence.at(&format!("/files/{file}")).and_then(Value::as_str)?;
            text.lines().find_map(|line| line.trim().trim_start_matches("default ").parse::<u64>().ok())
        };
        let [scheduler, model] = SECOND.map(weight);
        // 300 of 10 to 1000 is more than the default, which is 100 in either range.
        let shown = weight(FIRST).or(scheduler) == Some(300)
            || model.is_some_and(|weight| (101..=10_000).contains(&weight));
        Judgement::of(shown, "the weight is 300, or more than the default of 100", evidence.show("/files"))
    });
    Case::new("cgroups/LNX-BIO-weight", run).rule("LNX-BIO-weight", all(vec![succeeds("/create"), holds]))
}

/// A limit of no processes is one: not the same as no limit. That nothing can then be started is fine.
fn no_processes() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need("pids")?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] = json!({"pids": {"limit": 0}});
        read(stage, &config, "pids", &["pids.max"])
    };
    let holds = Box::new(|evidence: &Evidence| {
        let refused = evidence.at("/create/exit").is_some_and(|exit| *exit != 0);
        let text = evidence.at("/files/pids.max").and_then(Value::as_str).unwrap_or("max").trim().to_owned();
        // One is the least with which a process can run at all.
        let observed = if refused { "create fails".to_owned() } else { text.clone() };
        Judgement::of(refused || text == "0" || text == "1", "pids.max is 0, or nothing can run", observed)
    });
    Case::new("cgroups/no-processes", run).rule("LNX-PID-03", holds)
}

fn out_of_memory() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need("memory")?;
        let mut config = stage.config(&["allocate:256"]);
        config["linux"]["resources"] = json!({"memory": {"limit": 48 * MEGA, "swap": 48 * MEGA}});
        stage.observe("over", &config)?;
        let mut config = stage.config(&["allocate:64"]);
        config["linux"]["resources"] = json!({"memory": {"limit": 512 * MEGA}});
        stage.observe("under", &config)
    };
    let killed = satisfies("/over/exit", "is the end by SIGKILL", |exit| {
        exit.get("signal").is_some_and(|signal| *signal == 9) || exit.get("unknown").is_some()
    });
    Case::new("cgroups/out-of-memory", run).rule(
        "LNX-MEM-oom",
        all(vec![
            satisfies("/under/frames/1/allocated", "is all that was asked for", |size| *size == 64 * MEGA),
            killed,
            satisfies("/over/frames", "has no report of the allocation", |frames| {
                frames.as_array().is_some_and(|frames| frames.len() == 1)
            }),
        ]),
    )
}

fn out_of_processes() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need("pids")?;
        let mut config = stage.config(&["spawn:64"]);
        config["linux"]["resources"] = json!({"pids": {"limit": 16}});
        stage.observe("over", &config)
    };
    Case::new("cgroups/out-of-processes", run).rule("LNX-PID-01", equals("/over/frames/1/refused", "EAGAIN"))
}

/// Files of version 2 by their own names, known to the runtime or not.
fn unified() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_pure()?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] =
            json!({"unified": {"cgroup.max.depth": "7", "cgroup.max.descendants": "9"}});
        read(stage, &config, "", &["cgroup.max.depth", "cgroup.max.descendants"])
    };
    Case::new("cgroups/unified", run).rule(
        "LNX-UNI-02",
        all(vec![succeeds("/create"), shows("cgroup.max.depth", "7"), shows("cgroup.max.descendants", "9")]),
    )
}

/// A controller that no group above has switched on is switched on.
fn one_that_is_off() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_pure()?;
        need("hugetlb")?;
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["resources"] = json!({"unified": {"hugetlb.2MB.max": "2097152"}});
        read(stage, &config, "", &["hugetlb.2MB.max"])
    };
    Case::new("cgroups/unified-controller", run)
        .rule("LNX-UNI-01", all(vec![succeeds("/create"), shows("hugetlb.2MB.max", "2097152")]))
}

/// A name, and resources that only version 1 has.
type Inconvertible = (&'static str, fn() -> Value);

/// What has no counterpart in version 2 must not be dropped in silence.
fn inconvertible() -> Vec<Case<Stage>> {
    let rows: [Inconvertible; 4] = [
        ("kernel-tcp", || json!({"memory": {"kernelTCP": 16 * MEGA}})),
        ("swappiness", || json!({"memory": {"swappiness": 10}})),
        ("class-id", || json!({"network": {"classID": 1_048_577}})),
        ("realtime", || json!({"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 10_000}})),
    ];
    let case = |(name, resources): Inconvertible| {
        let run = move |stage: &mut Stage| {
            need_pure()?;
            let mut config = stage.config(&["exit:0"]);
            config["linux"]["resources"] = resources();
            stage.attempt("attempt", &config)
        };
        Case::new(format!("cgroups/inconvertible-{name}"), run)
            .rule("LNX-UNI-05", refused_by_start("/attempt"))
    };
    rows.map(case).into()
}
