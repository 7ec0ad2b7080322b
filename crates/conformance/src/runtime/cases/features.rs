//! What a runtime says of itself: whether it is well formed, and whether it is true.
//!
//! The structure is optional, so every row is NOT_APPLICABLE to a runtime that has none. What it lists must
//! work, or at least be recognised; what it denies must be an error when it is used.

use serde_json::{Map, Value, json};

use crate::Reason;
use crate::case::{Case, Obstacle};
use crate::evidence::Judge;
use crate::evidence::judge::{all, equals, satisfies};
use crate::runtime::caller::Caller;
use crate::runtime::stage::brief;
use crate::runtime::{CgroupDriver, Stage};
use crate::verdict::Judgement;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![
        document(),
        twice(),
        versions(),
        hooks(),
        mount_options(),
        namespaces(),
        capabilities(),
        cgroups(),
        by_systemd(),
    ];
    cases.extend(LISTS.iter().map(list));
    cases.extend(CLAIMS.iter().map(claim));
    // The document binds nobody who has none.
    cases.into_iter().map(Case::where_it_applies).collect()
}

/// The document; the rows bind nobody who has none.
pub(super) fn features(stage: &mut Stage) -> Result<Value, Obstacle> {
    let none =
        |why: &str| Obstacle::NotApplicable(format!("the runtime offers no features structure: {why}"));
    let place = stage.place.clone();
    let ran = match stage.call("features", &[], &place) {
        Err(Obstacle::Skip(_, why)) => return Err(none(&why)),
        ran => ran?,
    };
    if !ran.ok() {
        return Err(none(&format!("its command exits with {:?}", ran.exit)));
    }
    let document: Value = serde_json::from_str(&ran.stdout)
        .map_err(|e| Obstacle::Inconclusive(format!("what features prints is no JSON: {e}")))?;
    stage.evidence.record("features", document.clone());
    stage.evidence.record("stderr", ran.stderr);
    Ok(document)
}

/// The strings of a list within the document; `None` where it is absent: unknown, not empty.
fn strings(document: &Value, pointer: &str) -> Option<Vec<String>> {
    let list = document.pointer(pointer)?.as_array()?;
    Some(list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
}

/// Whether `create` takes a configuration, and what it says otherwise. The container does not outlive this.
fn takes(stage: &mut Stage, config: &Value) -> Result<Value, Obstacle> {
    let mut container = stage.bundle(config)?;
    let ran = stage.create(&mut container)?;
    stage.clean(&container)?;
    let said = ran
        .stderr
        .replace(container.id.as_str(), "ID")
        .replace(&*container.bundle.to_string_lossy(), "BUNDLE");
    Ok(json!({"ok": ran.ok(), "stderr": said}))
}

/// An entry that no list has.
const UNKNOWN: &str = "judgesunknown";

/// What came of the entries of a list, each in a configuration of its own, beside [`UNKNOWN`].
fn try_each(
    stage: &mut Stage,
    entries: &[String],
    put: &dyn Fn(&mut Stage, &mut Value, &str) -> bool,
) -> Result<(), Obstacle> {
    let mut tried = Map::new();
    for entry in entries.iter().map(String::as_str).chain([UNKNOWN]) {
        let mut config = stage.config(&["exit:0"]);
        if put(stage, &mut config, entry) {
            let taken = takes(stage, &config)?;
            tried.insert(entry.to_owned(), taken);
        }
    }
    stage.evidence.record("tried", tried);
    Ok(())
}

/// Every entry of the list is recognised: taken, or refused in other words than an unknown one is. A list may
/// name what this host does not support.
fn all_recognised() -> Judge {
    Box::new(|evidence| {
        let mut tried = evidence.at("/tried").and_then(Value::as_object).cloned().unwrap_or_default();
        let unknown = tried.remove(UNKNOWN).unwrap_or_default();
        if tried.is_empty() {
            return Judgement::not_applicable("nothing of this kind is listed");
        }
        if unknown.get("ok") == Some(&json!(true)) {
            return Judgement::inconclusive(
                "an unknown entry is taken too, so nothing tells that others are known",
            );
        }
        let words = |one: &Value, name: &str| {
            one.get("stderr").and_then(Value::as_str).map(|said| without_times(&said.replace(name, UNKNOWN)))
        };
        let refused: Vec<&str> = tried
            .iter()
            .filter(|(name, one)| {
                one.get("ok") != Some(&json!(true)) && words(one, name) == words(&unknown, UNKNOWN)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        let observed = match refused.is_empty() {
            true => format!("all {} are", tried.len()),
            false => format!("refused as an unknown one is: {}", refused.join(", ")),
        };
        Judgement::of(refused.is_empty(), "everything that is listed is recognised", observed)
    })
}

/// What is said without the digits in it: times, numbers of descriptors and processes.
fn without_times(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Every one of the attempts recorded at `pointer` was taken.
fn all_taken(pointer: &str) -> Judge {
    let pointer = pointer.to_owned();
    Box::new(move |evidence| {
        let mut tried = evidence.at(&pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        tried.remove(UNKNOWN);
        if tried.is_empty() {
            return Judgement::not_applicable("nothing of this kind is listed");
        }
        let refused: Vec<String> = tried
            .iter()
            .filter(|(_, one)| one.get("ok") != Some(&json!(true)))
            .map(|(name, one)| {
                format!("{name}: {}", one.get("stderr").and_then(Value::as_str).unwrap_or("refused"))
            })
            .collect();
        let observed =
            if refused.is_empty() { format!("all {} are", tried.len()) } else { refused.join("; ") };
        Judgement::of(refused.is_empty(), "everything that is listed is recognised", observed)
    })
}

/// What the schema of the structure allows for its members.
const MEMBERS: [&str; 7] = [
    "ociVersionMin",
    "ociVersionMax",
    "hooks",
    "mountOptions",
    "linux",
    "annotations",
    "potentiallyUnsafeConfigAnnotations",
];
const LINUX: [&str; 10] = [
    "namespaces",
    "capabilities",
    "cgroup",
    "seccomp",
    "apparmor",
    "selinux",
    "memoryPolicy",
    "intelRdt",
    "mountExtensions",
    "netDevices",
];

/// Options that belong to file systems, not to mounting.
const OF_FILE_SYSTEMS: [&str; 9] =
    ["size", "mode", "uid", "gid", "nr_inodes", "data", "umask", "errors", "hidepid"];

fn document() -> Case<Stage> {
    let run = |stage: &mut Stage| features(stage).map(drop);
    let strings_of = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let optional = move |name: &str, test: fn(&Value) -> bool| {
        let pointer = format!("/features/{name}");
        let name = name.to_owned();
        Box::new(move |evidence: &crate::Evidence| match evidence.at(&pointer) {
            None | Some(Value::Null) => {
                Judgement::of(true, format!("{name} is absent or well formed"), "absent")
            }
            Some(value) => {
                Judgement::of(test(value), format!("{name} is well formed"), evidence.show(&pointer))
            }
        }) as Judge
    };
    let schema = all(vec![
        satisfies("/features/ociVersionMin", "is a string", Value::is_string),
        satisfies("/features/ociVersionMax", "is a string", Value::is_string),
        optional("hooks", strings_of),
        optional("mountOptions", strings_of),
        optional("linux", |linux| {
            let list = |name: &str| linux.get(name).is_none_or(|value| value.is_null() || value.is_array());
            let object =
                |name: &str| linux.get(name).is_none_or(|value| value.is_null() || value.is_object());
            linux.is_object()
                && list("namespaces")
                && list("capabilities")
                && LINUX[2..].iter().all(|name| object(name))
        }),
        optional("annotations", is_annotations),
        optional("potentiallyUnsafeConfigAnnotations", strings_of),
    ]);
    let known =
        satisfies("/features", "has no property that the specification does not define", |features| {
            let only = |value: Option<&Value>, names: &[&str]| {
                value
                    .and_then(Value::as_object)
                    .is_none_or(|members| members.keys().all(|name| names.contains(&name.as_str())))
            };
            only(Some(features), &MEMBERS) && only(features.get("linux"), &LINUX)
        });
    let ordered = satisfies("/features", "has a greatest version that is not below the least", |features| {
        let version = |name: &str| numbers(features.get(name)?.as_str()?);
        matches!((version("ociVersionMin"), version("ociVersionMax")), (Some(least), Some(most)) if least <= most)
    });
    Case::new("features/document", run)
        .rule("FEA-GEN-04", schema)
        .rule("FEA-VER-03", ordered)
        .rule("FEA-VER-04", known)
        .rule("FEA-ANN-01", optional("annotations", is_annotations))
        .rule(
            "FEA-MNT-02",
            optional("mountOptions", |options| {
                options.as_array().is_some_and(|options| {
                    options.iter().filter_map(Value::as_str).all(|option| {
                        !OF_FILE_SYSTEMS.contains(&option.split('=').next().unwrap_or_default())
                    })
                })
            }),
        )
}

fn is_annotations(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|members| members.iter().all(|(name, value)| !name.is_empty() && value.is_string()))
}

/// The three numbers of a version; a label behind them makes it less than the version without.
fn numbers(version: &str) -> Option<(Vec<u64>, bool)> {
    let (numbers, label) = match version.split_once('-') {
        Some((numbers, _)) => (numbers, false),
        None => (version.split('+').next()?, true),
    };
    let numbers: Option<Vec<u64>> = numbers.split('.').map(|text| text.parse().ok()).collect();
    numbers.filter(|numbers| numbers.len() == 3).map(|numbers| (numbers, label))
}

/// The order of a list says nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<Value> = values.iter().map(sorted).collect();
            values.sort_by_key(Value::to_string);
            values.into()
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect(),
        other => other.clone(),
    }
}

/// What was known when the runtime was built does not change with where it is asked.
fn twice() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let first = features(stage)?;
        stage.environment.push(("XDG_RUNTIME_DIR".to_owned(), stage.place.to_string_lossy().into_owned()));
        let elsewhere = stage.place.join("elsewhere");
        std::fs::create_dir(&elsewhere)
            .map_err(|e| crate::Error::because(crate::Kind::Environment, "make a folder", e))?;
        let ran = stage.call("features", &[], &elsewhere)?;
        let second: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        stage.evidence.record("same", sorted(&first) == sorted(&second));
        Ok(())
    };
    Case::new("features/twice", run).rule("FEA-GEN-02", equals("/same", true))
}

/// Configurations of the least and the greatest version work.
fn versions() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        for name in ["ociVersionMin", "ociVersionMax"] {
            let mut config = stage.config(&["exit:0"]);
            config["ociVersion"] = document.get(name).cloned().unwrap_or_default();
            stage.observe(name, &config)?;
        }
        Ok(())
    };
    let starts = |name: &str| equals(&format!("/{name}/start/exit"), 0);
    Case::new("features/versions", run)
        .rule("FEA-VER-01", starts("ociVersionMin"))
        .rule("FEA-VER-02", starts("ociVersionMax"))
}

/// Every hook that is listed is run.
fn hooks() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        let listed = strings(&document, "/hooks").unwrap_or_default();
        let mut tried = Map::new();
        for name in listed {
            let hook = stage.place.join("witness");
            if !hook.exists() {
                std::fs::hard_link(&stage.settings.probe, &hook)
                    .map_err(|e| crate::Error::because(crate::Kind::Environment, "link a hook", e))?;
            }
            let mut config = stage.config(&["exit:0"]);
            let (program, log) = match name.as_str() {
                "startContainer" => ("/probe".to_owned(), "/hooks.log".to_owned()),
                _ => (
                    hook.to_string_lossy().into_owned(),
                    stage.place.join("hooks.log").to_string_lossy().into_owned(),
                ),
            };
            config["hooks"] =
                json!({name.as_str(): [{"path": program, "args": [program, "hook", log, name]}]});
            let container = stage.bundle(&config)?;
            let inside = container.rootfs().join("hooks.log");
            stage.observe_in("last", container)?;
            let log = if name == "startContainer" { inside.to_string_lossy().into_owned() } else { log };
            let ran = super::hooks::lines(&log).iter().any(|line| line.get("hook") == Some(&json!(name)));
            tried.insert(name, json!({"ok": ran, "stderr": "it was not run"}));
        }
        stage.evidence.record("tried", tried);
        Ok(())
    };
    Case::new("features/hooks", run).rule("FEA-HOOK-01", all_taken("/tried"))
}

/// Every option that is listed is recognised, which shows where a file system would refuse it as its own.
fn mount_options() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        let source = stage.place.join("source");
        std::fs::create_dir(&source)
            .map_err(|e| crate::Error::because(crate::Kind::Environment, "make a folder", e))?;
        let source = source.to_string_lossy().into_owned();
        let mut listed = strings(&document, "/mountOptions").unwrap_or_default();
        // The mapped ones need mappings, which have rows of their own.
        listed.retain(|option| option != "idmap" && option != "ridmap");
        try_each(stage, &listed, &|_, config, option| {
            let mount = match option {
                "bind" | "rbind" => {
                    vec![json!({"destination": "/mnt", "source": source, "options": [option]})]
                }
                "remount" => vec![
                    json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}),
                    json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro"]}),
                ],
                _ => vec![
                    json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": [option]}),
                ],
            };
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.extend(mount);
            }
            true
        })
    };
    Case::new("features/mount-options", run).rule("FEA-MNT-01", all_recognised())
}

fn namespaces() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        let listed = strings(&document, "/linux/namespaces").unwrap_or_default();
        try_each(stage, &listed, &|stage, config, name| {
            if let Some(list) = config["linux"]["namespaces"].as_array_mut()
                && !list.iter().any(|namespace| namespace["type"] == json!(name))
            {
                list.push(json!({"type": name}));
            }
            // An ordinary user's container has it already, with the mappings that he may have.
            if name == "user" && stage.caller == Caller::Root {
                let mapping = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
                config["linux"]["uidMappings"] = mapping.clone();
                config["linux"]["gidMappings"] = mapping;
            }
            true
        })
    };
    Case::new("features/namespaces", run).rule("FLX-NS-01", all_recognised())
}

/// All listed capabilities at once; one that is not recognised would be warned of by its name, or not granted.
fn capabilities() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        let Some(listed) = strings(&document, "/linux/capabilities") else { return Ok(()) };
        let mut config = stage.config(&["exit:0"]);
        // Only those that this kernel and this caller have can be had; the others are for the kernel to refuse.
        let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap_or_default();
        let own = u64::from_str_radix(own.trim(), 16).unwrap_or_default();
        let had: Vec<&String> = listed
            .iter()
            .filter(|name| {
                let number = plimsoll_sys::capability::number(name);
                number.is_none_or(|number| own & (1 << number) != 0)
            })
            .collect();
        config["process"]["capabilities"] = json!({"bounding": had, "effective": had, "permitted": had});
        stage.observe("observed", &config)?;
        let said = stage.evidence.at("/observed/create/stderr").and_then(Value::as_str).unwrap_or_default();
        let unknown: Vec<&&String> = had.iter().filter(|name| said.contains(name.as_str())).collect();
        let unknown = json!(unknown);
        let granted = stage.evidence.at("/observed/report/capabilities/effective").and_then(Value::as_str);
        let granted = u64::from_str_radix(granted.unwrap_or_default(), 16).unwrap_or_default();
        let missing = |name: &&&String| {
            plimsoll_sys::capability::number(name).is_some_and(|number| granted & (1 << number) == 0)
        };
        let missing = json!(had.iter().filter(missing).collect::<Vec<_>>());
        stage.evidence.record("unknown", unknown);
        stage.evidence.record("missing", missing);
        Ok(())
    };
    let judge = Box::new(|evidence: &crate::Evidence| match evidence.at("/missing") {
        None => Judgement::not_applicable("no capabilities are listed"),
        Some(_) => all(vec![
            equals("/observed/start/exit", 0),
            equals("/unknown", json!([])),
            equals("/missing", json!([])),
        ])(evidence),
    });
    Case::new("features/capabilities", run).rule("FLX-CAP-01", judge)
}

/// What is said about the hierarchies is held against the one that is here.
fn cgroups() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        features(stage)?;
        let pure = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        stage.evidence.record("here", if pure { "v2" } else { "v1" });
        let config = stage.config(&["exit:0"]);
        stage.observe("observed", &config)
    };
    let judge = |version: &'static str| {
        Box::new(move |evidence: &crate::Evidence| {
            let claimed = evidence.at(&format!("/features/linux/cgroup/{version}")).and_then(Value::as_bool);
            let Some(claimed) = claimed else { return Judgement::not_applicable("nothing is said about it") };
            if evidence.at("/here") != Some(&json!(version)) {
                return Judgement::skip(Reason::Kernel, format!("this host shows no cgroup {version}"));
            }
            let works = evidence.at("/observed/start/exit") == Some(&json!(0));
            let expected =
                format!("a container on cgroup {version} {}", if claimed { "runs" } else { "is refused" });
            Judgement::of(works == claimed, expected, evidence.show("/observed/create"))
        })
    };
    Case::new("features/cgroups", run).rule("FLX-CG-v1", judge("v1")).rule("FLX-CG-v2", judge("v2"))
}

/// What is said about systemd's driver is held against a container that is made with it, in the runs that use it.
fn by_systemd() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        if stage.settings.cgroup_driver != CgroupDriver::Systemd {
            let why = "this run does not use the runtime's systemd driver";
            return Err(Obstacle::Skip(Reason::Configuration, why.to_owned()));
        }
        features(stage)?;
        stage.evidence.record("root", stage.caller == Caller::Root);
        let mut container = stage.bundle(&stage.config(&["exit:0"]))?;
        let ran = stage.create(&mut container)?;
        let cgroups = container.pid.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")));
        let cgroups = cgroups.and_then(Result::ok).unwrap_or_default();
        let unit = cgroups
            .lines()
            .any(|line| line.split('/').any(|name| name.contains(stage.mark()) && name.ends_with(".scope")));
        stage.evidence.record("create", brief(&ran));
        stage.evidence.record("unit", unit);
        stage.clean(&container)
    };
    let judge = |member: &'static str, root: bool| {
        Box::new(move |evidence: &crate::Evidence| {
            let claimed = evidence.at(&format!("/features/linux/cgroup/{member}")).and_then(Value::as_bool);
            let Some(claimed) = claimed else { return Judgement::not_applicable("nothing is said about it") };
            if evidence.at("/root") != Some(&json!(root)) {
                let who = if root { "root" } else { "an ordinary user" };
                return Judgement::skip(Reason::Privilege, format!("the runtime was not run by {who}"));
            }
            let works =
                evidence.at("/create/exit") == Some(&json!(0)) && evidence.at("/unit") == Some(&json!(true));
            let expected =
                format!("a container {} a unit of systemd's", if claimed { "is made in" } else { "gets no" });
            let observed =
                format!("create: {}; in a unit: {}", evidence.show("/create"), evidence.show("/unit"));
            Judgement::of(works == claimed, expected, observed)
        })
    };
    Case::new("features/systemd", run)
        .rule("FLX-CG-systemd", judge("systemd", true))
        .rule("FLX-CG-systemdUser", judge("systemdUser", false))
}

/// A list whose every entry is tried in a configuration of its own.
struct List {
    row: &'static str,
    pointer: &'static str,
    /// Whether what is listed has to work here, not only to be recognised.
    supported: bool,
    /// Puts one entry into a configuration; false for an entry that needs more than this.
    put: fn(&mut Value, &str) -> bool,
}

const LISTS: [List; 7] = [
    List {
        row: "FLX-SEC-actions",
        pointer: "/linux/seccomp/actions",
        supported: false,
        put: |config, action| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpgid"], "action": action}]});
            // Somebody has to listen to it, which rows of its own see to.
            action != "SCMP_ACT_NOTIFY"
        },
    },
    List {
        row: "FLX-SEC-operators",
        pointer: "/linux/seccomp/operators",
        supported: false,
        put: |config, operator| {
            let argument = json!({"index": 0, "value": 7, "valueTwo": 7, "op": operator});
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [argument]}]});
            true
        },
    },
    List {
        row: "FLX-SEC-archs",
        pointer: "/linux/seccomp/archs",
        supported: false,
        put: |config, architecture| {
            config["linux"]["seccomp"] =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture]});
            true
        },
    },
    List {
        row: "FLX-SEC-knownFlags",
        pointer: "/linux/seccomp/knownFlags",
        supported: false,
        put: |config, flag| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]});
            // Known is not supported; that one goes with a listener.
            flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
        },
    },
    List {
        row: "FLX-SEC-supportedFlags",
        pointer: "/linux/seccomp/supportedFlags",
        supported: true,
        put: |config, flag| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]});
            flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
        },
    },
    List {
        row: "FLX-MPOL-modes",
        pointer: "/linux/memoryPolicy/modes",
        supported: false,
        put: |config, mode| {
            config["linux"]["memoryPolicy"] = match mode {
                "MPOL_DEFAULT" | "MPOL_LOCAL" => json!({"mode": mode, "nodes": "", "flags": []}),
                _ => json!({"mode": mode, "nodes": "0", "flags": []}),
            };
            true
        },
    },
    List {
        row: "FLX-MPOL-flags",
        pointer: "/linux/memoryPolicy/flags",
        supported: false,
        put: |config, flag| {
            config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]});
            // Balancing is for a kernel with several nodes, and for another mode in older ones.
            flag != "MPOL_F_NUMA_BALANCING"
        },
    },
];

fn list(list: &'static List) -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let document = features(stage)?;
        let listed = strings(&document, list.pointer).unwrap_or_default();
        try_each(stage, &listed, &|_, config, entry| (list.put)(config, entry))
    };
    let judge = if list.supported { all_taken("/tried") } else { all_recognised() };
    Case::new(format!("features/{}", list.row), run).rule(list.row, judge)
}

/// A yes or no about something that a configuration can ask for.
struct Claim {
    row: &'static str,
    pointer: &'static str,
    /// Whether a structure that says nothing denies it: members that came with a later version.
    silence_denies: bool,
    ask: fn(&Stage, &mut Value),
    /// Why a yes cannot be held against this host.
    lacks: fn() -> Option<Lack>,
}

/// What is missing, and why that is so.
type Lack = (Reason, &'static str);

const CLAIMS: [Claim; 8] = [
    Claim {
        row: "FLX-SEC-01",
        pointer: "/linux/seccomp/enabled",
        silence_denies: false,
        ask: |_, config| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]});
        },
        lacks: || None,
    },
    Claim {
        row: "FLX-LSM-apparmor",
        pointer: "/linux/apparmor/enabled",
        silence_denies: false,
        ask: |_, config| config["process"]["apparmorProfile"] = json!("unconfined"),
        lacks: || {
            (!std::path::Path::new("/sys/kernel/security/apparmor").exists())
                .then_some((Reason::Lsm, "this host has no AppArmor"))
        },
    },
    Claim {
        row: "FLX-LSM-selinux",
        pointer: "/linux/selinux/enabled",
        silence_denies: false,
        ask: |_, config| config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0"),
        lacks: || {
            (!std::path::Path::new("/sys/fs/selinux/enforce").exists())
                .then_some((Reason::Lsm, "this host has no SELinux"))
        },
    },
    Claim {
        row: "FLX-RDT-enabled",
        pointer: "/linux/intelRdt/enabled",
        silence_denies: false,
        ask: |_, config| config["linux"]["intelRdt"] = json!({"closID": "judge"}),
        lacks: || no_resctrl(),
    },
    Claim {
        row: "FLX-RDT-schemata",
        pointer: "/linux/intelRdt/schemata",
        silence_denies: false,
        ask: |_, config| config["linux"]["intelRdt"] = json!({"schemata": ["MB:0=50"]}),
        lacks: || no_resctrl(),
    },
    Claim {
        row: "FLX-RDT-monitoring",
        pointer: "/linux/intelRdt/monitoring",
        silence_denies: false,
        ask: |_, config| config["linux"]["intelRdt"] = json!({"enableMonitoring": true}),
        lacks: || no_resctrl(),
    },
    Claim {
        row: "FLX-MEXT-idmap",
        pointer: "/linux/mountExtensions/idmap/enabled",
        silence_denies: true,
        ask: |stage, config| {
            let source = stage.place.to_string_lossy();
            let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 1000}]);
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.push(json!({"destination": "/mnt", "source": source, "options": ["bind", "idmap"], "uidMappings": mapping, "gidMappings": mapping}));
            }
        },
        lacks: || {
            let privileged = Caller::of_this_process() == Caller::Root;
            (!privileged).then_some((Reason::Privilege, "only root may map the ids of a mount"))
        },
    },
    Claim {
        row: "FLX-NETDEV-01",
        pointer: "/linux/netDevices/enabled",
        silence_denies: false,
        // A device that is not there cannot be moved; that it is asked for must not be passed over.
        ask: |_, config| config["linux"]["netDevices"] = json!({"nosuchdevice": {}}),
        lacks: || Some((Reason::Configuration, "rows of their own move devices")),
    },
];

fn no_resctrl() -> Option<Lack> {
    (!std::path::Path::new("/sys/fs/resctrl/schemata").exists())
        .then_some((Reason::Hardware, "this host has no resctrl"))
}

fn claim(claim: &'static Claim) -> Case<Stage> {
    let run = |stage: &mut Stage| {
        features(stage)?;
        let mut config = stage.config(&["exit:0"]);
        (claim.ask)(stage, &mut config);
        let taken = takes(stage, &config)?;
        stage.evidence.record("tried", taken);
        let lacks = (claim.lacks)().map(|(reason, why)| json!({"reason": reason.as_str(), "why": why}));
        stage.evidence.record("lacks", lacks);
        Ok(())
    };
    let judge = Box::new(|evidence: &crate::Evidence| {
        let said = evidence.at(&format!("/features{}", claim.pointer)).and_then(Value::as_bool);
        let taken = evidence.at("/tried/ok") == Some(&json!(true));
        let observed = format!(
            "it says {said:?}, and such a configuration is {}",
            if taken { "taken" } else { "refused" }
        );
        let text = |pointer: &str| evidence.at(pointer).and_then(Value::as_str);
        match (said, text("/lacks/why")) {
            (None, _) if !claim.silence_denies => Judgement::not_applicable("nothing is said about it"),
            (None | Some(false), _) => Judgement::of(!taken, "what is denied is refused", observed),
            (Some(true), Some(why)) => {
                let known = |reason: &&Reason| text("/lacks/reason") == Some(reason.as_str());
                let reason = Reason::ALL.iter().find(known).copied().unwrap_or(Reason::Hardware);
                Judgement::skip(reason, why)
            }
            (Some(true), None) => Judgement::of(taken, "what is claimed works", observed),
        }
    });
    Case::new(format!("features/{}", claim.row), run).rule(claim.row, judge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        assert!(numbers("1.0.0-rc1") < numbers("1.0.0"));
        assert!(numbers("1.0.0") < numbers("1.10.0+dev"));
        assert_eq!(numbers("1.0"), None);
    }
}
