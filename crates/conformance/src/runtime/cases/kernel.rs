//! What the kernel is told for a container: parameters, the execution domain, and resource director classes.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{
    all, each_refused_by_start, equals, refusals_leave_nothing, refused, same, satisfies, where_supported,
};
use crate::runtime::Stage;
use crate::verdict::Reason;

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![sysctl(), personality(), personality_refused(), resctrl_absent(), resctrl_untouched()]
}

/// Parameters of the namespaces for network and IPC, by the file of each, and values that are no defaults.
const PARAMETERS: [(&str, &str, &str); 3] = [
    ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", "1"),
    ("net.ipv4.ping_group_range", "/proc/sys/net/ipv4/ping_group_range", "3 5"),
    ("kernel.msgmax", "/proc/sys/kernel/msgmax", "9876"),
];

fn sysctl() -> Case<Stage> {
    let case = Case::new("sysctl/set", |stage: &mut Stage| {
        stage.caller.must_have_ids(5)?;
        let host = || -> Vec<String> {
            let read = |(_, path, _): &(&str, &str, &str)| std::fs::read_to_string(path).unwrap_or_default();
            PARAMETERS.iter().map(read).collect()
        };
        stage.evidence.record("before", host());
        let mut actions: Vec<String> = PARAMETERS.iter().map(|(_, path, _)| format!("read:{path}")).collect();
        actions.push("exit:0".to_owned());
        let mut config = stage.config(&actions.iter().map(String::as_str).collect::<Vec<_>>());
        let parameters = PARAMETERS.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value)));
        config["linux"]["sysctl"] = Value::Object(parameters.collect());
        stage.observe("life", &config)?;
        stage.evidence.record("after", host());
        Ok(())
    });
    let judges = PARAMETERS.iter().enumerate().map(|(at, (_, _, value))| {
        satisfies(&format!("/life/report/results/{at}/value"), &format!("is {value}"), move |text| {
            let text = text.as_str().unwrap_or_default();
            text.split_whitespace().eq(value.split_whitespace())
        })
    });
    let judges = judges.chain([same("/before", "/after")]).collect();
    case.rule("LNX-SYSCTL-01", where_supported("/life", all(judges)))
}

const PER_LINUX32: u64 = 8;

fn personality() -> Case<Stage> {
    Case::new("personality/domain", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        for (name, domain) in [("linux", "LINUX"), ("linux32", "LINUX32")] {
            config["linux"]["personality"] = json!({"domain": domain});
            stage.observe(name, &config)?;
        }
        let uname = rustix::system::uname();
        stage.evidence.record("machine", uname.machine().to_string_lossy().into_owned());
        Ok(())
    })
    .rule(
        "LNX-PERS-01",
        where_supported(
            "/linux",
            all(vec![equals("/linux/report/personality", 0), same("/linux/report/machine", "/machine")]),
        ),
    )
    .rule(
        "LNX-PERS-01",
        where_supported(
            "/linux32",
            all(vec![
                equals("/linux32/report/personality", PER_LINUX32),
                crate::evidence::judge::differ("/linux32/report/machine", "/machine"),
            ]),
        ),
    )
}

fn personality_refused() -> Case<Stage> {
    Case::new("personality/refused", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["personality"] = json!({"domain": "LINUX"});
        stage.observe("control", &config)?;
        for (name, value) in [
            ("unknown", json!({"domain": "LINUX64"})),
            ("flag", json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]})),
        ] {
            config["linux"]["personality"] = value;
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    .rule("LNX-PERS-01", where_supported("/control", each_refused_by_start(&["/unknown"])))
    .rule("LNX-PERS-02", where_supported("/control", each_refused_by_start(&["/flag"])))
}

/// Where the file system of classes is mounted, as `/proc/self/mounts` has it.
pub(in crate::runtime) fn resctrl() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mounts = mounts.filter(|fields| fields.get(2) == Some(&"resctrl"));
    mounts.filter_map(|fields| fields.get(1).map(|place| (*place).to_owned())).collect()
}

/// The worker has mounts of its own, so it can take this one away.
fn resctrl_absent() -> Case<Stage> {
    Case::new("rdt/not-mounted", |stage: &mut Stage| {
        for place in resctrl() {
            stage.caller.must_be_root("unmount resctrl")?;
            rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH)
                .context(|| format!("unmount {place}"))?;
        }
        for (name, value) in
            [("class", json!({"closID": "plimsoll"})), ("root", json!({"closID": "/"})), ("empty", json!({}))]
        {
            let mut config = stage.config(&["exit:0"]);
            config["linux"]["intelRdt"] = value;
            stage.attempt(name, &config)?;
        }
        Ok(())
    })
    .rule("RUN-ERR-01", refusals_leave_nothing())
    .rule("LNX-RDT-02", refused("/class"))
    .rule("LNX-RDT-02", refused("/root"))
    .rule("LNX-RDT-02", refused("/empty"))
}

fn resctrl_untouched() -> Case<Stage> {
    Case::new("rdt/untouched", |stage: &mut Stage| {
        let Some(place) = resctrl().into_iter().next() else {
            return Err(Obstacle::Skip(Reason::Hardware, "no resctrl file system is mounted".to_owned()));
        };
        let look = |stage: &mut Stage, name| stage.evidence.record(name, classes(Path::new(&place)));
        look(stage, "before");
        let config = stage.config(&["exit:0"]);
        let container = stage.bundle(&config)?;
        // A class may go with its container.
        stage.observe_between("life", container, |stage, _| {
            look(stage, "created");
            Ok(())
        })?;
        look(stage, "after");
        Ok(())
    })
    .rule(
        "LNX-RDT-03",
        all(vec![equals("/life/exit/code", 0), same("/before", "/created"), same("/before", "/after")]),
    )
}

/// Every class and group with its schemata.
fn classes(folder: &Path) -> Value {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    let below = folders.map(|path| (path.to_string_lossy().into_owned(), classes(&path)));
    json!({"schemata": std::fs::read_to_string(folder.join("schemata")).ok(), "below": Value::Object(below.collect())})
}
