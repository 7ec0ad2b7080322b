//! Docker: `dockerd` on a containerd of its own, and `docker`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::daemon::Daemon;
use super::journey::{self, background, eventually, exec, sh};
use super::{Engine, Place, Runtime, Started, Step, Subject, containerd};
use crate::shell::find_program;

pub(super) const ENGINE: Engine = Engine {
    name: "docker",
    programs: &["containerd", "dockerd", "docker"],
    start,
    journey: &[journey::STEPS, STEPS],
    leaves: &["docker/exec/netns/default"],
};

fn start(place: &Place) -> Result<Started> {
    let dir = place.dir.join("docker");
    let (containerd, address) = containerd::serve(place, &dir)?;
    let program =
        |name: &str| find_program(name, &place.peers).with_context(|| format!("{name} is not on PATH"));
    let socket = format!("unix://{}/docker.sock", dir.display());
    let words = [&program("docker")?.display().to_string(), "--host", &socket].map(str::to_owned).to_vec();
    let folder = ("DOCKER_CONFIG".to_owned(), dir.join("client").display().to_string());
    let client = Client { words, env: vec![folder] };
    let path = |name: &str| dir.join(name).display().to_string();
    let runtimes: serde_json::Map<_, _> = place
        .runtimes
        .iter()
        .map(|runtime| (runtime.name.to_owned(), json!({"path": runtime.path})))
        .collect();
    // Without its own network nothing of the host's packet filter is touched.
    let config = json!({
        "runtimes": runtimes,
        "default-runtime": place.runtimes.first().map(|runtime| runtime.name),
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": format!("/{}", place.mark),
        "data-root": path("root"),
        "exec-root": path("exec"),
        "pidfile": path("docker.pid"),
        "deprecated-key-path": path("key.json"),
        "hosts": [socket],
        "containerd": address,
        "iptables": false,
        "ip6tables": false,
        "bridge": "none",
        "live-restore": false,
    });
    std::fs::write(dir.join("daemon.json"), config.to_string())?;
    let mut command = Command::new(program("dockerd")?);
    command.arg("--config-file").arg(dir.join("daemon.json"));
    let dockerd = Daemon::start(&mut command, &dir, &client, &["version"])?;
    client.call(&["load", "--input", &place.image.display().to_string()])?.done()?;
    let mark = place.mark.clone();
    let subject = move |runtime: &Runtime| Subject {
        client: client.clone(),
        run: ["run", "--runtime", runtime.name].map(str::to_owned).to_vec(),
        data: dir.join("data"),
        mark: mark.clone(),
    };
    Ok(Started { daemons: vec![dockerd, containerd], subject: Box::new(subject), sweep: journey::sweep })
}

const STEPS: &[Step] = &[
    Step {
        name: "health checks",
        run: |s| {
            let flags =
                ["--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1"];
            background(s, &flags, "exec sleep 1000")?;
            let health =
                || s.client.call(&["inspect", "--format", "{{.State.Health.Status}}", journey::ID])?.done();
            eventually("unhealthy\n", health)?;
            s.client.call(&["exec", journey::ID, "touch", "/tmp/well"])?.done()?;
            eventually("healthy\n", health)
        },
    },
    Step {
        name: "a new working directory",
        run: |s| sh(s, &["--workdir", "/new/place"], "pwd")?.printed("/new/place\n"),
    },
    Step {
        name: "want of memory is told",
        run: |s| {
            let flags = ["--memory", "16m", "--memory-swap", "16m", "--memory-swappiness", "10"];
            background(s, &flags, "exec dd if=/dev/zero of=/dev/null bs=64M count=1")?;
            let told =
                || s.client.call(&["inspect", "--format", "{{.State.OOMKilled}}", journey::ID])?.done();
            eventually("true\n", told)
        },
    },
    Step {
        name: "privileged exec",
        run: |s| {
            background(s, &[], "exec sleep 1000")?;
            exec(s, &["--privileged"], "grep CapEff /proc/self/status | cut -f2 | grep -c 000001f")?
                .printed("1\n")
        },
    },
    Step {
        name: "filter of the engine's",
        run: |s| sh(s, &[], "unshare -U true 2>/dev/null || echo refused")?.printed("refused\n"),
    },
    Step {
        name: "restart policy",
        run: |s| {
            background(s, &["--restart", "on-failure:2"], "echo once; exit 1")?;
            let count = || {
                s.client
                    .call(&["inspect", "--format", "{{.RestartCount}} {{.State.Status}}", journey::ID])?
                    .done()
            };
            eventually("2 exited\n", count)?;
            s.client.call(&["logs", journey::ID])?.printed("once\nonce\nonce\n")
        },
    },
    Step {
        name: "build",
        run: |s| {
            std::fs::write(
                s.data.join("Dockerfile"),
                format!("FROM {}\nRUN id -u >/who && exit 9\n", super::image::IMAGE),
            )?;
            let mut builder = s.client.clone();
            builder.env.push(("DOCKER_BUILDKIT".to_owned(), "0".to_owned()));
            let said = builder.call(&["build", "--network", "none", &s.data.display().to_string()])?;
            ensure!(said.code != 0 && said.err.contains("non-zero code: 9"), "{said}");
            Ok(())
        },
    },
    Step {
        name: "filter of the user's",
        run: |s| {
            let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]});
            let file = s.data.join("profile.json");
            std::fs::write(&file, profile.to_string())?;
            let option = format!("seccomp={}", file.display());
            let said = sh(s, &["--security-opt", &option], "mkdir /x")?.ended(1)?;
            ensure!(said.err.contains("No space left on device"), "{said}");
            Ok(())
        },
    },
];
