//! Hooks: when they run, where, with what, and what becomes of a container whose hook fails.
//!
//! The probe is the witness. Hooks whose path resolves in the runtime's namespace are a file that exists on
//! the host alone, and write to a file there; those of the container are the container's own probe.

use serde_json::{Map, Value, json};

use crate::case::{Case, Obstacle};
use crate::error::{Context as _, Result};
use crate::evidence::judge::{all, equals, nothing_left, refused_by_start, satisfies};
use crate::evidence::{Evidence, Judge};
use crate::probe::{HIDDEN, namespaces};
use crate::runtime::Stage;
use crate::runtime::stage::brief;
use crate::verdict::{Judgement, Reason};

/// One kind of hook, with the rows that it has of its own.
struct Kind {
    name: &'static str,
    /// Whether its path resolves in the container.
    inside: bool,
    /// That it is invoked.
    invoked: &'static str,
    /// What follows from its failure.
    failure: &'static str,
    /// Where its path resolves.
    path: &'static str,
    /// Where it executes.
    place: &'static str,
    /// The operation that runs it.
    operation: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "prestart",
        inside: false,
        invoked: "RUN-LIFE-05",
        failure: "RUN-LIFE-06",
        path: "CFG-HOOK-06",
        place: "CFG-HOOK-07",
        operation: "create",
    },
    Kind {
        name: "createRuntime",
        inside: false,
        invoked: "RUN-LIFE-07",
        failure: "RUN-LIFE-08",
        path: "CFG-HOOK-08",
        place: "CFG-HOOK-09",
        operation: "create",
    },
    Kind {
        name: "createContainer",
        inside: false,
        invoked: "RUN-LIFE-09",
        failure: "RUN-LIFE-10",
        path: "CFG-HOOK-10",
        place: "CFG-HOOK-11",
        operation: "create",
    },
    Kind {
        name: "startContainer",
        inside: true,
        invoked: "RUN-LIFE-11",
        failure: "RUN-LIFE-12",
        path: "CFG-HOOK-12",
        place: "CFG-HOOK-13",
        operation: "start",
    },
    Kind {
        name: "poststart",
        inside: false,
        invoked: "RUN-LIFE-14",
        failure: "RUN-LIFE-15",
        path: "CFG-HOOK-14",
        place: "CFG-HOOK-15",
        operation: "start",
    },
    Kind {
        name: "poststop",
        inside: false,
        invoked: "RUN-LIFE-18",
        failure: "RUN-LIFE-19",
        path: "CFG-HOOK-16",
        place: "CFG-HOOK-17",
        operation: "delete",
    },
];

/// Where hooks inside the container write.
const INSIDE_LOG: &str = "/hooks.log";

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![journey(), arguments(), time_out()];
    // Of poststop, a failure is only warned of; lifecycle/warnings has that.
    cases.extend(KINDS.iter().filter(|kind| kind.operation != "delete").map(failure));
    cases.extend(KINDS.iter().flat_map(malformed));
    cases
}

/// The lines that hooks have written to `log`.
pub(super) fn lines(log: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The witness outside, and where it writes.
struct Witness {
    program: String,
    log: String,
}

impl Witness {
    fn new(stage: &Stage) -> Result<Witness> {
        let program = stage.place.join("witness");
        std::fs::hard_link(&stage.settings.probe, &program).context(|| "link the witness")?;
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(Witness { program: text(program), log: text(stage.place.join("hooks.log")) })
    }

    /// A hook of `kind` that calls itself `name` and does `actions`.
    fn hook(&self, kind: &Kind, name: &str, actions: &[&str]) -> Value {
        let (program, log) = match kind.inside {
            true => ("/probe", INSIDE_LOG),
            false => (self.program.as_str(), self.log.as_str()),
        };
        let args: Vec<&str> =
            [program, "hook", log, name].into_iter().chain(actions.iter().copied()).collect();
        json!({"path": program, "args": args, "env": [format!("HOOK={name}")]})
    }
}

/// All kinds at once, two hooks each, over the whole life of a container.
fn journey() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let witness = Witness::new(stage)?;
        let mut config = stage.config(&[&format!("read:{INSIDE_LOG}"), "wait"]);
        config["annotations"] = json!({"com.example.hooked": "yes"});
        let mut container = stage.bundle(&config)?;
        let signal = format!("touch:{}", container.rootfs().join("poststart").display());
        let two = |kind: &Kind| {
            let second = match kind.name {
                // Whoever runs these too early is to be seen, and not only if the program is slow.
                "startContainer" => vec!["await:/poststart:400"],
                "poststart" => vec![signal.as_str()],
                _ => Vec::new(),
            };
            json!([
                witness.hook(kind, &format!("{}-1", kind.name), &[]),
                witness.hook(kind, &format!("{}-2", kind.name), &second)
            ])
        };
        config["hooks"] =
            KINDS.iter().map(|kind| (kind.name.to_owned(), two(kind))).collect::<Map<_, _>>().into();
        stage.write_config(&container, config.to_string().as_bytes())?;
        let inside = container.rootfs().join("hooks.log").to_string_lossy().into_owned();
        let names =
            |log: &str| lines(log).iter().filter_map(|line| line.get("hook").cloned()).collect::<Vec<_>>();
        let created = stage.create(&mut container)?;
        stage.evidence.record("create", brief(&created));
        stage.evidence.record("id", container.id.as_str());
        stage.evidence.record("bundle", container.bundle.to_string_lossy());
        stage.evidence.record("pid", container.pid);
        stage.evidence.record("runtimeNamespaces", json!(namespaces("self")));
        let seen = container.pid.map(|pid| namespaces(&pid.to_string())).unwrap_or_default();
        stage.evidence.record("containerNamespaces", json!(seen));
        stage
            .evidence
            .record("afterCreate", json!({"outside": names(&witness.log), "inside": names(&inside)}));
        if created.ok() {
            let started = stage.start(&container)?;
            stage.evidence.record("start", brief(&started));
            let outside = names(&witness.log);
            // `start` may return before the program is executed.
            let frames = stage.await_frames(&container, 1)?;
            stage.evidence.record("afterStart", json!({"outside": outside, "inside": names(&inside)}));
            let report = frames.first().cloned().unwrap_or_default();
            if seen.is_empty() {
                // Until then it may have been hidden from an ordinary user.
                stage.evidence.record("containerNamespaces", report["namespaces"].clone());
            }
            stage.evidence.record("report", report);
            stage.kill(&container, "KILL")?;
            stage.wait(&container);
            stage.evidence.record("beforeDelete", json!({"outside": names(&witness.log)}));
            let deleted = stage.delete(&container)?;
            stage.evidence.record("delete", brief(&deleted));
        }
        let all: Map<String, Value> = lines(&witness.log)
            .into_iter()
            .chain(lines(&inside))
            .filter_map(|line| Some((line.get("hook")?.as_str()?.to_owned(), line)))
            .collect();
        let outside = names(&witness.log);
        stage.evidence.record("order", outside);
        stage.evidence.record("hooks", all);
        stage.clean(&container)
    };
    let mut case = Case::new("hooks/journey", run);
    for kind in &KINDS {
        case = case
            .rule(kind.invoked, invoked(kind))
            .rule(kind.path, ran(kind))
            .rule(kind.place, stood(kind))
            .rule("CFG-HOOK-18", in_order(kind))
            .rule("CFG-HOOK-19", was_told(kind));
    }
    case.rule("CFG-HOOK-20", where_shown("prestart", before_the_pivot("prestart")))
        .rule("CFG-HOOK-21", ordered("/order", "prestart-2", "createRuntime-1"))
        .rule(
            "CFG-HOOK-22",
            where_shown(
                "createRuntime",
                all(vec![before_the_pivot("createRuntime"), mounted("createRuntime", "/container/mounts")]),
            ),
        )
        .rule("CFG-HOOK-23", mounted("createContainer", "/mounts"))
        .rule("CFG-HOOK-24", ordered("/order", "createRuntime-2", "createContainer-1"))
        .rule(
            "CFG-HOOK-25",
            all(vec![equals("/afterCreate/inside", json!([])), contains(FOUND, "startContainer-2")]),
        )
        .rule("CFG-HOOK-26", all(vec![invoked_at("poststart", "/afterStart/outside"), executed("poststart")]))
        .rule(
            "CFG-HOOK-27",
            all(vec![
                ran(&KINDS[5]),
                equals("/hooks/poststop-1/state/status", "stopped"),
                not_yet("poststop", "/beforeDelete/outside"),
            ]),
        )
        .rule("RUN-STATE-05", all(["prestart", "createRuntime", "createContainer"].map(in_the_making).into()))
        .rule(
            "RUN-STATE-11",
            all(["createRuntime", "poststart"]
                .map(|name| crate::evidence::judge::same(&format!("/hooks/{name}-1/state/pid"), "/pid"))
                .into()),
        )
        .rule(
            "RUN-STATE-12",
            all(["createContainer", "startContainer"]
                .map(|name| equals(&format!("/hooks/{name}-1/state/pid"), 1))
                .into()),
        )
        .rule("RUN-STATE-16", states())
}

/// Every hook is given a state by the schema.
fn states() -> Judge {
    let one = |kind: &Kind| {
        satisfies(
            &format!("/hooks/{}-1/state", kind.name),
            "is a state by its schema",
            super::lifecycle::is_state,
        )
    };
    all(KINDS.iter().map(one).collect())
}

fn contains(pointer: &str, text: &str) -> Judge {
    let text = text.to_owned();
    satisfies(pointer, &format!("holds {text}"), move |value| match value {
        Value::String(value) => value.contains(&text),
        Value::Array(values) => values.contains(&json!(text)),
        _ => false,
    })
}

fn invoked_at(name: &'static str, pointer: &str) -> Judge {
    let first = format!("{name}-1");
    satisfies(pointer, &format!("holds {first}"), move |names| {
        names.as_array().is_some_and(|names| names.contains(&json!(first)))
    })
}

fn not_yet(name: &'static str, pointer: &str) -> Judge {
    let first = format!("{name}-1");
    satisfies(pointer, &format!("lacks {first}"), move |names| {
        names.as_array().is_some_and(|names| !names.contains(&json!(first)))
    })
}

/// What the program of the container found in the log that hooks write inside.
const FOUND: &str = "/report/results/0/value";

/// It has run when its operation returns, and not before that began. Inside, `start` may leave the rest of its
/// work to the process itself, as most runtimes do: then it has run when the program does.
fn invoked(kind: &Kind) -> Judge {
    match kind.operation {
        "create" => invoked_at(kind.name, "/afterCreate/outside"),
        "start" if kind.inside => {
            let ran = contains(FOUND, &format!("{}-1", kind.name));
            all(vec![not_yet(kind.name, "/afterCreate/inside"), ran])
        }
        "start" => all(vec![
            not_yet(kind.name, "/afterCreate/outside"),
            invoked_at(kind.name, "/afterStart/outside"),
        ]),
        _ => all(vec![not_yet(kind.name, "/beforeDelete/outside"), ran(kind)]),
    }
}

/// It has run at all: its path was found where it alone exists.
fn ran(kind: &Kind) -> Judge {
    satisfies(&format!("/hooks/{}-1/hook", kind.name), "is there", Value::is_string)
}

/// Its namespaces were those of the runtime, or of the container.
fn stood(kind: &Kind) -> Judge {
    let inside = matches!(kind.name, "createContainer" | "startContainer");
    let whose = if inside { "containerNamespaces" } else { "runtimeNamespaces" };
    let same = |namespace: &str| {
        crate::evidence::judge::same(
            &format!("/hooks/{}-1/namespaces/{namespace}", kind.name),
            &format!("/{whose}/{namespace}"),
        )
    };
    all(["mnt", "net", "uts", "ipc"].map(same).into())
}

/// The first of its kind ran before the second.
fn in_order(kind: &Kind) -> Judge {
    let (first, second) = (format!("{}-1", kind.name), format!("{}-2", kind.name));
    if !kind.inside {
        return ordered("/order", &first, &second);
    }
    satisfies(FOUND, &format!("has {first} before {second}"), move |text| {
        let at = |name: &String| text.as_str().and_then(|text| text.find(name));
        matches!((at(&first), at(&second)), (Some(first), Some(second)) if first < second)
    })
}

fn ordered(pointer: &str, first: &str, second: &str) -> Judge {
    let (first, second) = (json!(first), json!(second));
    satisfies(pointer, &format!("has {first} before {second}"), move |names| {
        let at = |name: &Value| names.as_array().and_then(|names| names.iter().position(|one| one == name));
        matches!((at(&first), at(&second)), (Some(first), Some(second)) if first < second)
    })
}

/// It was given the state of this container.
fn was_told(kind: &Kind) -> Judge {
    let at = |member: &str| format!("/hooks/{}-1/state/{member}", kind.name);
    all(vec![
        crate::evidence::judge::same(&at("id"), "/id"),
        crate::evidence::judge::same(&at("bundle"), "/bundle"),
        equals(&at("annotations/com.example.hooked"), "yes"),
    ])
}

/// While `create` has not returned, a container is being created. The words behind `created` also name the
/// step before these hooks, so that is not held against a runtime.
fn in_the_making(name: &str) -> Judge {
    satisfies(&format!("/hooks/{name}-1/state/status"), "is creating or created", |status| {
        status == "creating" || status == "created"
    })
}

/// `judge`, where the hook called `name` could look into the container's process.
fn where_shown(name: &str, judge: Judge) -> Judge {
    let hidden = format!("/hooks/{name}-1/container/hidden");
    Box::new(move |evidence: &Evidence| match evidence.at(&hidden) {
        Some(Value::Bool(true)) => Judgement::skip(Reason::Privilege, HIDDEN),
        _ => judge(evidence),
    })
}

/// The container has namespaces of its own, and its root is still the host's.
fn before_the_pivot(name: &str) -> Judge {
    let place = format!("/hooks/{name}-1/container");
    all(vec![
        crate::evidence::judge::differ(&format!("{place}/namespaces/mnt"), "/runtimeNamespaces/mnt"),
        satisfies(&format!("{place}/mounts"), "has the host's root at /", |mounts| {
            let root = mounts
                .as_array()
                .and_then(|mounts| mounts.iter().rfind(|mount| mount.get("target") == Some(&json!("/"))));
            // A root file system that was bound to its own place shows it as its root.
            root.is_some_and(|mount| {
                mount.get("root").and_then(Value::as_str).is_some_and(|root| !root.ends_with("/rootfs"))
            })
        }),
    ])
}

/// The mounts of the configuration are there, still below the root file system's place on the host.
fn mounted(name: &str, whose: &str) -> Judge {
    satisfies(&format!("/hooks/{name}-1{whose}"), "has /dev/shm below the root file system", |mounts| {
        let below = |mount: &Value| {
            mount
                .get("target")
                .and_then(Value::as_str)
                .is_some_and(|target| target.ends_with("/rootfs/dev/shm"))
        };
        mounts.as_array().is_some_and(|mounts| mounts.iter().any(below))
    })
}

/// When the hook ran, the container's process had executed its program.
fn executed(name: &str) -> Judge {
    satisfies(&format!("/hooks/{name}-1/container/program"), "is the program", |program| {
        program.as_str().is_some_and(|program| program.ends_with("/probe"))
    })
}

/// What a hook is given beside the state.
fn arguments() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let witness = Witness::new(stage)?;
        let mut config = stage.config(&["exit:0"]);
        stage.environment.push(("CANARY".to_owned(), "leaked".to_owned()));
        config["hooks"] = json!({"createRuntime": [
            {"path": witness.program, "args": ["other name", "hook", witness.log, "with", "read:/nonexistent"], "env": ["A=1", "B=two words"]},
        ]});
        stage.observe("observed", &config)?;
        let seen = lines(&witness.log);
        stage.evidence.record("hook", seen.first().cloned().unwrap_or_default());
        stage.evidence.record("log", witness.log.as_str());
        Ok(())
    };
    let argv = satisfies("/hook/argv", "is what the configuration lists", |argv| {
        let words: Vec<&str> = argv.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        matches!(words.as_slice(), ["other name", "hook", _, "with", "read:/nonexistent"])
    });
    Case::new("hooks/arguments", run)
        .rule("CFG-HOOK-02", argv)
        .rule("CFG-HOOK-03", equals("/hook/env", json!(["A=1", "B=two words"])))
}

/// A hook that does not end is aborted when its time is over, and has failed then.
fn time_out() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let witness = Witness::new(stage)?;
        let mut config = stage.config(&["exit:0"]);
        let mut hook = witness.hook(&KINDS[1], "slow", &["sleep"]);
        hook["timeout"] = json!(1);
        config["hooks"] = json!({"createRuntime": [hook]});
        let start = std::time::Instant::now();
        stage.attempt("attempt", &config)?;
        stage.evidence.record("returned", start.elapsed().as_secs() < 8);
        let seen = lines(&witness.log);
        let pid = seen.first().and_then(|line| line.get("pid")).and_then(Value::as_i64);
        let alive = pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
        stage.evidence.record("began", pid.is_some());
        stage.evidence.record("alive", alive);
        Ok(())
    };
    Case::new("hooks/time-out", run).rule(
        "CFG-HOOK-05",
        all(vec![
            equals("/began", true),
            refused_by_start("/attempt"),
            equals("/returned", true),
            equals("/alive", false),
        ]),
    )
}

/// The second of three hooks fails.
fn failure(kind: &'static Kind) -> Case<Stage> {
    let run = move |stage: &mut Stage| -> std::result::Result<(), Obstacle> {
        let witness = Witness::new(stage)?;
        let mut config = stage.config(&["wait"]);
        let three = json!([
            witness.hook(kind, "first", &[]),
            witness.hook(kind, "second", &["exit:1"]),
            witness.hook(kind, "third", &[]),
        ]);
        config["hooks"] = json!({"poststop": [witness.hook(&KINDS[5], "poststop", &[])]});
        config["hooks"][kind.name] = three;
        let before = stage.host();
        let mut container = stage.bundle(&config)?;
        let inside = container.rootfs().join("hooks.log").to_string_lossy().into_owned();
        let mut last = stage.create(&mut container)?;
        if last.ok() && kind.operation == "start" {
            last = stage.start(&container)?;
        }
        stage.evidence.record("operation", brief(&last));
        // A process that is being ended is waited for; one that nobody ends shows after its time.
        let exit = stage.wait(&container);
        stage.evidence.record("ended", container.pid.is_none() || !exit.is_null());
        // The process itself may be the one that runs the hook and tells of its failure by its exit.
        let told = !last.ok() || exit.get("code") != Some(&json!(0));
        stage.evidence.record("told", told);
        stage.evidence.record("reports", container.frames().len());
        let state = stage.state_of(&container)?;
        stage.evidence.record("status", state.get("status").cloned().unwrap_or(json!("gone")));
        let names =
            |log: &str| lines(log).iter().filter_map(|line| line.get("hook").cloned()).collect::<Vec<_>>();
        let own: Vec<Value> = names(if kind.inside { &inside } else { &witness.log });
        stage
            .evidence
            .record("hooks", own.iter().filter(|name| *name != "poststop").cloned().collect::<Vec<_>>());
        stage.evidence.record("poststop", names(&witness.log).contains(&json!("poststop")));
        if !state.is_null() {
            // Where the runtime leaves it to be deleted, the lifecycle goes on from there.
            stage.delete(&container)?;
        }
        stage.evidence.record("poststopInTheEnd", names(&witness.log).contains(&json!("poststop")));
        stage.evidence.record("after", json!({"left": before.diff(&stage.host())}));
        stage.clean(&container)
    };
    let program = if kind.name == "poststart" { None } else { Some(equals("/reports", 0)) };
    let mut rules = vec![
        if kind.inside { equals("/told", true) } else { crate::evidence::judge::fails("/operation") },
        equals("/ended", true),
        satisfies("/status", "is stopped, or there is no container", |status| {
            status == "stopped" || status == "gone"
        }),
        equals("/poststopInTheEnd", true),
    ];
    rules.extend(program);
    Case::new(format!("hooks/failing-{}", kind.name), run)
        .rule(kind.failure, all(rules))
        .rule(
            "CFG-HOOK-18",
            satisfies("/hooks", "begins with the first two", |names| {
                names.as_array().is_some_and(|names| names.starts_with(&[json!("first"), json!("second")]))
            }),
        )
        .rule("RUN-LIFE-17", nothing_left("/after"))
}

/// Hooks that no runtime may accept.
fn malformed(kind: &'static Kind) -> Vec<Case<Stage>> {
    let rows: [(&str, &'static str, Value); 3] = [
        ("relative", "CFG-HOOK-01", json!({"path": "bin/witness"})),
        ("timeout-0", "CFG-HOOK-04", json!({"timeout": 0})),
        ("timeout-negative", "CFG-HOOK-04", json!({"timeout": -1})),
    ];
    let case = |(name, row, change): (&str, &'static str, Value)| {
        let run = move |stage: &mut Stage| {
            let witness = Witness::new(stage)?;
            let mut config = stage.config(&["exit:0"]);
            let mut hook = witness.hook(kind, "hook", &[]);
            for (member, value) in change.as_object().into_iter().flatten() {
                hook[member] = value.clone();
            }
            config["hooks"] = json!({kind.name: [hook]});
            stage.observe("observed", &config)?;
            stage.evidence.record("hooks", lines(&witness.log));
            Ok(())
        };
        // Any of the three operations may find it out: the schema does not say when. Where the process itself
        // runs the hook, its exit tells.
        let any = Box::new(|evidence: &Evidence| {
            let exit = |name: &str| evidence.at(&format!("/observed/{name}/exit")).and_then(Value::as_i64);
            let told = evidence.at("/observed/report").is_none_or(Value::is_null)
                && evidence.at("/observed/exit/code").is_some_and(|code| *code != 0);
            let refused = told
                || ["create", "start", "delete"].iter().any(|name| exit(name).is_some_and(|code| code != 0));
            let observed =
                ["create", "start", "delete"].map(|name| format!("{name} exited with {:?}", exit(name)));
            Judgement::of(refused, "an operation fails", observed.join(", "))
        });
        Case::new(format!("hooks/{name}-{}", kind.name), run).rule(row, any)
    };
    rows.map(case).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_judged() {
        let mut evidence = Evidence::default();
        evidence.record("order", json!(["a", "b"]));
        assert_eq!(ordered("/order", "a", "b")(&evidence).verdict, crate::Verdict::Pass);
        assert_eq!(ordered("/order", "b", "a")(&evidence).verdict, crate::Verdict::Fail);
        assert_eq!(ordered("/order", "a", "c")(&evidence).verdict, crate::Verdict::Fail);
    }

    #[test]
    fn what_runs_inside_need_not_have_run_when_start_returns() {
        let kind = KINDS.iter().find(|kind| kind.inside).unwrap();
        let verdicts = |found: &str| {
            let mut evidence = Evidence::default();
            evidence.record("afterCreate", json!({"inside": []}));
            evidence.record("afterStart", json!({"inside": []}));
            evidence.record("report", json!({"results": [{"value": found}]}));
            [invoked(kind), in_order(kind)].map(|judge| judge(&evidence).verdict)
        };
        use crate::Verdict::{Fail, Pass};
        assert_eq!(verdicts("startContainer-1\nstartContainer-2"), [Pass, Pass]);
        assert_eq!(verdicts("startContainer-2\nstartContainer-1"), [Pass, Fail]);
        assert_eq!(verdicts(""), [Fail, Fail]);
    }
}
