//! Podman with conmon, and no daemon.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::journey::{self, background, exec, sh};
use super::{Engine, Place, Runtime, Started, Step, Subject};
use crate::shell::find_program;

pub(super) const ENGINE: Engine = Engine {
    name: "podman",
    programs: &["podman", "conmon"],
    start,
    journey: &[journey::STEPS, STEPS],
    leaves: &["conmon"],
};

fn start(place: &Place) -> Result<Started> {
    let dir = place.dir.join("podman");
    std::fs::create_dir_all(&dir)?;
    let path = |name: &str| dir.join(name).display().to_string();
    // Podman raises limits, which takes a capability that not every machine gives; and it reads the log of the
    // runtimes that it is told of.
    let config = format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
         [engine]\nruntime_supports_json = [\"plimsoll-runtime\", \"runc\"]\n\
         [network]\nnetwork_config_dir = \"{}\"\n",
        path("networks")
    );
    std::fs::write(dir.join("containers.conf"), config)?;
    let program =
        find_program("podman", &place.peers).context("podman is not on PATH")?.display().to_string();
    let storage = [
        ("--root", path("root")),
        ("--runroot", path("run")),
        ("--tmpdir", path("tmp")),
        ("--storage-driver", "overlay".to_owned()),
        ("--cgroup-manager", "cgroupfs".to_owned()),
        ("--events-backend", "file".to_owned()),
    ];
    let flags = storage.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    let words: Vec<String> = std::iter::once(program).chain(flags).collect();
    let client = Client { words, env: vec![("CONTAINERS_CONF".to_owned(), path("containers.conf"))] };
    client.call(&["load", "--input", &place.image.display().to_string()])?.done()?;
    let (data, mark) = (dir.join("data"), place.mark.clone());
    let subject = move |runtime: &Runtime| {
        let mut client = client.clone();
        client.words.extend(["--runtime".to_owned(), runtime.path.display().to_string()]);
        let run = ["run", "--stop-timeout", "0", "--cgroup-parent", &format!("/{mark}")]
            .map(str::to_owned)
            .to_vec();
        Subject { client, run, data: data.clone(), mark: mark.clone() }
    };
    Ok(Started { daemons: Vec::new(), subject: Box::new(subject), sweep: journey::sweep })
}

const STEPS: &[Step] = &[
    Step {
        name: "health checks",
        run: |s| {
            let flags = [
                "--health-cmd",
                "test -e /tmp/well",
                "--health-interval",
                "disable",
                "--health-retries",
                "1",
            ];
            background(s, &flags, "exec sleep 1000")?;
            s.client.call(&["healthcheck", "run", journey::ID])?.ended(1)?;
            exec(s, &[], "touch /tmp/well")?.done()?;
            s.client.call(&["healthcheck", "run", journey::ID])?.done().map(drop)
        },
    },
    Step {
        name: "user namespace",
        run: |s| {
            let flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
            let script = "cat /proc/self/uid_map; touch /tmp/x && stat -c %u /tmp/x; mount -t tmpfs x /tmp 2>/dev/null || echo refused";
            let said = sh(s, &flags, script)?.done()?;
            let words: Vec<&str> = said.split_whitespace().collect();
            ensure!(words == ["0", "100000", "65536", "0", "refused"], "{said}");
            Ok(())
        },
    },
    Step {
        name: "copy up into a tmpfs",
        run: |s| {
            sh(s, &["--tmpfs", "/full"], "cat /full/of; stat -f -c %T /full")?
                .printed("something\ntmpfs\n")?;
            sh(s, &["--tmpfs", "/full:notmpcopyup"], "ls /full")?.printed("")
        },
    },
    Step {
        name: "as systemd wants it",
        run: |s| {
            let script = "grep -cE ' /(run|run/lock|tmp) tmpfs ' /proc/mounts; cat /proc/1/environ | tr '\\0' '\\n' | grep ^container=";
            sh(s, &["--systemd", "always"], script)?.printed("3\ncontainer=podman\n")
        },
    },
    Step {
        name: "hooks",
        run: |s| {
            let hooks = s.data.join("hooks.d");
            std::fs::create_dir(&hooks)?;
            let out = s.data.join("state").display().to_string();
            let hook = json!({
                "version": "1.0.0",
                "hook": {"path": "/bin/sh", "args": ["sh", "-c", format!("cat >>{out}")]},
                "when": {"always": true},
                "stages": ["createRuntime", "createContainer", "poststart", "poststop"],
            });
            std::fs::write(hooks.join("hook.json"), hook.to_string())?;
            let mut s = Subject {
                client: s.client.clone(),
                run: s.run.clone(),
                data: s.data.clone(),
                mark: s.mark.clone(),
            };
            s.client.words.extend(["--hooks-dir".to_owned(), hooks.display().to_string()]);
            sh(&s, &[], "echo on board")?.printed("on board\n")?;
            let states = std::fs::read_to_string(out)?;
            let mut read = serde_json::Deserializer::from_str(&states).into_iter::<serde_json::Value>();
            let status: Vec<_> = read
                .by_ref()
                .flatten()
                .map(|state| state["status"].as_str().unwrap_or("none").to_owned())
                .collect();
            ensure!(status == ["creating", "creating", "running", "stopped"], "{status:?}");
            Ok(())
        },
    },
    Step {
        name: "personality",
        run: |s| sh(s, &["--personality", "LINUX32"], "uname -m")?.printed("i686\n"),
    },
    Step {
        name: "umask and descriptors",
        run: |s| {
            sh(s, &["--umask", "0027"], "umask; touch /tmp/x; stat -c %a /tmp/x")?.printed("0027\n640\n")?;
            background(s, &[], "exec sleep 1000")?;
            exec(s, &["--workdir", "/full"], "pwd; ls /proc/self/fd | grep -c .")?.printed("/full\n4\n")
        },
    },
    Step {
        name: "root file system of a folder",
        run: |s| {
            let export = s.data.join("rootfs.tar").display().to_string();
            background(s, &[], "exec sleep 1000")?;
            s.client.call(&["export", "--output", &export, journey::ID])?.done()?;
            let root = s.data.join("rootfs");
            std::fs::create_dir(&root)?;
            let status =
                std::process::Command::new("tar").args(["-xf", &export, "-C"]).arg(&root).status()?;
            ensure!(status.success(), "tar: {status}");
            let run: Vec<&str> = s.run.iter().map(String::as_str).collect();
            let root = root.display().to_string();
            let flags = ["--rm", "--network", "none", "--rootfs", &root, "cat", "/full/of"];
            let words = [run.as_slice(), &flags].concat();
            s.client.call(&words)?.printed("something\n")
        },
    },
    Step {
        name: "a pod",
        run: |s| {
            let infra = ["pod", "create", "--name", "pod", "--infra=false", "--cgroup-parent"];
            s.client.call(&[&infra, [format!("/{}", s.mark).as_str()].as_slice()].concat())?.done()?;
            let run: Vec<&str> = s.run.iter().map(String::as_str).collect();
            let flags = ["--rm", "--pod", "pod", "--network", "none", super::image::IMAGE, "echo", "aboard"];
            let said = s.client.call(&[run.as_slice(), &flags].concat())?;
            s.client.call(&["pod", "rm", "--force", "pod"])?.done()?;
            said.printed("aboard\n")
        },
    },
];
