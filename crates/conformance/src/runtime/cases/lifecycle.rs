//! The operations, the states between them, and what each must refuse.

use serde_json::{Value, json};

use crate::Reason;
use crate::case::{Case, Obstacle};
use crate::evidence::judge::{
    all, equals, fails, nothing_left, refused, refused_by_start, same, satisfies, succeeds, unchanged,
};
use crate::probe::{HIDDEN, is_hidden, namespaces};
use crate::runtime::stage::brief;
use crate::runtime::{Container, Stage};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![
        journey(),
        before_the_start(),
        later_changes(),
        without_an_id(),
        absent(),
        twice(),
        without_a_bundle(),
        odd_ids(),
        start_again(),
        without_a_process(),
        kill_created(),
        kill_stopped(),
        signals(),
        delete_created(),
        delete_running(),
        what_is_not_ours(),
        id_again(),
        warnings(),
        relative_bundle(),
    ];
    cases.extend(ENDS.iter().map(|end| ending(*end)));
    cases.extend(impossible());
    cases
}

/// What `state` says, with the exit code of asking.
fn note_state(stage: &mut Stage, name: &str, container: &Container) -> Result<(), Obstacle> {
    let ran = stage.state(container)?;
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    stage.evidence.record(name, json!({"operation": brief(&ran), "document": document}));
    Ok(())
}

/// A container that waits, created and, where `started`, running; its operations are in the transcript.
fn waiting(stage: &mut Stage, config: &Value) -> Result<Container, Obstacle> {
    let mut container = stage.bundle(config)?;
    let created = stage.create(&mut container)?;
    if !created.ok() {
        return Err(Obstacle::Inconclusive(format!(
            "no container to try it on: create exited with {:?}",
            created.exit
        )));
    }
    Ok(container)
}

fn running(stage: &mut Stage, config: &Value) -> Result<Container, Obstacle> {
    let container = waiting(stage, config)?;
    let started = stage.start(&container)?;
    if !started.ok() || stage.await_frames(&container, 1)?.is_empty() {
        return Err(Obstacle::Inconclusive("no running container to try it on: its start failed".to_owned()));
    }
    Ok(container)
}

/// Every operation once, in order, by one caller.
fn journey() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["wait"]);
        config["annotations"] = json!({"com.example.key": "value", "com.example.empty": ""});
        let before = stage.host();
        let mut container = stage.bundle(&config)?;
        stage.evidence.record("id", container.id.as_str());
        stage.evidence.record("bundle", container.bundle.to_string_lossy());
        let created = stage.create(&mut container)?;
        stage.evidence.record("create", brief(&created));
        stage.evidence.record("pidFile", container.pid);
        note_state(stage, "created", &container)?;
        let started = stage.start(&container)?;
        stage.evidence.record("start", brief(&started));
        let frames = if started.ok() { stage.await_frames(&container, 1)? } else { Vec::new() };
        stage.evidence.record("report", frames.first().cloned().unwrap_or_default());
        note_state(stage, "running", &container)?;
        let alive = container.pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
        stage.evidence.record("alive", alive);
        let killed = stage.kill(&container, "KILL")?;
        stage.evidence.record("kill", brief(&killed));
        let exit = stage.wait(&container);
        stage.evidence.record("exit", exit);
        note_state(stage, "stopped", &container)?;
        let deleted = stage.delete(&container)?;
        stage.evidence.record("delete", brief(&deleted));
        let gone = stage.state(&container)?;
        stage.evidence.record("gone", brief(&gone));
        let left = before.diff(&stage.host());
        stage.evidence.record("after", json!({"left": left}));
        Ok(())
    };
    let each = |judge: &dyn Fn(&str) -> crate::Judge| {
        all(["created", "running", "stopped"].map(|name| judge(&format!("/{name}/document"))).into())
    };
    let operations = [
        "/create",
        "/created/operation",
        "/start",
        "/running/operation",
        "/kill",
        "/stopped/operation",
        "/delete",
    ];
    let status = |name: &str| equals(&format!("/{name}/document/status"), name);
    let live = ["created", "running"];
    Case::new("lifecycle/journey", run)
        .rule("RUN-SCOPE-01", all(operations.map(succeeds).into()))
        .rule("RUN-OPS-01", all(operations.map(succeeds).into()))
        .rule(
            "RUN-STATE-01",
            each(&|at| satisfies(&format!("{at}/ociVersion"), "is a semantic version", is_version)),
        )
        .rule("RUN-STATE-02", each(&|at| same(&format!("{at}/id"), "/id")))
        .rule(
            "RUN-STATE-04",
            each(&|at| {
                satisfies(&format!("{at}/status"), "is a word", |status| {
                    status.as_str().is_some_and(|status| !status.is_empty())
                })
            }),
        )
        .rule("RUN-STATE-05", each(&|at| crate::evidence::judge::is_not(&format!("{at}/status"), "creating")))
        .rule("RUN-STATE-06", status("created"))
        .rule("RUN-STATE-07", status("running"))
        .rule("RUN-STATE-08", status("stopped"))
        .rule("RUN-STATE-09", all(["created", "running", "stopped"].map(status).into()))
        .rule("RUN-STATE-10", all(live.map(|name| same(&format!("/{name}/document/pid"), "/pidFile")).into()))
        .rule("RUN-STATE-10", equals("/alive", true))
        .rule("RUN-STATE-13", each(&|at| same(&format!("{at}/bundle"), "/bundle")))
        .rule("RUN-STATE-14", each(&|at| equals(&format!("{at}/annotations/com.example.key"), "value")))
        .rule("CFG-ANN-11", each(&|at| equals(&format!("{at}/annotations/com.example.key"), "value")))
        .rule("CFG-ANN-13", each(&|at| equals(&format!("{at}/annotations/com.example.empty"), "")))
        .rule("RUN-STATE-16", each(&|at| satisfies(at, "is a state by its schema", is_state)))
        .rule("RUN-QUERY-03", each(&|at| satisfies(at, "is a state by its schema", is_state)))
        .rule("RUN-CREATE-05", status("created"))
        .rule("RUN-LIFE-13", satisfies("/report/argv/0", "is the program", |name| name == "/probe"))
        .rule("RUN-START-04", satisfies("/report/argv/0", "is the program", |name| name == "/probe"))
        .rule("RUN-KILL-04", equals("/exit", json!({"signal": 9})))
        .rule("RUN-QUERY-02", fails("/gone"))
        .rule("RUN-DELETE-04", all(vec![succeeds("/delete"), fails("/gone"), nothing_left("/after")]))
        .rule("RUN-LIFE-17", nothing_left("/after"))
}

/// `1.2.3`, with a label behind it or not.
fn is_version(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let numbers: Vec<&str> = text.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    let number = |text: &&str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'))
    };
    numbers.len() == 3 && numbers.iter().all(number)
}

/// The schema of the state, as far as it binds: unknown members are allowed.
pub(super) fn is_state(value: &Value) -> bool {
    let text = |name: &str| value.get(name).is_some_and(Value::is_string);
    let pid = value.get("pid").is_none_or(|pid| pid.as_u64().is_some());
    let annotations = value.get("annotations").is_none_or(|annotations| {
        annotations.as_object().is_some_and(|members| members.values().all(Value::is_string))
    });
    let status = value.get("status").and_then(Value::as_str);
    let known = status.is_some_and(|status| ["creating", "created", "running", "stopped"].contains(&status));
    ["ociVersion", "id", "status", "bundle"].iter().all(|name| text(name)) && pid && annotations && known
}

/// What is there after `create`, and what is not.
fn before_the_start() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let container = waiting(stage, &config)?;
        let pid = container.pid.unwrap_or_default();
        if is_hidden(&pid.to_string()) {
            return Err(Obstacle::Skip(Reason::Privilege, HIDDEN.to_owned()));
        }
        let (found, own) = (namespaces(&pid.to_string()), namespaces("self"));
        let is_new = |kind: &str| found.contains_key(kind) && found.get(kind) != own.get(kind);
        let new: Vec<bool> = ["pid", "mnt", "ipc", "uts", "net"].map(is_new).into();
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let mounted = |target: &str| mounts.lines().any(|line| line.split(' ').nth(4) == Some(target));
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // Files are told apart by device and inode; the probe's file is linked, so its inode is known.
        use std::os::unix::fs::MetadataExt as _;
        let inode = |path: String| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let program = inode(format!("/proc/{pid}/exe"));
        let probe = inode(container.rootfs().join("probe").to_string_lossy().into_owned());
        stage.evidence.record("newNamespaces", new);
        stage.evidence.record("mounted", ["/proc", "/dev", "/dev/pts", "/dev/shm"].map(mounted).to_vec());
        let asked = stage.cgroups_path("c").is_ok();
        stage.evidence.record("inItsCgroup", !asked || cgroup.contains(stage.mark()));
        stage.evidence.record("programRuns", program.is_none() || program == probe);
        note_state(stage, "state", &container)?;
        stage.evidence.record("reports", container.frames().len());
        stage.clean(&container)
    };
    let applied = || {
        all(vec![
            equals("/newNamespaces", json!([true, true, true, true, true])),
            equals("/mounted", json!([true, true, true, true])),
            equals("/inItsCgroup", true),
        ])
    };
    let idle = || {
        all(vec![
            equals("/programRuns", false),
            equals("/reports", 0),
            equals("/state/document/status", "created"),
        ])
    };
    Case::new("lifecycle/before-the-start", run)
        .rule("RUN-LIFE-01", applied())
        .rule("RUN-CREATE-06", applied())
        .rule("RUN-LIFE-03", all(vec![applied(), idle()]))
        .rule("RUN-CREATE-07", idle())
        .rule("RUN-STATE-06", idle())
}

/// The configuration is read by `create` and never again.
fn later_changes() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["process"]["env"] = json!(["PATH=/", "WHEN=before"]);
        for (name, gone) in [("changed", false), ("removed", true)] {
            let container = waiting(stage, &config)?;
            if gone {
                std::fs::remove_file(container.bundle.join("config.json")).map_err(|e| {
                    Obstacle::Harness(crate::Error::because(
                        crate::Kind::Environment,
                        "remove a configuration",
                        e,
                    ))
                })?;
            } else {
                let mut later = config.clone();
                later["process"]["env"] = json!(["PATH=/", "WHEN=after"]);
                later["process"]["args"] = json!(["/probe", "do", "exit:9"]);
                later["process"]["cwd"] = json!("/tmp");
                later["hostname"] = json!("later");
                stage.write_config(&container, later.to_string().as_bytes())?;
            }
            let started = stage.start(&container)?;
            let exit = if started.ok() { stage.wait(&container) } else { Value::Null };
            let report = container.frames().first().cloned().unwrap_or_default();
            stage.evidence.record(name, json!({"start": brief(&started), "exit": exit, "report": report}));
            stage.clean(&container)?;
        }
        Ok(())
    };
    let unchanged = |name: &str| {
        all(vec![
            succeeds(&format!("/{name}/start")),
            equals(&format!("/{name}/exit/code"), 0),
            satisfies(&format!("/{name}/report/env"), "has the value of before", |env| {
                env.as_array().is_some_and(|env| env.contains(&json!("WHEN=before")))
            }),
            equals(&format!("/{name}/report/cwd"), "/"),
            equals(&format!("/{name}/report/hostname"), "probe"),
        ])
    };
    Case::new("lifecycle/later-changes", run)
        .rule("RUN-LIFE-04", unchanged("changed"))
        .rule("RUN-CREATE-11", unchanged("changed"))
        .rule("RUN-CREATE-11", unchanged("removed"))
}

/// Operations without an id, and with an empty one.
fn without_an_id() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let place = stage.place.clone();
        let config = stage.config(&["exit:0"]);
        let bundle = stage.bundle(&config)?;
        let path = bundle.bundle.to_string_lossy().into_owned();
        for operation in ["state", "start", "kill-default", "delete"] {
            let ran = stage.call(&format!("{operation}-no-id"), &[], &place)?;
            let empty = stage.call(operation, &[("id", "")], &place)?;
            let key = operation.split('-').next().unwrap_or(operation);
            stage.evidence.record(key, json!({"none": brief(&ran), "empty": brief(&empty)}));
        }
        let ran = stage.call("create-no-id", &[("bundle", &path)], &place)?;
        let pid_file = bundle.bundle.join("pid").to_string_lossy().into_owned();
        let empty =
            stage.call("create", &[("id", ""), ("bundle", &path), ("pid-file", &pid_file)], &place)?;
        stage.evidence.record("create", json!({"none": brief(&ran), "empty": brief(&empty)}));
        Ok(())
    };
    let both = |name: &str| all(vec![fails(&format!("/{name}/none")), fails(&format!("/{name}/empty"))]);
    Case::new("lifecycle/without-an-id", run)
        .rule("RUN-QUERY-01", both("state"))
        .rule("RUN-START-01", both("start"))
        .rule("RUN-KILL-01", both("kill"))
        .rule("RUN-DELETE-01", both("delete"))
        .rule("RUN-CREATE-02", both("create"))
}

/// Operations on what is not there.
fn absent() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let place = stage.place.clone();
        let id = format!("{}-absent", stage.mark());
        for operation in ["state", "start", "delete"] {
            let ran = stage.call(operation, &[("id", &id)], &place)?;
            stage.evidence.record(operation, brief(&ran));
        }
        let ran = stage.call("kill", &[("id", &id), ("signal", "TERM")], &place)?;
        stage.evidence.record("kill", brief(&ran));
        Ok(())
    };
    Case::new("lifecycle/absent", run)
        .rule("RUN-QUERY-02", fails("/state"))
        .rule("RUN-START-03", fails("/start"))
        .rule("RUN-KILL-03", fails("/kill"))
        .rule("RUN-DELETE-03", fails("/delete"))
}

/// A second container of one id, whatever state the first is in.
fn twice() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["wait"]);
        let container = waiting(stage, &config)?;
        let id = container.id.clone();
        for (count, state) in ["created", "running", "stopped"].iter().enumerate() {
            match *state {
                "running" => {
                    stage.start(&container)?;
                    stage.await_frames(&container, 1)?;
                }
                "stopped" => {
                    stage.kill(&container, "KILL")?;
                    stage.wait(&container);
                }
                _ => {}
            }
            let first = stage.state_of(&container)?;
            let mut second = stage.bundle_as(&id, &format!("second-{count}"))?;
            stage.write_config(&second, config.to_string().as_bytes())?;
            let created = stage.create(&mut second)?;
            let later = stage.state_of(&container)?;
            let same = json!({"pid": later.get("pid"), "status": later.get("status"), "bundle": later.get("bundle")});
            let before = json!({"pid": first.get("pid"), "status": first.get("status"), "bundle": first.get("bundle")});
            stage.evidence.record(state, json!({"create": brief(&created), "before": before, "after": same}));
        }
        stage.clean(&container)
    };
    let each = |name: &str| {
        all(vec![
            fails(&format!("/{name}/create")),
            same(&format!("/{name}/before"), &format!("/{name}/after")),
        ])
    };
    let every = || all(["created", "running", "stopped"].map(each).into());
    Case::new("lifecycle/twice", run).rule("RUN-CREATE-03", every()).rule("RUN-STATE-03", every())
}

/// `create` without a bundle.
fn without_a_bundle() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let empty = stage.place.join("empty");
        std::fs::create_dir(&empty)
            .map_err(|e| crate::Error::because(crate::Kind::Environment, "make a folder", e))?;
        let id = format!("{}-none", stage.mark());
        let none = stage.call("create-no-bundle", &[("id", &id)], &empty)?;
        stage.evidence.record("none", brief(&none));
        let missing = stage.place.join("missing").to_string_lossy().into_owned();
        let pid_file = stage.place.join("pid").to_string_lossy().into_owned();
        let place = stage.place.clone();
        let values = [("id", id.as_str()), ("bundle", missing.as_str()), ("pid-file", pid_file.as_str())];
        let ran = stage.call("create", &values, &place)?;
        stage.evidence.record("missing", brief(&ran));
        let state = stage.call("state", &[("id", &id)], &place)?;
        stage.evidence.record("state", brief(&state));
        Ok(())
    };
    Case::new("lifecycle/without-a-bundle", run)
        .rule("RUN-CREATE-01", all(vec![fails("/none"), fails("/missing"), fails("/state")]))
}

/// Ids that lead elsewhere: refused, or taken without leaving the runtime's own place.
fn odd_ids() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let mut tried = Vec::new();
        let long = "l".repeat(5000);
        for (count, id) in ["..", ".", "../escape", "a/../../escape", "a/b", long.as_str()].iter().enumerate()
        {
            let mut container = stage.bundle_as(id, &format!("odd-{count}"))?;
            stage.write_config(&container, config.to_string().as_bytes())?;
            let outside = |stage: &Stage| {
                let mut names: Vec<String> = std::fs::read_dir(&stage.place)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect();
                names.retain(|name| name != "state" && !name.starts_with("call-"));
                names.sort();
                names
            };
            let before = outside(stage);
            let created = stage.create(&mut container)?;
            let refused = created.exit.is_some_and(|code| code != 0);
            tried.push(json!({"id": id.chars().take(40).collect::<String>(), "refused": refused, "escaped": before != outside(stage)}));
            if created.ok() {
                stage.clean(&container)?;
            }
        }
        stage.evidence.record("tried", tried);
        Ok(())
    };
    let confined = |tried: &Value| {
        tried.as_array().is_some_and(|tried| {
            tried.iter().all(|one| one.get("escaped") == Some(&json!(false)))
                // These two name the runtime's own directory and the one above: no container can have them.
                && tried.iter().take(3).all(|one| one.get("refused") == Some(&json!(true)))
        })
    };
    Case::new("lifecycle/odd-ids", run).rule(
        "RUN-CREATE-04",
        satisfies("/tried", "are refused, or stay within the runtime's own place", confined),
    )
}

/// `start` of a container that is not created any more.
fn start_again() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["wait"]);
        let container = running(stage, &config)?;
        let again = stage.start(&container)?;
        let state = stage.state_of(&container)?;
        let reports = container.frames().len();
        let kept = state.get("pid").and_then(Value::as_i64) == container.pid.map(i64::from);
        stage.evidence.record("running", json!({"start": brief(&again), "status": state.get("status"), "reports": reports, "samePid": kept}));
        stage.kill(&container, "KILL")?;
        stage.wait(&container);
        let stopped = stage.start(&container)?;
        let state = stage.state_of(&container)?;
        let reports = container.frames().len();
        stage.evidence.record(
            "stopped",
            json!({"start": brief(&stopped), "status": state.get("status"), "reports": reports}),
        );
        stage.clean(&container)
    };
    Case::new("lifecycle/start-again", run)
        .rule("RUN-START-03", all(vec![fails("/running/start"), fails("/stopped/start")]))
        .rule(
            "RUN-START-02",
            all(vec![
                equals("/running/status", "running"),
                equals("/running/reports", 1),
                equals("/running/samePid", true),
                equals("/stopped/status", "stopped"),
                equals("/stopped/reports", 1),
            ]),
        )
}

/// A configuration without a process is refused, by `start` at the latest.
fn without_a_process() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        if let Some(members) = config.as_object_mut() {
            members.remove("process");
        }
        stage.attempt("attempt", &config)
    };
    Case::new("lifecycle/without-a-process", run)
        .rule("RUN-START-05", refused_by_start("/attempt"))
        .rule("CFG-PROC-01", refused_by_start("/attempt"))
}

fn kill_created() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let container = waiting(stage, &config)?;
        let killed = stage.kill(&container, "KILL")?;
        stage.evidence.record("kill", brief(&killed));
        let exit = stage.wait(&container);
        stage.evidence.record("exit", exit);
        note_state(stage, "state", &container)?;
        stage.clean(&container)
    };
    Case::new("lifecycle/kill-created", run)
        .rule("RUN-KILL-05", all(vec![succeeds("/kill"), equals("/state/document/status", "stopped")]))
        .rule("RUN-STATE-08", equals("/state/document/status", "stopped"))
}

fn kill_stopped() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let container = running(stage, &config)?;
        stage.wait(&container);
        let before = stage.state_of(&container)?;
        let killed = stage.kill(&container, "TERM")?;
        let after = stage.state_of(&container)?;
        stage.evidence.record("kill", brief(&killed));
        stage.evidence.record("before", before);
        stage.evidence.record("after", after);
        stage.clean(&container)
    };
    Case::new("lifecycle/kill-stopped", run)
        .rule("RUN-KILL-03", fails("/kill"))
        .rule("RUN-KILL-02", all(vec![same("/before", "/after"), equals("/after/status", "stopped")]))
}

/// Signals that a process can see arrive, by number; 9 and 19 cannot be, 12 ends the probe.
const NUMBERS: [u64; 27] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];

fn signals() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["signals"]);
        let container = running(stage, &config)?;
        let mut frames = stage.await_frames(&container, 2)?.len();
        let mut refused = Vec::new();
        let named = [("TERM", 15), ("SIGUSR1", 10), ("HUP", 1)];
        let all = NUMBERS.iter().map(|number| (number.to_string(), *number));
        let all: Vec<_> = all.chain(named.map(|(name, number)| (name.to_owned(), number))).collect();
        for (name, _) in &all {
            if !stage.kill(&container, name)?.ok() {
                refused.push(name.clone());
                continue;
            }
            frames += 1;
            stage.await_frames(&container, frames)?;
        }
        let seen: Vec<Value> =
            container.frames().iter().filter_map(|frame| frame.get("signal").cloned()).collect();
        let wanted: Vec<u64> = all.iter().map(|(_, number)| *number).collect();
        stage.evidence.record("sent", wanted);
        stage.evidence.record("seen", seen);
        stage.evidence.record("refused", refused);
        let place = stage.place.clone();
        let default = stage.call("kill-default", &[("id", &container.id)], &place)?;
        if default.ok() {
            stage.await_frames(&container, frames + 1)?;
        }
        let last = container.frames().last().and_then(|frame| frame.get("signal").cloned());
        stage.evidence.record("default", last);
        stage.clean(&container)
    };
    Case::new("lifecycle/signals", run)
        .rule("RUN-KILL-04", all(vec![equals("/refused", json!([])), same("/sent", "/seen")]))
}

/// `delete` of a container that has not stopped.
fn delete_created() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let container = waiting(stage, &config)?;
        let deleted = stage.delete(&container)?;
        stage.evidence.record("delete", brief(&deleted));
        note_state(stage, "state", &container)?;
        stage.clean(&container)
    };
    Case::new("lifecycle/delete-created", run)
        .rule("RUN-DELETE-03", fails("/delete"))
        .rule("RUN-DELETE-02", equals("/state/document/status", "created"))
}

fn delete_running() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["wait"]);
        let container = running(stage, &config)?;
        let deleted = stage.delete(&container)?;
        stage.evidence.record("delete", brief(&deleted));
        note_state(stage, "state", &container)?;
        stage.clean(&container)
    };
    Case::new("lifecycle/delete-running", run)
        .rule("RUN-DELETE-03", fails("/delete"))
        .rule("RUN-DELETE-02", equals("/state/document/status", "running"))
}

/// What was there before the container is there after it.
fn what_is_not_ours() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let context =
            |e| crate::Error::because(crate::Kind::Environment, "make what is not the container's", e);
        let source = stage.place.join("source");
        std::fs::create_dir(&source).map_err(context)?;
        std::fs::write(source.join("file"), "kept").map_err(context)?;
        let mut config = stage.config(&["read:/mnt/file", "exit:0"]);
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(
                json!({"destination": "/mnt", "source": source.to_string_lossy(), "options": ["rbind"]}),
            );
        }
        stage.observe("observed", &config)?;
        let kept = std::fs::read_to_string(source.join("file")).unwrap_or_default();
        stage.evidence.record("source", kept);
        let rootfs = stage.place.join("bundle-1/rootfs");
        let names: Vec<bool> =
            ["probe", "proc", "dev"].iter().map(|name| rootfs.join(name).exists()).collect();
        stage.evidence.record("rootfs", names);
        Ok(())
    };
    Case::new("lifecycle/what-is-not-ours", run).rule(
        "RUN-DELETE-05",
        all(vec![
            succeeds("/observed/delete"),
            equals("/observed/report/results/0/value", "kept"),
            equals("/source", "kept"),
            equals("/rootfs", json!([true, true, true])),
        ]),
    )
}

fn id_again() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["annotations"] = json!({"com.example.first": "1"});
        let first = running(stage, &config)?;
        stage.wait(&first);
        let deleted = stage.delete(&first)?;
        stage.evidence.record("delete", brief(&deleted));
        if let Some(members) = config.as_object_mut() {
            members.remove("annotations");
        }
        let mut second = stage.bundle_as(&first.id, "again")?;
        stage.write_config(&second, config.to_string().as_bytes())?;
        let created = stage.create(&mut second)?;
        stage.evidence.record("create", brief(&created));
        note_state(stage, "state", &second)?;
        let annotations = stage.evidence.at("/state/document/annotations").cloned();
        let none = annotations.is_none_or(|value| value.is_null() || value == json!({}));
        stage.evidence.record("noAnnotations", none);
        stage.clean(&second)
    };
    Case::new("lifecycle/id-again", run)
        .rule("RUN-DELETE-06", all(vec![succeeds("/create"), equals("/state/document/status", "created")]))
        .rule("RUN-STATE-14", equals("/noAnnotations", true))
}

/// What has to be warned of does not stop the operation.
fn warnings() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let hook = stage.place.join("hook").to_string_lossy().into_owned();
        std::fs::hard_link(&stage.settings.probe, &hook)
            .map_err(|e| crate::Error::because(crate::Kind::Environment, "link a hook", e))?;
        let log = stage.place.join("log").to_string_lossy().into_owned();
        let mut config = stage.config(&["exit:0"]);
        let entry = |name: &str, code: &str| json!({"path": hook, "args": [hook, "hook", log, name, code]});
        config["hooks"] = json!({"poststop": [entry("first", "exit:1"), entry("second", "exit:0")]});
        stage.observe("observed", &config)?;
        let names: Vec<Value> =
            super::hooks::lines(&log).iter().filter_map(|line| line.get("hook").cloned()).collect();
        stage.evidence.record("hooks", names);
        Ok(())
    };
    let went_on = || {
        all(vec![
            succeeds("/observed/delete"),
            equals("/hooks", json!(["first", "second"])),
            nothing_left("/observed"),
        ])
    };
    Case::new("lifecycle/warnings", run).rule("RUN-LIFE-19", went_on()).rule("RUN-WARN-01", went_on())
}

/// A bundle that is named relative to the caller's directory is absolute in the state.
fn relative_bundle() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let container = stage.bundle(&config)?;
        let folder = container.bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid_file = container.bundle.join("pid").to_string_lossy().into_owned();
        let place = stage.place.clone();
        let values =
            [("id", container.id.as_str()), ("bundle", folder.as_str()), ("pid-file", pid_file.as_str())];
        let created = stage.call("create", &values, &place)?;
        stage.evidence.record("create", brief(&created));
        stage.evidence.record("bundle", container.bundle.to_string_lossy());
        note_state(stage, "state", &container)?;
        stage.clean(&container)
    };
    Case::new("lifecycle/relative-bundle", run)
        .rule("RUN-STATE-13", same("/state/document/bundle", "/bundle"))
}

/// Ways to end, and how a parent sees them.
const ENDS: [(&str, &str, Option<i64>); 4] = [
    ("exit-0", "exit:0", Some(0)),
    ("exit-42", "exit:42", Some(42)),
    ("segv", "segv", None),
    ("abort", "abort", None),
];

fn ending((name, action, code): (&'static str, &'static str, Option<i64>)) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        let config = stage.config(&[action]);
        stage.observe("observed", &config)
    };
    let mut rules = vec![
        satisfies("/observed/exit", "is an end", |exit| !exit.is_null()),
        equals("/observed/state/status", "stopped"),
        succeeds("/observed/delete"),
    ];
    if let Some(code) = code {
        rules.push(satisfies("/observed/exit", "has the program's code", move |exit| {
            exit.get("unknown").is_some() || exit.get("code").and_then(Value::as_i64) == Some(code)
        }));
    }
    Case::new(format!("lifecycle/end-{name}"), run)
        .rule("RUN-LIFE-16", all(rules))
        .rule("RUN-STATE-08", equals("/observed/state/status", "stopped"))
}

/// Changes a good configuration into one that cannot be.
type Break = fn(&mut Value);

/// Environments that cannot be made, one property each.
const IMPOSSIBLE: [(&str, Break); 6] = [
    ("mount-type", |config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(json!({"destination": "/mnt", "type": "nosuchfs", "source": "none"}));
        }
    }),
    ("mount-source", |config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(json!({"destination": "/mnt", "source": "/nonexistent/source", "options": ["bind"]}));
        }
    }),
    ("namespace-path", |config| {
        config["linux"]["namespaces"][4] = json!({"type": "network", "path": "/nonexistent/ns"});
    }),
    ("mount-data", |config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["nosuchoption=1"]}));
        }
    }),
    ("sysctl", |config| config["linux"]["sysctl"] = json!({"net.ipv4.no_such_key": "1"})),
    ("root", |config| config["root"]["path"] = json!("absent")),
];

fn impossible() -> Vec<Case<Stage>> {
    let case = |(name, change): &(&str, Break)| {
        let change = *change;
        let run = move |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            change(&mut config);
            stage.attempt("attempt", &config)
        };
        Case::new(format!("lifecycle/impossible-{name}"), run)
            .rule("RUN-LIFE-02", refused("/attempt"))
            .rule("RUN-CREATE-09", refused("/attempt"))
            .rule("RUN-ERR-01", unchanged("/attempt"))
    };
    IMPOSSIBLE.iter().map(case).collect()
}
