//! Control groups: where a container is, and which limits its files then hold, by version 1 and 2.
//!
//! The files are read from outside between `create` and `start`. A controller that this host does not have is
//! a skip; one that it has and that does not show the limit is a failure.

mod ownership;
mod resources;

use serde_json::{Value, json};

use crate::Reason;
use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{all, equals, refused, satisfies, succeeds, unchanged};
use crate::runtime::caller::Caller;
use crate::runtime::stage::brief;
use crate::runtime::{CgroupDriver, Container, Stage};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![absolute(), twice(), deep(), escaping(), in_order(), by_access(), all_of_a_kind()];
    cases.extend(resources::cases());
    cases.extend(ownership::cases());
    cases
}

const MOUNT: &str = "/sys/fs/cgroup";

/// Where a container is in the hierarchy of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Directory on the host.
    directory: String,
    /// As `/proc/PID/cgroup` has it.
    path: String,
    /// Whether the hierarchy is of version 2.
    unified: bool,
}

/// Where the cgroups begin that the caller may make; empty for root.
fn delegated() -> String {
    Caller::of_this_process().cgroups(CgroupDriver::Cgroupfs).unwrap_or_default()
}

/// Whether this host manages `controller`, and by which version.
fn has(controller: &str) -> Option<bool> {
    let holds = |folder: String| {
        let text = std::fs::read_to_string(format!("{folder}/cgroup.controllers")).unwrap_or_default();
        text.split_whitespace().any(|one| one == controller)
    };
    if std::path::Path::new(MOUNT).join(controller).join("cgroup.procs").exists() {
        Some(false)
    } else if holds(format!("{MOUNT}{}", delegated())) || holds(format!("{MOUNT}/unified")) {
        Some(true)
    } else {
        None
    }
}

/// The skip of a case that needs `controller`.
fn need(controller: &str) -> Result<bool, Obstacle> {
    Caller::of_this_process().cgroups(CgroupDriver::Cgroupfs)?;
    let why = || format!("this host has no cgroup controller {controller}");
    has(controller).ok_or_else(|| Obstacle::Skip(Reason::Kernel, why()))
}

/// Whether the only hierarchy is of version 2.
fn is_pure() -> bool {
    std::path::Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// As [`need`], without the controllers that a host of version 1 has in its other tree: what becomes of
/// those is the runtime's choice.
fn need_own(controller: &str) -> Result<bool, Obstacle> {
    match need(controller)? {
        true if !is_pure() => {
            let why = format!("on this host {controller} is version 2 beside controllers of version 1");
            Err(Obstacle::Skip(Reason::Kernel, why))
        }
        unified => Ok(unified),
    }
}

/// The skip of a case that needs version 2 and nothing else.
fn need_pure() -> Result<(), Obstacle> {
    Caller::of_this_process().cgroups(CgroupDriver::Cgroupfs)?;
    match is_pure() {
        true => Ok(()),
        false => Err(Obstacle::Skip(Reason::Kernel, "this host has cgroups of version 1".to_owned())),
    }
}

/// Where the container's first process is, for `controller`; the empty one is version 2 itself.
fn place(container: &Container, controller: &str) -> Option<Place> {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid?)).ok()?;
    let line = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            let found = if wanted.is_empty() {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|one| one == wanted)
            };
            found.then(|| fields.next().unwrap_or_default().to_owned())
        })
    };
    if !controller.is_empty() && has(controller) == Some(false) {
        let path = line(controller)?;
        return Some(Place { directory: format!("{MOUNT}/{controller}{path}"), path, unified: false });
    }
    let path = line("")?;
    let root = if is_pure() { MOUNT.to_owned() } else { format!("{MOUNT}/unified") };
    Some(Place { directory: format!("{root}{path}"), path, unified: true })
}

/// A created container of `config`, or what came of the attempt, recorded as `create`.
fn created(stage: &mut Stage, config: &Value) -> Result<Option<Container>, Obstacle> {
    let mut container = stage.bundle(config)?;
    let ran = stage.create(&mut container)?;
    stage.evidence.record("create", brief(&ran));
    if ran.ok() {
        return Ok(Some(container));
    }
    stage.clean(&container)?;
    Ok(None)
}

/// Only where the runtime makes cgroups itself does `cgroupsPath` name a directory.
fn need_cgroupfs(stage: &Stage) -> Result<(), Obstacle> {
    match stage.settings.cgroup_driver {
        CgroupDriver::Cgroupfs => stage.caller.cgroups(CgroupDriver::Cgroupfs).map(drop),
        CgroupDriver::Systemd => {
            let why = "with the systemd driver cgroupsPath names a unit, no path";
            Err(Obstacle::Skip(Reason::Configuration, why.to_owned()))
        }
    }
}

/// The controller by which a container's path is told on this host.
fn any_controller() -> &'static str {
    if is_pure() { "" } else { "pids" }
}

fn absolute() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_cgroupfs(stage)?;
        let config = stage.config(&["exit:0"]);
        let wanted = config["linux"]["cgroupsPath"].clone();
        stage.evidence.record("wanted", wanted);
        if let Some(container) = created(stage, &config)? {
            let place = place(&container, any_controller());
            stage.evidence.record("path", place.map(|place| place.path));
            stage.clean(&container)?;
        }
        Ok(())
    };
    Case::new("cgroups/absolute", run).rule("LNX-CGP-02", crate::evidence::judge::same("/path", "/wanted"))
}

/// One value leads to one place, absolute or relative.
fn twice() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_cgroupfs(stage)?;
        let relative = format!("{}-r", stage.mark());
        let values = [("absolute", stage.cgroups_path("t")?), ("relative", relative)];
        for (name, value) in values {
            let mut config = stage.config(&["exit:0"]);
            config["linux"]["cgroupsPath"] = json!(value);
            let mut places = Vec::new();
            for _ in 0..2 {
                if let Some(container) = created(stage, &config)? {
                    places.push(place(&container, any_controller()).map(|place| place.path));
                    stage.clean(&container)?;
                }
            }
            stage.evidence.record(name, json!({"first": places.first(), "second": places.get(1)}));
        }
        Ok(())
    };
    let one =
        |name: &str| crate::evidence::judge::same(&format!("/{name}/first"), &format!("/{name}/second"));
    Case::new("cgroups/twice", run).rule("LNX-CGP-04", all(vec![one("absolute"), one("relative")]))
}

/// What is not there on the way is made, and what was made is removed.
fn deep() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_cgroupfs(stage)?;
        let path = format!("{}/one/two", stage.cgroups_path("d")?);
        let mut config = stage.config(&["exit:0"]);
        config["linux"]["cgroupsPath"] = json!(path);
        let mut container = stage.bundle(&config)?;
        let ran = stage.create(&mut container)?;
        stage.evidence.record("create", brief(&ran));
        let place = place(&container, any_controller());
        let there = place
            .as_ref()
            .is_some_and(|place| std::path::Path::new(&place.directory).is_dir() && place.path == path);
        stage.evidence.record("there", there);
        stage.start(&container)?;
        stage.wait(&container);
        let deleted = stage.delete(&container)?;
        stage.evidence.record("delete", brief(&deleted));
        let gone = place.is_some_and(|place| !std::path::Path::new(&place.directory).exists());
        stage.evidence.record("gone", gone);
        stage.clean(&container)
    };
    Case::new("cgroups/deep", run)
        .rule("LNX-CGP-07", all(vec![succeeds("/create"), equals("/there", true)]))
        .rule("RUN-DELETE-04", all(vec![succeeds("/delete"), equals("/gone", true)]))
}

/// A path that climbs is an error, or is kept within the mount.
fn escaping() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_cgroupfs(stage)?;
        let mut config = stage.config(&["exit:0"]);
        // In the case's own folder, so that it goes away whatever a subject makes there, and as a cgroup with
        // the run.
        let (canary, kept) = (stage.place.join("escaped"), stage.place.join("kept"));
        std::fs::create_dir(&kept).context(|| "make a directory that is no cgroup")?;
        for place in [&canary, &kept] {
            config["linux"]["cgroupsPath"] = json!(format!("/../../../../../..{}", place.display()));
            if let Some(container) = created(stage, &config)? {
                stage.clean(&container)?;
            }
        }
        stage.evidence.record("escaped", canary.exists());
        stage.evidence.record("kept", kept.exists());
        Ok(())
    };
    Case::new("cgroups/escaping", run)
        .rule("LNX-CGP-06", equals("/escaped", false))
        .rule("RUN-ERR-01", equals("/kept", true))
}

/// A device that containers do not get by default, and that can be opened without harm.
const DEVICE: (u64, u64) = (1, 11);

/// A container that may make and open [`DEVICE`] as far as `rules` allow.
fn with_device(stage: &Stage, rules: &Value, actions: &[&str]) -> Value {
    let mut config = stage.config(actions);
    for set in ["bounding", "effective", "permitted"] {
        if let Some(list) = config["process"]["capabilities"][set].as_array_mut() {
            list.push(json!("CAP_SYSLOG"));
        }
    }
    config["linux"]["devices"] = json!([{"path": "/dev/log-of-kernel", "type": "c", "major": DEVICE.0, "minor": DEVICE.1, "fileMode": 438}]);
    config["linux"]["resources"]["devices"] = rules.clone();
    config
}

/// The skip of cases about devices.
fn need_devices(stage: &Stage) -> Result<(), Obstacle> {
    stage.caller.must_be_root("guard devices by cgroups")?;
    if is_pure() || has("devices").is_some() {
        return Ok(());
    }
    Err(Obstacle::Skip(
        Reason::Kernel,
        "this host has no cgroup controller devices, and no pure version 2".to_owned(),
    ))
}

fn in_order() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_devices(stage)?;
        let deny = json!({"allow": false, "access": "rwm"});
        let allow =
            json!({"allow": true, "type": "c", "major": DEVICE.0, "minor": DEVICE.1, "access": "rwm"});
        let actions = ["open:/dev/log-of-kernel:r", "exit:0"];
        let first = with_device(stage, &json!([deny, allow]), &actions);
        stage.observe("allowed", &first)?;
        let second = with_device(
            stage,
            &json!([deny, allow, {"allow": false, "type": "c", "major": DEVICE.0, "minor": DEVICE.1, "access": "rwm"}]),
            &actions,
        );
        stage.observe("denied", &second)
    };
    let outcomes =
        vec![equals("/allowed/report/results/0/ok", true), equals("/denied/report/results/0/errno", "EPERM")];
    Case::new("cgroups/devices-in-order", run)
        .rule("LNX-CGD-01", all(outcomes))
        .rule("LNX-DEV-11", equals("/denied/report/results/0/errno", "EPERM"))
}

fn by_access() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_devices(stage)?;
        let deny = json!({"allow": false, "access": "rwm"});
        let allow = |access: &str| json!({"allow": true, "type": "c", "major": DEVICE.0, "minor": DEVICE.1, "access": access});
        let actions =
            ["open:/dev/log-of-kernel:r", "open:/dev/log-of-kernel:w", "mknod:/dev/made:c:1:11", "exit:0"];
        for access in ["r", "w", "m"] {
            let config = with_device(stage, &json!([deny, allow(access)]), &actions);
            stage.observe(access, &config)?;
        }
        Ok(())
    };
    // Making nodes is allowed by most runtimes whatever the rules say; a node that cannot be opened is no use.
    let outcomes = |access: &str, wanted: &[bool]| {
        all(wanted
            .iter()
            .enumerate()
            .map(|(at, ok)| equals(&format!("/{access}/report/results/{at}/ok"), *ok))
            .collect())
    };
    Case::new("cgroups/devices-by-access", run).rule(
        "LNX-CGD-05",
        all(vec![
            outcomes("r", &[true, false]),
            outcomes("w", &[false, true]),
            outcomes("m", &[false, false, true]),
        ]),
    )
}

/// Without a type a rule is about all, without numbers about every device of its type.
fn all_of_a_kind() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_devices(stage)?;
        let (major, minor) = resources::block_device()?;
        let deny = json!({"allow": false, "access": "rwm"});
        let actions = ["open:/dev/log-of-kernel:r", "open:/dev/block:r", "exit:0"];
        let with_device = |stage: &Stage, rules: &Value, actions: &[&str]| {
            let mut config = with_device(stage, rules, actions);
            if let Some(devices) = config["linux"]["devices"].as_array_mut() {
                devices.push(json!({"path": "/dev/block", "type": "b", "major": major, "minor": minor, "fileMode": 438}));
            }
            config
        };
        let any = with_device(stage, &json!([deny, {"allow": true, "access": "rwm"}]), &actions);
        stage.observe("any", &any)?;
        let none = with_device(stage, &json!([{"allow": false, "access": "rwm"}]), &actions);
        stage.observe("none", &none)?;
        let characters =
            with_device(stage, &json!([deny, {"allow": true, "type": "c", "access": "rwm"}]), &actions);
        stage.observe("characters", &characters)
    };
    let outcomes = |name: &str, wanted: [bool; 2]| {
        all(wanted
            .iter()
            .enumerate()
            .map(|(at, ok)| equals(&format!("/{name}/report/results/{at}/ok"), *ok))
            .collect())
    };
    Case::new("cgroups/devices-of-a-kind", run)
        .rule("LNX-CGD-03", all(vec![outcomes("any", [true, true]), outcomes("none", [false, false])]))
        .rule("LNX-CGD-04", outcomes("characters", [true, false]))
}

/// The attempt recorded as `attempt` is refused, and leaves nothing.
fn refusal(
    name: &str,
    row: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
    when: fn() -> Result<(), Obstacle>,
) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        when()?;
        let mut config = stage.config(&["exit:0"]);
        change(&mut config);
        stage.attempt("attempt", &config)
    };
    Case::new(format!("cgroups/{name}"), run)
        .rule(row, refused("/attempt"))
        .rule("RUN-ERR-01", unchanged("/attempt"))
}

/// A file's text is `wanted`.
fn shows(file: &str, wanted: &str) -> crate::Judge {
    let wanted = wanted.to_owned();
    satisfies(&format!("/files/{}", file.replace('/', "~1")), &format!("is {wanted}"), move |text| {
        text.as_str().is_some_and(|text| text.trim() == wanted)
    })
}
