//! Mutants that make another root file system, other mounts, or other devices than they are told.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Mutant;
use super::call::Call;
use super::document::refuse;
use super::edit::{each, keep, put, remove, replace};
use crate::error::Result;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = DROPPED.iter().map(without_option).collect();
    all.extend(SWAPPED.iter().map(other_option));
    all.extend(REFUSED.iter().map(refused_option));
    all.extend(LOST.iter().map(lost));
    all.extend(PASSED_OVER.iter().map(passed_over));
    all.extend(CONFIGS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)));
    all.extend(CALLS.map(|(name, breaks, rows, act)| Mutant::call(name, breaks, rows, act)));
    all.extend(MISSING.iter().map(missing));
    all
}

/// Options whose loss shows: by what the kernel does without them, or by the option before that they negate.
const DROPPED: [&str; 37] = [
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "noatime",
    "atime",
    "nodiratime",
    "diratime",
    "strictatime",
    "nostrictatime",
    "nosymfollow",
    "symfollow",
    "sync",
    "async",
    "dirsync",
    "lazytime",
    "nolazytime",
    "tmpcopyup",
    "rro",
    "rrw",
    "rnosuid",
    "rsuid",
    "rdev",
    "rnoexec",
    "rexec",
    "rnoatime",
    "ratime",
    "rnodiratime",
    "rdiratime",
    "rrelatime",
    "rstrictatime",
    "rnosymfollow",
    "rsymfollow",
];

/// The row of an option.
fn row(option: &str) -> String {
    format!("CFG-MOPT-{option}")
}

fn without_option(option: &&'static str) -> Mutant {
    let option = *option;
    let name = format!("mount-without-{option}");
    Mutant::config(
        name,
        format!("the mount option {option} is passed over"),
        &[&row(option)],
        move |config| {
            each(config, "/mounts", |mount| keep(mount, "/options", |one| *one != option));
        },
    )
}

/// An option, and what is done instead.
const SWAPPED: [(&str, &str); 12] = [
    ("bind", "rbind"),
    ("rbind", "bind"),
    ("shared", "private"),
    ("rshared", "rprivate"),
    ("slave", "private"),
    ("rslave", "rprivate"),
    ("private", "shared"),
    ("rprivate", "rshared"),
    ("unbindable", "private"),
    ("runbindable", "rprivate"),
    ("rnostrictatime", "rstrictatime"),
    ("rnorelatime", "noatime"),
];

fn other_option((option, other): &(&'static str, &'static str)) -> Mutant {
    let (option, other) = (*option, *other);
    let name = format!("mount-{option}-as-{other}");
    Mutant::config(
        name,
        format!("the mount option {option} does what {other} does"),
        &[&row(option)],
        move |config| {
            each(config, "/mounts", |mount| {
                each(mount, "/options", |one| {
                    if *one == option {
                        *one = json!(other);
                    }
                });
            });
        },
    )
}

/// Options of which nothing can be seen but that they are taken.
const REFUSED: [&str; 7] = ["defaults", "relatime", "norelatime", "iversion", "noiversion", "silent", "loud"];

fn refused_option(option: &&'static str) -> Mutant {
    let option = *option;
    let name = format!("mount-refuses-{option}");
    Mutant::call(name, format!("the mount option {option} is an error"), &[&row(option)], move |call| {
        refuse(call, |config| {
            let mounts = config.get("mounts").and_then(Value::as_array).into_iter().flatten();
            let mut options = mounts.filter_map(|mount| mount.get("options")?.as_array()).flatten();
            options.any(|one| *one == option)
        })
    })
}

/// Options that may be refused, and of which nothing else can be seen but that there is a mount.
const LOST: [&str; 2] = ["mand", "nomand"];

fn lost(option: &&'static str) -> Mutant {
    let option = *option;
    let breaks = format!("a mount with the option {option} is passed over");
    Mutant::config(format!("mount-lost-with-{option}"), breaks, &[&row(option)], move |config| {
        keep(config, "/mounts", |mount| {
            let options = mount.get("options").and_then(Value::as_array);
            !options.is_some_and(|options| options.contains(&json!(option)))
        });
    })
}

/// What is passed over where it is configured.
const PASSED_OVER: [(&str, &[&str]); 6] = [
    ("/root/readonly", &["CFG-ROOT-06"]),
    ("/linux/maskedPaths", &["LNX-MASK-01", "LNX-MASK-02"]),
    ("/linux/readonlyPaths", &["LNX-ROP-01", "LNX-ROP-02"]),
    ("/linux/rootfsPropagation", &["LNX-PROP-shared", "LNX-PROP-unbindable", "LNX-PROP-bad"]),
    ("/linux/devices", &["LNX-DEV-01", "LNX-DEV-02", "LNX-DEV-03", "LNX-DEV-04", "LNX-DEV-05", "LNX-DEV-06"]),
    ("/linux/mountLabel", &["LNX-LABEL-01"]),
];

fn passed_over((pointer, rows): &(&'static str, &'static [&'static str])) -> Mutant {
    let pointer = *pointer;
    let what = pointer.trim_start_matches("/linux/").trim_start_matches('/').replace('/', "-");
    Mutant::config(format!("no-{what}"), format!("{what} is passed over"), rows, move |config| {
        remove(config, pointer);
    })
}

type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const CONFIGS: [Entry; 25] = [
    ("root-always-read-only", "the root file system is always read-only", &["CFG-ROOT-07"], |config| {
        put(config, "/root/readonly", true);
    }),
    (
        "root-by-default",
        "a configuration without a root gets one",
        &["CFG-ROOT-01", "CFG-ROOT-02"],
        |config| {
            if config.pointer("/root/path").is_none() {
                put(config, "/root", json!({"path": "rootfs"}));
            }
        },
    ),
    ("mounts-in-reverse", "mounts are made from last to first", &["CFG-MNT-01"], |config| {
        let usual = |mount: &Value| {
            let target = mount.get("destination").and_then(Value::as_str).unwrap_or_default();
            ["/proc", "/dev", "/sys"].iter().any(|place| target.starts_with(place))
        };
        if let Some(mounts) = config.get_mut("mounts").and_then(Value::as_array_mut) {
            let (first, mut rest): (Vec<_>, Vec<_>) = std::mem::take(mounts).into_iter().partition(usual);
            rest.reverse();
            *mounts = first.into_iter().chain(rest).collect();
        }
    }),
    (
        "mounts-without-destination",
        "a mount without a destination is passed over",
        &["CFG-MNT-02"],
        |config| {
            keep(config, "/mounts", |mount| mount.get("destination").is_some());
        },
    ),
    (
        "relative-mounts-below-the-working-directory",
        "a relative destination is relative to the working directory",
        &["CFG-MNT-04"],
        |config| {
            let place = config.pointer("/process/cwd").and_then(Value::as_str).unwrap_or("/").to_owned();
            each(config, "/mounts", |mount| {
                let target = mount.get("destination").and_then(Value::as_str).unwrap_or("/");
                if !target.starts_with('/') {
                    put(mount, "/destination", format!("{place}/{target}"));
                }
            });
        },
    ),
    (
        "relative-sources-of-the-caller",
        "a relative source is relative to where the runtime is called",
        &["CFG-MNT-05"],
        |config| {
            let place = std::env::current_dir().unwrap_or_default();
            each(config, "/mounts", |mount| {
                let bound = mount.get("options").and_then(Value::as_array);
                let bound = bound.is_some_and(|options| options.contains(&json!("bind")));
                if let (true, Some(source)) = (bound, mount.get("source").and_then(Value::as_str)) {
                    let source = place.join(source).to_string_lossy().into_owned();
                    put(mount, "/source", source);
                }
            });
        },
    ),
    ("types-before-bind", "a mount with a type is no bind mount", &["CFG-MNT-06"], |config| {
        each(config, "/mounts", |mount| {
            if mount.get("type") == Some(&json!("tmpfs")) {
                keep(mount, "/options", |one| *one != "bind" && *one != "rbind");
            }
        });
    }),
    (
        "unknown-types-are-passed-over",
        "a mount of an unknown type is passed over",
        &["CFG-MNT-07"],
        |config| {
            keep(config, "/mounts", |mount| {
                let kind = mount.get("type").and_then(Value::as_str).unwrap_or_default();
                !kind.contains("no-such") && kind != "nosuchfs"
            });
        },
    ),
    ("mount-data-is-lost", "what only a file system knows does not reach it", &["CFG-MNT-10"], |config| {
        each(config, "/mounts", |mount| {
            keep(mount, "/options", |one| {
                let option = one.as_str().unwrap_or_default();
                !option.contains('=') && !option.contains("no-such")
            });
        });
    }),
    (
        "mounts-are-not-remounted",
        "a second entry for a mount is passed over",
        &["CFG-MOPT-remount"],
        |config| {
            keep(config, "/mounts", |mount| {
                let options = mount.get("options").and_then(Value::as_array);
                !options.is_some_and(|options| options.contains(&json!("remount")))
            });
        },
    ),
    (
        "mounts-without-idmap",
        "the option idmap is passed over",
        &[
            "CFG-MOPT-idmap",
            "CFG-MIDM-idmap-01",
            "CFG-MIDM-idmap-03",
            "CFG-MIDM-idmap-04",
            "CFG-MIDM-idmap-05",
        ],
        |config| without_mapping(config, "idmap"),
    ),
    (
        "mounts-without-ridmap",
        "the option ridmap is passed over",
        &[
            "CFG-MOPT-ridmap",
            "CFG-MIDM-ridmap-01",
            "CFG-MIDM-ridmap-03",
            "CFG-MIDM-ridmap-04",
            "CFG-MIDM-ridmap-05",
        ],
        |config| without_mapping(config, "ridmap"),
    ),
    (
        "half-a-mapping-is-enough",
        "a mount with one mapping gets the other",
        &["CFG-MIDM-08", "CFG-MIDM-09"],
        |config| {
            each(config, "/mounts", |mount| {
                for (one, other) in [("uidMappings", "gidMappings"), ("gidMappings", "uidMappings")] {
                    if let (Some(mapping), None) = (mount.get(one).cloned(), mount.get(other)) {
                        put(mount, &format!("/{other}"), mapping);
                    }
                }
            });
        },
    ),
    (
        "root-private-as-shared",
        "rootfsPropagation private does what shared does",
        &["LNX-PROP-private"],
        |config| {
            if config.pointer("/linux/rootfsPropagation") == Some(&json!("private")) {
                put(config, "/linux/rootfsPropagation", "shared");
            }
        },
    ),
    (
        "root-slave-as-private",
        "rootfsPropagation slave does what private does",
        &["LNX-PROP-slave"],
        |config| {
            if config.pointer("/linux/rootfsPropagation") == Some(&json!("slave")) {
                put(config, "/linux/rootfsPropagation", "private");
            }
        },
    ),
    ("relative-paths-are-not-masked", "a relative path is not masked", &["LNX-MASK-02"], |config| {
        keep(config, "/linux/maskedPaths", is_absolute);
    }),
    ("relative-paths-are-writable", "a relative path is not made read-only", &["LNX-ROP-02"], |config| {
        keep(config, "/linux/readonlyPaths", is_absolute);
    }),
    ("no-sysfs", "something else is mounted where sysfs is asked for", &["LNX-FS-sysfs"], |config| {
        other_type(config, "sysfs", "tmpfs");
    }),
    ("no-devpts", "something else is mounted where devpts is asked for", &["LNX-FS-devpts"], |config| {
        other_type(config, "devpts", "tmpfs");
    }),
    ("no-tmpfs", "something else is mounted where a tmpfs is asked for", &["LNX-FS-tmpfs"], |config| {
        each(config, "/mounts", |mount| {
            if mount.get("destination") == Some(&json!("/dev/shm")) {
                put(mount, "/type", "ramfs");
                remove(mount, "/options");
            }
        });
    }),
    ("devices-without-mode", "the mode of a device is passed over", &["LNX-DEV-07"], |config| {
        each(config, "/linux/devices", |device| remove(device, "/fileMode"));
    }),
    ("devices-without-owner", "the owner of a device is passed over", &["LNX-DEV-08"], |config| {
        each(config, "/linux/devices", |device| remove(device, "/uid"));
    }),
    ("devices-without-group", "the group of a device is passed over", &["LNX-DEV-09"], |config| {
        each(config, "/linux/devices", |device| remove(device, "/gid"));
    }),
    ("devices-of-any-type", "a device of an unknown type is one of characters", &["LNX-DEV-02"], |config| {
        each(config, "/linux/devices", |device| {
            let kind = device.get("type").and_then(Value::as_str).unwrap_or("x");
            if !["c", "b", "u", "p"].contains(&kind) {
                put(device, "/type", "c");
            }
        });
    }),
    ("devices-only-in-dev", "a device outside of /dev is passed over", &["LNX-DEV-05"], |config| {
        keep(config, "/linux/devices", |device| {
            device.get("path").and_then(Value::as_str).is_none_or(|path| path.starts_with("/dev/"))
        });
    }),
];

fn is_absolute(path: &Value) -> bool {
    path.as_str().is_some_and(|path| path.starts_with('/'))
}

fn other_type(config: &mut Value, kind: &str, other: &str) {
    each(config, "/mounts", |mount| {
        if mount.get("type") == Some(&json!(kind)) {
            replace(mount, "/type", other);
            remove(mount, "/options");
        }
    });
}

fn without_mapping(config: &mut Value, option: &str) {
    each(config, "/mounts", |mount| {
        let options = mount.get("options").and_then(Value::as_array);
        if options.is_some_and(|options| options.contains(&json!(option))) {
            keep(mount, "/options", |one| *one != option);
            remove(mount, "/uidMappings");
            remove(mount, "/gidMappings");
        }
    });
}

type CallEntry = (&'static str, &'static str, &'static [&'static str], fn(&Call) -> Result<i32>);

const CALLS: [CallEntry; 9] = [
    ("roots-are-relative", "an absolute path of the root file system is refused", &["CFG-ROOT-03"], |call| {
        refuse(call, |config| config.pointer("/root/path").is_some_and(is_absolute))
    }),
    ("any-root-will-do", "a root that is no directory is taken to be rootfs", &["CFG-ROOT-05"], |call| {
        let bundle = call.bundle();
        call.with_config(&|config| {
            let path = config.pointer("/root/path").and_then(Value::as_str).unwrap_or_default();
            if !bundle.join(path).is_dir() {
                replace(config, "/root/path", "rootfs");
            }
        })
    }),
    (
        "devices-that-are-in-the-way-stay",
        "a device is not made where something is",
        &["LNX-DEV-04"],
        |call| {
            let root = call.bundle().join("rootfs");
            call.with_config(&|config| {
                keep(config, "/linux/devices", |device| {
                    let path = device.get("path").and_then(Value::as_str).unwrap_or_default();
                    !root.join(path.trim_start_matches('/')).exists()
                });
            })
        },
    ),
    ("no-proc", "where sysfs is asked for there is no proc", &["LNX-FS-proc"], |call| {
        let config = call.config().unwrap_or_default();
        let mounts = config.get("mounts").and_then(Value::as_array).into_iter().flatten();
        let mut kinds = mounts.filter_map(|mount| mount.get("type"));
        // The minimal container has no sysfs, and some runtimes start nothing without a proc.
        let wanted = kinds.any(|kind| *kind == "sysfs");
        let code = call.pass()?;
        if let (Some(pid), true, 0) = (call.pid(), wanted, code) {
            // What is mounted there comes off first.
            let _ = std::fs::remove_dir(format!("/proc/{pid}/root/proc"));
        }
        Ok(code)
    }),
    ("configuration-elsewhere", "config.json is found in folders of the bundle", &["BDL-FMT-01"], |call| {
        found_elsewhere(call, &["folder/config.json", "rootfs/config.json"])
    }),
    ("configuration-of-another-name", "config.json may be written otherwise", &["BDL-FMT-02"], |call| {
        found_elsewhere(call, &["Config.json", "config.json.txt"])
    }),
    (
        "unknown-properties-are-errors",
        "a property that it does not know is an error",
        &["CFG-EXT-01"],
        |call| refuse(call, |config| config.to_string().contains("plimsollUnknownProperty")),
    ),
    ("descriptors-leak", "the program has every descriptor of the caller", &["RLX-FD-01"], |call| {
        let open = (3..).take_while(|number| Path::new(&format!("/proc/self/fd/{number}")).exists()).count();
        match (call.operation(), open) {
            ("create", 1..) => call.with(&["--preserve-fds", &open.to_string()]).pass(),
            _ => call.pass(),
        }
    }),
    ("descriptors-are-kept", "descriptors that are to be handed on are not", &["RLX-FD-02"], |call| {
        match (call.operation(), call.value("--preserve-fds")) {
            ("create", Some(_)) => call.without("--preserve-fds").pass(),
            _ => call.pass(),
        }
    }),
];

/// Puts the first of `places` that is there where the configuration has to be, for as long as it is read.
fn found_elsewhere(call: &Call, places: &[&str]) -> Result<i32> {
    let bundle = call.bundle();
    let file = bundle.join("config.json");
    let found = places.iter().map(|place| bundle.join(place)).find(|place| place.is_file());
    match found {
        Some(found) if call.creates() && !file.exists() && std::fs::copy(&found, &file).is_ok() => {
            let passed = call.pass();
            // It goes as it came.
            let _ = std::fs::remove_file(&file);
            passed
        }
        _ => call.pass(),
    }
}

/// What containers have in /dev, and who notices that it is not there.
const MISSING: [(&str, &str); 12] = [
    ("null", "LNX-DDEV-null"),
    ("zero", "LNX-DDEV-zero"),
    ("full", "LNX-DDEV-full"),
    ("random", "LNX-DDEV-random"),
    ("urandom", "LNX-DDEV-urandom"),
    ("tty", "LNX-DDEV-tty"),
    ("ptmx", "LNX-DDEV-ptmx"),
    ("console", "LNX-DDEV-console"),
    ("fd", "RLX-SYM-01"),
    ("stdin", "RLX-SYM-02"),
    ("stdout", "RLX-SYM-03"),
    ("stderr", "RLX-SYM-04"),
];

/// Takes it away when the container has been created.
fn missing((name, row): &(&'static str, &'static str)) -> Mutant {
    let name = *name;
    Mutant::call(format!("no-dev-{name}"), format!("there is no /dev/{name}"), &[row], move |call| {
        let code = call.pass()?;
        if let ("create", Some(pid), 0) = (call.operation(), call.pid(), code) {
            let place = PathBuf::from(format!("/proc/{pid}/root/dev/{name}"));
            // Some of them are mounts, which come off first.
            let _ = std::fs::remove_file(place);
        }
        Ok(code)
    })
}
