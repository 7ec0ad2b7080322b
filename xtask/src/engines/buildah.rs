//! Buildah, whose `run` makes every container of a build.

use anyhow::{Context as _, Result, ensure};

use super::client::{Client, Said};
use super::image::IMAGE;
use super::{Engine, Place, Runtime, Started, Step, Subject};
use crate::shell::find_program;

pub(super) const ENGINE: Engine =
    Engine { name: "buildah", programs: &["buildah"], start, journey: &[STEPS], leaves: &[] };

fn start(place: &Place) -> Result<Started> {
    let dir = place.dir.join("buildah");
    std::fs::create_dir_all(&dir)?;
    let path = |name: &str| dir.join(name).display().to_string();
    let program =
        find_program("buildah", &place.peers).context("buildah is not on PATH")?.display().to_string();
    let words = [&program, "--root", &path("root"), "--runroot", &path("run"), "--storage-driver", "overlay"];
    std::fs::write(dir.join("containers.conf"), "[containers]\ndefault_ulimits = []\n")?;
    let env = [("CONTAINERS_CONF", path("containers.conf")), ("BUILDAH_ISOLATION", "oci".to_owned())];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let client = Client { words: words.map(str::to_owned).to_vec(), env };
    client.call(&["pull", &format!("docker-archive:{}", place.image.display())])?.done()?;
    let mark = place.mark.clone();
    let subject = move |runtime: &Runtime| Subject {
        client: client.clone(),
        run: ["run", "--runtime", &runtime.path.display().to_string()].map(str::to_owned).to_vec(),
        data: dir.join("data"),
        mark: mark.clone(),
    };
    Ok(Started { daemons: Vec::new(), subject: Box::new(subject), sweep })
}

fn sweep(s: &Subject) -> Result<()> {
    s.client.call(&["rm", "--all"])?.done().map(drop)
}

/// A working container.
fn from(s: &Subject, flags: &[&str]) -> Result<String> {
    let cgroup = format!("/{}", s.mark);
    let words = [&["from", "--pull-never", "--network", "none", "--cgroup-parent", &cgroup], flags, &[IMAGE]]
        .concat();
    Ok(s.client.call(&words)?.done()?.trim().to_owned())
}

fn run(s: &Subject, container: &str, flags: &[&str], args: &[&str]) -> Result<Said> {
    s.client.call(&words(s, container, flags, args))
}

fn words<'a>(s: &'a Subject, container: &'a str, flags: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    let run = s.run.iter().map(String::as_str);
    run.chain(flags.iter().copied()).chain([container, "--"]).chain(args.iter().copied()).collect()
}

const STEPS: &[Step] = &[
    Step {
        name: "output and exit code",
        run: |s| {
            let said =
                run(s, &from(s, &[])?, &[], &["sh", "-c", "echo out; echo err >&2; exit 3"])?.ended(3)?;
            ensure!(said.out == "out\n" && said.err.starts_with("err\n"), "{said}");
            Ok(())
        },
    },
    Step {
        name: "stdin",
        run: |s| {
            let container = from(s, &[])?;
            s.client.feed(&words(s, &container, &[], &["cat"]), "typed\n")?.printed("typed\n")
        },
    },
    Step {
        name: "terminal",
        run: |s| {
            let container = from(s, &[])?;
            let args = words(
                s,
                &container,
                &["--terminal"],
                &["sh", "-c", "tty; test -c /dev/console && echo console"],
            );
            s.client.on_terminal(&args, "")?.printed("/dev/pts/0\nconsole\n")
        },
    },
    Step {
        name: "user",
        run: |s| {
            run(s, &from(s, &[])?, &["--user", "sailor:crew"], &["sh", "-c", "id -u; id -g"])?
                .printed("1000\n2000\n")
        },
    },
    Step {
        name: "volume",
        run: |s| {
            std::fs::write(s.data.join("in"), "in\n")?;
            let volume = format!("{}:/data", s.data.display());
            let container = from(s, &[])?;
            run(s, &container, &["--volume", &volume], &["sh", "-c", "cat /data/in; echo out >/data/out"])?
                .printed("in\n")?;
            ensure!(std::fs::read_to_string(s.data.join("out"))? == "out\n", "nothing was written");
            let script = "echo no 2>/dev/null >/data/no || echo refused";
            run(s, &container, &["--volume", &format!("{volume}:ro")], &["sh", "-c", script])?
                .printed("refused\n")
        },
    },
    Step {
        name: "missing command",
        run: |s| {
            let said = run(s, &from(s, &[])?, &[], &["nope"])?;
            let told = said.err.replace('\\', "");
            ensure!(
                said.code != 0 && told.contains("\"nope\": executable file not found in $PATH"),
                "{said}"
            );
            Ok(())
        },
    },
    Step {
        name: "privileges",
        run: |s| {
            let container = from(s, &[])?;
            let script = "grep CapEff /proc/self/status | cut -f2";
            let said = run(
                s,
                &container,
                &["--cap-drop", "CAP_CHOWN", "--cap-add", "CAP_SYS_TIME"],
                &["sh", "-c", script],
            )?;
            said.printed("00000000aa0425fa\n")
        },
    },
    Step {
        name: "memory limit",
        run: |s| {
            let container = from(s, &["--memory", "16m", "--memory-swap", "16m"])?;
            let script = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?";
            run(s, &container, &[], &["sh", "-c", script])?.printed("137\n")
        },
    },
    Step {
        name: "build",
        run: |s| {
            let text = format!(
                "FROM {IMAGE}\nRUN id -u >/who\nUSER sailor\nRUN id -u >/tmp/who && cat /who /tmp/who && exit 9\n"
            );
            std::fs::write(s.data.join("Containerfile"), text)?;
            let (runtime, cgroup) = (s.run[2].clone(), format!("/{}", s.mark));
            let words = [
                "build",
                "--runtime",
                &runtime,
                "--network",
                "none",
                "--cgroup-parent",
                &cgroup,
                "--pull-never",
            ];
            let said = s.client.call(&[words.as_slice(), &[&s.data.display().to_string()]].concat())?;
            ensure!(
                said.code != 0 && said.out.contains("\n0\n1000\n") && said.err.contains("exit status 9"),
                "{said}"
            );
            Ok(())
        },
    },
];
