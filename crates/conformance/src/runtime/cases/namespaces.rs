//! Namespaces: made, joined, inherited; mappings of ids and offsets of clocks.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use plimsoll_sys::process::CloneFlags;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{
    all, differ, each_refused_by_start, equals, provided, refusals_leave_nothing, refused, same, satisfies,
    where_supported,
};
use crate::evidence::{Evidence, Judge};
use crate::netlink::Netlink;
use crate::probe::namespaces;
use crate::runtime::KINDS;
use crate::runtime::Stage;
use crate::runtime::caller::Caller;
use crate::runtime::holder::Holder;
use crate::verdict::{Judgement, Reason};

use super::edit::{bind, drop_namespace, remove, set_namespace};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = KINDS.iter().map(supported).collect();
    cases.extend(KINDS.iter().map(joined));
    cases.extend([relative(), created(), duplicates(), without_type()]);
    cases.extend(["pid", "network", "ipc", "uts"].map(inherited));
    cases.extend([inherited_by_default(), mappings(), mappings_refused()]);
    cases.extend([offsets(), offsets_refused()]);
    cases
}

/// A kind as configurations call it, as `/proc` does, and as clone(2) does.
type Kind = (&'static str, &'static str, CloneFlags);

/// Skips where the kernel has no namespaces of the kind.
fn kernel_has(kind: &str) -> Result<(), Obstacle> {
    match Path::new("/proc/self/ns").join(kind).exists() {
        true => Ok(()),
        false => Err(Obstacle::Skip(Reason::Kernel, format!("the kernel has no {kind} namespaces"))),
    }
}

/// Makes what the container has to be kept from seeing, and a configuration with the namespace.
fn config_with(stage: &Stage, kind: &str) -> Value {
    let mut config = stage.config(&["list:/proc", "read:/proc/self/uid_map", "exit:0"]);
    set_namespace(&mut config, kind, None);
    if kind == "user" && stage.caller == Caller::Root {
        // Every id to itself.
        let mapping = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
    }
    config
}

/// What the kernel shows of the mappings that `config` has as `member`.
fn shown(config: &Value, member: &str) -> Vec<String> {
    let ranges = config["linux"][member].as_array().cloned().unwrap_or_default();
    let numbers = |range: &Value| ["containerID", "hostID", "size"].map(|name| range[name].to_string());
    ranges.iter().flat_map(numbers).collect()
}

/// The file with the mapping, read as `action`, shows what is `wanted`.
fn maps(action: &str, wanted: &'static str) -> Judge {
    let place = format!("/life/report/results/{action}/value");
    Box::new(move |evidence: &Evidence| {
        let found = evidence.at(&place).and_then(Value::as_str).unwrap_or_default();
        let found: Vec<&str> = found.split_whitespace().collect();
        let asked = evidence.at(wanted).and_then(Value::as_array).cloned().unwrap_or_default();
        let holds = !asked.is_empty() && asked.iter().map(Value::as_str).eq(found.iter().copied().map(Some));
        Judgement::of(holds, format!("the mapping is {}", evidence.show(wanted)), format!("{found:?}"))
    })
}

fn supported((kind, file, _): &'static Kind) -> Case<Stage> {
    let row: &'static str = match *kind {
        "pid" => "LNX-NS-t-pid",
        "network" => "LNX-NS-t-network",
        "mount" => "LNX-NS-t-mount",
        "ipc" => "LNX-NS-t-ipc",
        "uts" => "LNX-NS-t-uts",
        "user" => "LNX-NS-t-user",
        "cgroup" => "LNX-NS-t-cgroup",
        _ => "LNX-NS-t-time",
    };
    Case::new(format!("namespaces/{kind}"), move |stage: &mut Stage| {
        kernel_has(file)?;
        if *kind == "network" && stage.caller == Caller::Root {
            plimsoll_sys::process::unshare(CloneFlags::NEWNET)
                .map_err(|errno| Obstacle::of("make a network namespace", errno))?;
            let made = Netlink::open().and_then(|mut netlink| netlink.add_pair("plimsoll0", "plimsoll1"));
            made.context(|| "make a pair of devices")?;
            stage.note_own("net");
            stage.note_command(&PAIR);
        }
        stage.evidence.record("host", json!(namespaces("self")));
        let config = config_with(stage, kind);
        stage.evidence.record("uids", shown(&config, "uidMappings"));
        stage.observe("life", &config)
    })
    .rule(
        row,
        where_supported(
            "/life",
            all(vec![
                differ(&format!("/life/report/namespaces/{file}"), &format!("/host/{file}")),
                behaviour(kind),
            ]),
        ),
    )
}

/// What makes the pair of devices by hand.
const PAIR: [&str; 9] = ["ip", "link", "add", "plimsoll0", "type", "veth", "peer", "name", "plimsoll1"];

/// What the container sees because of its namespace.
fn behaviour(kind: &str) -> Judge {
    match kind {
        "pid" => all(vec![
            equals("/life/report/pid", 1),
            satisfies("/life/report/results/0/value", "names one process", |names| {
                let number = |name: &&Value| name.as_str().is_some_and(|name| name.parse::<u32>().is_ok());
                names.as_array().is_some_and(|names| names.iter().filter(number).count() == 1)
            }),
        ]),
        "network" => satisfies("/life/report/interfaces", "has lo and not plimsoll0", |devices| {
            devices.get("lo").is_some() && devices.get("plimsoll0").is_none()
        }),
        "uts" => equals("/life/report/hostname", "probe"),
        "user" => maps("1", "/uids"),
        "cgroup" => satisfies("/life/report/cgroup", "is the root of every hierarchy", |text| {
            text.as_str()
                .is_some_and(|text| !text.is_empty() && text.lines().all(|line| line.ends_with(":/")))
        }),
        _ => equals("/life/exit/code", 0),
    }
}

/// The right file, a file of the next kind, and one that is no namespace.
fn joined((kind, file, flags): &'static Kind) -> Case<Stage> {
    Case::new(format!("namespaces/join-{kind}"), move |stage: &mut Stage| {
        kernel_has(file)?;
        let holder = stage.hold(*flags)?;
        let target = std::fs::read_link(holder.path(file)).context(|| "read a namespace's link")?;
        stage.evidence.record("holder", json!({"target": target}));
        stage.evidence.record("host", json!(namespaces("self")));
        let mut config = config_with(stage, kind);
        if *kind == "user" {
            remove(&mut config, "/linux/uidMappings");
            remove(&mut config, "/linux/gidMappings");
        }
        if *kind == "uts" {
            remove(&mut config, "/hostname");
        }
        enter_user_namespace(stage, &mut config, &holder);
        set_namespace(&mut config, kind, Some(&holder.path(file)));
        stage.observe("life", &config)?;
        let at = KINDS.iter().position(|(name, ..)| name == kind).unwrap_or_default();
        let wrong = KINDS.iter().cycle().skip(at + 1).take(KINDS.len() - 1);
        let wrong = wrong.filter(|(_, other, _)| Path::new("/proc/self/ns").join(other).exists());
        let mut attempts = Vec::new();
        for (other, file, _) in wrong.take(2) {
            set_namespace(&mut config, kind, Some(&holder.path(file)));
            stage.attempt(&format!("wrong-{other}"), &config)?;
            attempts.push(format!("wrong-{other}"));
        }
        for (name, path) in [("no-namespace", "/proc/self/status"), ("absent", "/proc/self/ns/nothing")] {
            set_namespace(&mut config, kind, Some(Path::new(path)));
            stage.attempt(name, &config)?;
            attempts.push(name.to_owned());
        }
        stage.evidence.record("attempts", attempts);
        Ok(())
    })
    .rule(
        "LNX-NS-03",
        where_supported(
            "/life",
            all(vec![
                same(&format!("/life/report/namespaces/{file}"), "/holder/target"),
                differ("/holder/target", &format!("/host/{file}")),
            ]),
        ),
    )
    .rule("LNX-NS-04", where_supported("/life", provided(equals("/life/create/exit", 0), every_attempt())))
}

/// An ordinary user's other namespaces belong to one of users, which the container has to join first.
fn enter_user_namespace(stage: &Stage, config: &mut Value, holder: &Holder) {
    if stage.caller != Caller::Root {
        set_namespace(config, "user", Some(&holder.path("user")));
        remove(config, "/linux/uidMappings");
        remove(config, "/linux/gidMappings");
    }
}

/// All that `attempts` names was refused by create.
fn every_attempt() -> Judge {
    Box::new(|evidence: &Evidence| {
        let names = evidence.at("/attempts").and_then(Value::as_array).cloned().unwrap_or_default();
        let judges = names.iter().filter_map(Value::as_str).map(|name| refused(&format!("/{name}")));
        all(judges.collect())(evidence)
    })
}

/// A path that would lead to a namespace from wherever a runtime may stand, were it not relative.
fn relative() -> Case<Stage> {
    Case::new("namespaces/relative-path", |stage: &mut Stage| {
        let holder = stage.hold(CloneFlags::NEWNET)?;
        let mut config = stage.config(&["exit:0"]);
        enter_user_namespace(stage, &mut config, &holder);
        set_namespace(&mut config, "network", Some(Path::new("net-here")));
        let container = stage.bundle(&config)?;
        for folder in [stage.place.clone(), container.bundle.clone()] {
            let link = folder.join("net-here");
            std::os::unix::fs::symlink(holder.path("net"), &link).context(|| "link a namespace")?;
        }
        stage.attempt_in("attempt", container)?;
        set_namespace(&mut config, "network", Some(&stage.place.join("net-here")));
        stage.observe("control", &config)
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    .rule("LNX-NS-02", provided(equals("/control/report/pid", 1), refused("/attempt")))
}

/// Two containers at one time, whose namespaces are neither the runtime's nor each other's.
fn created() -> Case<Stage> {
    let of = |file: &str| {
        all(vec![
            differ(&format!("/first/{file}"), &format!("/host/{file}")),
            differ(&format!("/second/{file}"), &format!("/host/{file}")),
            differ(&format!("/first/{file}"), &format!("/second/{file}")),
        ])
    };
    Case::new("namespaces/new", |stage: &mut Stage| {
        stage.evidence.record("host", json!(namespaces("self")));
        let mut containers = Vec::new();
        for name in ["first", "second"] {
            let mut config = stage.config(&["wait"]);
            stage.place_cgroup(&mut config, name);
            let mut container = stage.bundle(&config)?;
            for ran in [stage.create(&mut container)?, stage.start(&container)?] {
                if !ran.ok() {
                    let why = format!("the container does not run: {}", ran.stderr);
                    return Err(Obstacle::Inconclusive(why));
                }
            }
            // Until the program is executed, the process may be hidden from an ordinary user.
            stage.await_frames(&container, 1)?;
            containers.push(container);
        }
        for (name, container) in ["first", "second"].iter().zip(&containers) {
            let pid = container.pid.unwrap_or_default().to_string();
            stage.evidence.record(name, json!(namespaces(&pid)));
        }
        containers.iter().try_for_each(|container| stage.clean(container))
    })
    .rule("LNX-NS-05", all(["pid", "net", "mnt", "ipc", "uts"].map(of).into()))
}

fn duplicates() -> Case<Stage> {
    let case = Case::new("namespaces/duplicates", |stage: &mut Stage| {
        for (kind, file, _) in KINDS {
            if kernel_has(file).is_err() {
                continue;
            }
            let mut config = config_with(stage, kind);
            if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                list.push(json!({"type": kind}));
            }
            stage.attempt(kind, &config)?;
        }
        let holder = stage.hold(CloneFlags::NEWNET)?;
        let mut config = stage.config(&["exit:0"]);
        if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
            list.push(json!({"type": "network", "path": holder.path("net")}));
        }
        stage.attempt("one-with-path", &config)
    })
    .rule("RUN-ERR-01", refusals_leave_nothing());
    let names = KINDS.iter().map(|(kind, ..)| *kind).filter(|kind| *kind != "time");
    let places = names.chain(["one-with-path"]);
    places.fold(case, |case, name| case.rule("LNX-NS-07", refused(&format!("/{name}")))).rule(
        "LNX-NS-07",
        crate::evidence::judge::where_present(
            "/time",
            Reason::Kernel,
            "the kernel has no time namespaces",
            refused("/time"),
        ),
    )
}

fn without_type() -> Case<Stage> {
    Case::new("namespaces/type", |stage: &mut Stage| {
        for (name, entry) in [("missing", json!({})), ("unknown", json!({"type": "plimsoll"}))] {
            let mut config = stage.config(&["exit:0"]);
            if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                list.push(entry);
            }
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    // One of no type can only be passed over, which leaves the container without what was asked for.
    .rule("LNX-NS-01", refused("/missing"))
    .rule("LNX-NS-01", refused("/unknown"))
}

/// The mount namespace is not among those that are dropped: a runtime that changes its root within that of
/// the worker would take the worker along.
fn inherited(kind: &'static str) -> Case<Stage> {
    let file = KINDS.iter().find(|(name, ..)| *name == kind).map_or(kind, |(_, file, _)| *file);
    Case::new(format!("namespaces/inherit-{kind}"), move |stage: &mut Stage| {
        stage.evidence.record("host", json!(namespaces("self")));
        let mut config = stage.config(&["exit:0"]);
        drop_namespace(&mut config, kind);
        if kind == "uts" {
            remove(&mut config, "/hostname");
        }
        if kind == "pid" && stage.caller != Caller::Root {
            // Only who owns the namespace may mount its processes.
            config["mounts"][0] = bind(Path::new("/proc"), "/proc", &["rbind"]);
        }
        stage.observe("life", &config)
    })
    .rule(
        "LNX-NS-06",
        where_supported("/life", same(&format!("/life/report/namespaces/{file}"), &format!("/host/{file}"))),
    )
}

fn inherited_by_default() -> Case<Stage> {
    let case = Case::new("namespaces/inherit", |stage: &mut Stage| {
        let mut host = json!(namespaces("self"));
        if stage.caller != Caller::Root {
            // His container cannot be without one of its own.
            remove(&mut host, "/user");
        }
        stage.evidence.record("host", host);
        let config = stage.config(&["exit:0"]);
        stage.observe("life", &config)
    });
    ["cgroup", "time", "user"].iter().fold(case, |case, file| {
        let judge = same(&format!("/life/report/namespaces/{file}"), &format!("/host/{file}"));
        let why = "the kernel has no such namespaces, or the caller no choice";
        let place = format!("/host/{file}");
        case.rule("LNX-NS-06", crate::evidence::judge::where_present(&place, Reason::Kernel, why, judge))
    })
}

/// Several ranges each, so that order and all three numbers show.
fn mappings() -> Case<Stage> {
    Case::new("user-namespace/mappings", |stage: &mut Stage| {
        kernel_has("user")?;
        let actions = ["read:/proc/self/uid_map", "read:/proc/self/gid_map", "exit:0"];
        let mut config = stage.config(&actions);
        set_namespace(&mut config, "user", None);
        stage.caller.must_have_ids(1007)?;
        if stage.caller == Caller::Root {
            config["linux"]["uidMappings"] = json!([
                {"containerID": 0, "hostID": 100_000, "size": 100},
                {"containerID": 1000, "hostID": 200_000, "size": 50},
            ]);
            config["linux"]["gidMappings"] = json!([
                {"containerID": 0, "hostID": 300_000, "size": 70},
                {"containerID": 500, "hostID": 400_000, "size": 9},
            ]);
        }
        stage.evidence.record("uids", shown(&config, "uidMappings"));
        stage.evidence.record("gids", shown(&config, "gidMappings"));
        config["process"]["user"] = json!({"uid": 1007, "gid": 503});
        let container = stage.bundle(&config)?;
        let before = owners(&container.bundle);
        let bundle = container.bundle.clone();
        stage.observe_in("life", container)?;
        let after = owners(&bundle);
        let changed: Vec<_> = before.iter().filter(|(path, owner)| after.get(*path) != Some(owner)).collect();
        stage.evidence.record("owners", json!({"looked": before.len(), "changed": changed}));
        Ok(())
    })
    .rule("LNX-UNS-02", where_supported("/life", all(vec![maps("0", "/uids"), maps("1", "/gids")])))
    .rule("LNX-UNS-03", where_supported("/life", equals("/owners/changed", json!([]))))
    .rule("CFG-USER-01", where_supported("/life", equals("/life/report/uids/0", 1007)))
    .rule("CFG-USER-02", where_supported("/life", equals("/life/report/gids/0", 503)))
}

/// The owner of everything at `path` and below it.
fn owners(path: &Path) -> BTreeMap<String, (u32, u32)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).chain([folder.clone()]) {
            let Ok(status) = path.symlink_metadata() else { continue };
            found.insert(path.to_string_lossy().into_owned(), (status.uid(), status.gid()));
            if status.is_dir() && path != folder {
                folders.push(path);
            }
        }
    }
    found
}

fn mappings_refused() -> Case<Stage> {
    Case::new("user-namespace/refused", |stage: &mut Stage| {
        kernel_has("user")?;
        let mut config = config_with(stage, "user");
        stage.observe("control", &config)?;
        let id = stage.caller.own_id().unwrap_or(100_000);
        for (name, entry) in [
            ("no-size", json!({"containerID": 0, "hostID": id})),
            ("size-zero", json!({"containerID": 0, "hostID": id, "size": 0})),
            ("negative", json!({"containerID": 0, "hostID": -1, "size": 10})),
        ] {
            config["linux"]["uidMappings"] = json!([entry]);
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    // An entry without a size maps nothing, so no kernel takes it; the other two members have zeros that mean
    // something, and a runtime need not tell them from what is missing.
    .rule("LNX-UNS-01", where_supported("/control", refused("/no-size")))
    .rule("LNX-UNS-01", where_supported("/control", refused("/size-zero")))
    .rule("LNX-UNS-01", where_supported("/control", refused("/negative")))
}

const MONOTONIC: i64 = 86_400;
const BOOTTIME: i64 = 604_800;

fn offsets() -> Case<Stage> {
    Case::new("time-namespace/offsets", |stage: &mut Stage| {
        kernel_has("time")?;
        let mut config = stage.config(&["read:/proc/self/timens_offsets", "exit:0"]);
        set_namespace(&mut config, "time", None);
        config["linux"]["timeOffsets"] = json!({
            "monotonic": {"secs": MONOTONIC, "nanosecs": 500_000_000},
            "boottime": {"secs": BOOTTIME},
        });
        stage.evidence.record("before", clocks());
        stage.observe("life", &config)?;
        stage.evidence.record("after", clocks());
        Ok(())
    })
    .rule(
        "LNX-TIME-01",
        where_supported(
            "/life",
            all(vec![
                satisfies("/life/report/results/0/value", "has both offsets", |text| {
                    let text = text.as_str().unwrap_or_default();
                    let mut lines: Vec<Vec<&str>> =
                        text.lines().map(|line| line.split_whitespace().collect()).collect();
                    lines.sort();
                    lines == [vec!["boottime", "604800", "0"], vec!["monotonic", "86400", "500000000"]]
                }),
                moved("monotonic", MONOTONIC),
                moved("boottime", BOOTTIME),
            ]),
        ),
    )
}

fn clocks() -> Value {
    json!({
        "monotonic": clock_gettime(ClockId::Monotonic).tv_sec,
        "boottime": clock_gettime(ClockId::Boottime).tv_sec,
    })
}

/// The probe's clock stands between those of the host before and after, moved by `offset`; seconds are whole,
/// and half a second may be added.
fn moved(clock: &'static str, offset: i64) -> Judge {
    Box::new(move |evidence: &Evidence| {
        let read = |place: &str| evidence.at(&format!("/{place}/{clock}")).and_then(Value::as_i64);
        let (before, inside, after) = (read("before"), read("life/report/clocks"), read("after"));
        let holds = match (before, inside, after) {
            (Some(before), Some(inside), Some(after)) => {
                (before + offset..=after + offset + 1).contains(&inside)
            }
            _ => false,
        };
        Judgement::of(
            holds,
            format!("{clock} is {offset} s ahead of the host"),
            format!("{before:?} before, {inside:?} inside, {after:?} after"),
        )
    })
}

fn offsets_refused() -> Case<Stage> {
    Case::new("time-namespace/refused", |stage: &mut Stage| {
        kernel_has("time")?;
        let mut config = stage.config(&["exit:0"]);
        set_namespace(&mut config, "time", None);
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 10}});
        stage.observe("control", &config)?;
        for clock in ["plimsoll", "realtime"] {
            config["linux"]["timeOffsets"] = json!({clock: {"secs": 10}});
            stage.attempt(clock, &config)?;
        }
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 10}});
        drop_namespace(&mut config, "time");
        stage.attempt("none", &config)?;
        let holder = stage.hold(CloneFlags::NEWTIME)?;
        enter_user_namespace(stage, &mut config, &holder);
        set_namespace(&mut config, "time", Some(&holder.path("time")));
        stage.attempt("joined", &config)
    })
    .rule(
        "LNX-TIME-02",
        where_supported("/control", each_refused_by_start(&["/none", "/joined", "/plimsoll", "/realtime"])),
    )
}
