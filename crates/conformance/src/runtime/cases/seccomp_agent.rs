//! `SCMP_ACT_NOTIFY`: what the runtime sends to the agent, and the container process state.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::evidence::Judge;
use crate::evidence::judge::{all, equals, provided, refused_by_start, same, satisfies, where_supported};
use crate::runtime::Stage;
use crate::runtime::stage::brief;

use super::seccomp::{kernel_has_seccomp, with_filter};

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![notified(), killable(), no_stream(), absent(), unused()]
}

const ANSWER: i64 = 4242;
/// Whatever it is, it is passed on as it is.
const METADATA: &str = "MKNOD=/dev/null;\u{fc}\u{4e2d}\u{1f6a2} \"quoted\\\" \u{7}";

fn filter(path: &Path) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": METADATA,
        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_NOTIFY"}],
    })
}

fn socket(stage: &Stage) -> PathBuf {
    stage.place.join("agent")
}

/// Lives a container whose program makes the call that waits for an answer.
fn live(stage: &mut Stage, name: &str, config: &Value) -> Result<(), Obstacle> {
    let mut container = stage.bundle(config)?;
    let created = stage.create(&mut container)?;
    let mut seen = json!({
        "id": container.id,
        "bundle": container.bundle,
        "pid": container.pid,
        "create": brief(&created),
    });
    if created.ok() {
        seen["start"] = brief(&stage.start(&container)?);
        seen["exit"] = stage.wait(&container);
        seen["report"] = container.frames().into_iter().next().unwrap_or_default();
        stage.delete(&container)?;
    }
    stage.evidence.record(name, seen);
    stage.clean(&container)
}

/// Two containers and one agent.
fn notified() -> Case<Stage> {
    let supported = |judge: Judge| where_supported("/first", judge);
    let each = |judge: fn(usize, &str) -> Judge| {
        where_supported("/first", all(vec![judge(0, "/first"), judge(1, "/second")]))
    };
    Case::new("seccomp/notify", |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let path = socket(stage);
        let agent = stage.agent(&path, ANSWER)?;
        let mut config = with_filter(stage, &["call:getpriority:0:0", "exit:0"], filter(&path));
        config["annotations"] = json!({"org.plimsoll.test": "a value"});
        live(stage, "first", &config)?;
        live(stage, "second", &config)?;
        stage.evidence.record("connections", agent.finish()?);
        Ok(())
    })
    .rule("LNX-SEC-15", each(|_, life| equals(&format!("{life}/report/results/0/value"), ANSWER)))
    .rule(
        "LNX-SEC-07",
        each(|at, _| {
            all(vec![
                equals(&format!("/connections/{at}/documents"), 1),
                equals(&format!("/connections/{at}/malformed"), false),
            ])
        }),
    )
    .rule(
        "LNX-SEC-08",
        supported(all(vec![
            satisfies("/connections", "has one for each container", |list| {
                list.as_array().is_some_and(|list| list.len() == 2)
            }),
            equals("/connections/0/closed", true),
            equals("/connections/1/closed", true),
        ])),
    )
    .rule(
        "LNX-SEC-11",
        each(|at, _| {
            all(vec![
                satisfies(&format!("/connections/{at}/state/fds"), "has seccompFd", |names| {
                    names.as_array().is_some_and(|names| names.contains(&json!("seccompFd")))
                }),
                equals(&format!("/connections/{at}/answered"), 1),
            ])
        }),
    )
    .rule("LNX-SEC-12", each(|at, _| equals(&format!("/connections/{at}/state/metadata"), METADATA)))
    .rule(
        "LNX-CPS-01",
        each(|at, _| {
            all(vec![
                satisfies(&format!("/connections/{at}/state"), "is an object", Value::is_object),
                satisfies(&format!("/connections/{at}/descriptors"), "are there", |list| {
                    list.as_array().is_some_and(|list| !list.is_empty())
                }),
            ])
        }),
    )
    .rule(
        "LNX-CPS-02",
        each(|at, _| {
            satisfies(&format!("/connections/{at}/at"), "are all at the beginning", |places| {
                places.as_array().is_some_and(|places| !places.is_empty() && places.iter().all(|at| *at == 0))
            })
        }),
    )
    .rule("LNX-CPS-03", each(|at, _| is_version(&format!("/connections/{at}/state/ociVersion"))))
    .rule("LNX-CPS-04", each(|at, _| descriptors_are_named(at)))
    .rule(
        "LNX-CPS-05",
        each(|at, life| same(&format!("/connections/{at}/state/pid"), &format!("{life}/pid"))),
    )
    .rule("LNX-CPS-06", each(state))
}

fn is_version(pointer: &str) -> Judge {
    satisfies(pointer, "is a version", |version| {
        let numbers = version.as_str().unwrap_or_default().split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<_> = numbers.split('.').map(|number| number.parse::<u32>().is_ok()).collect();
        numbers == [true, true, true]
    })
}

/// As many names as descriptors, and the one called `seccompFd` is one at which calls wait.
fn descriptors_are_named(at: usize) -> Judge {
    satisfies(&format!("/connections/{at}"), "names its descriptors in their order", |connection| {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (names, files) = (list(&connection["state"]["fds"]), list(&connection["descriptors"]));
        let waits = |file: &Value| file.as_str().is_some_and(|file| file.contains("seccomp notify"));
        let pairs = names.iter().zip(&files);
        let mut named = pairs.filter(|(name, _)| **name == "seccompFd").peekable();
        names.len() == files.len() && named.peek().is_some() && named.all(|(_, file)| waits(file))
    })
}

/// The state of this container, which is being made or, for a filter that is loaded late, is made.
fn state(at: usize, life: &str) -> Judge {
    let place = format!("/connections/{at}/state/state");
    all(vec![
        is_version(&format!("{place}/ociVersion")),
        same(&format!("{place}/id"), &format!("{life}/id")),
        same(&format!("{place}/bundle"), &format!("{life}/bundle")),
        satisfies(&format!("{place}/status"), "is creating or created", |status| {
            status == "creating" || status == "created"
        }),
    ])
}

/// The flag makes sense with a listener only.
fn killable() -> Case<Stage> {
    Case::new("seccomp/flag-wait_killable_recv", |stage: &mut Stage| {
        kernel_has_seccomp()?;
        const WAIT_KILLABLE_RECV: u32 = 1 << 5;
        if !plimsoll_sys::seccomp::flags_are_available(1 << 3 | WAIT_KILLABLE_RECV) {
            let why = "the kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
            return Err(Obstacle::Skip(crate::Reason::Kernel, why.to_owned()));
        }
        let path = socket(stage);
        let agent = stage.agent(&path, ANSWER)?;
        let mut filter = filter(&path);
        filter["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
        let config = with_filter(stage, &["call:getpriority:0:0", "exit:0"], filter);
        live(stage, "life", &config)?;
        stage.evidence.record("connections", agent.finish()?);
        Ok(())
    })
    .rule("LNX-SEC-05", where_supported("/life", equals("/life/report/results/0/value", ANSWER)))
}

/// Runs the same configuration with an agent at its socket, so that a refusal without one means something.
fn control(stage: &mut Stage) -> Result<Value, Obstacle> {
    kernel_has_seccomp()?;
    let path = socket(stage);
    let agent = stage.agent(&path, ANSWER)?;
    let mut config = with_filter(stage, &["exit:0"], filter(&path));
    live(stage, "control", &config)?;
    drop(agent);
    config["linux"]["seccomp"]["listenerPath"] = json!(stage.place.join("other"));
    Ok(config)
}

fn refused_with_control() -> Judge {
    where_supported("/control", provided(equals("/control/report/pid", 1), refused_by_start("/attempt")))
}

fn no_stream() -> Case<Stage> {
    Case::new("seccomp/listener-datagram", |stage: &mut Stage| {
        let config = control(stage)?;
        let other = stage.place.join("other");
        let _held = stage.datagram_socket(&other)?;
        stage.attempt("attempt", &config)
    })
    .rule("LNX-SEC-06", refused_with_control())
    .rule("LNX-SEC-09", refused_with_control())
}

fn absent() -> Case<Stage> {
    Case::new("seccomp/listener-absent", |stage: &mut Stage| {
        let config = control(stage)?;
        stage.attempt("attempt", &config)
    })
    .rule("LNX-SEC-09", refused_with_control())
}

/// Without the action the path means nothing, whatever it is.
fn unused() -> Case<Stage> {
    Case::new("seccomp/listener-unused", |stage: &mut Stage| {
        control(stage)?;
        let mut filter = filter(&stage.place.join("nobody"));
        filter["syscalls"][0]["action"] = json!("SCMP_ACT_ERRNO");
        let config = with_filter(stage, &["call:getpriority:0:0", "exit:0"], filter);
        stage.observe("life", &config)
    })
    .rule("LNX-SEC-10", where_supported("/control", equals("/life/report/results/0/errno", "EPERM")))
}
