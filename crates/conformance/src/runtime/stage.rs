//! The stage of one case: bundles, containers, and the operations on them, each of them written down.

mod console;
mod exec;
mod mounts;
mod props;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use serde_json::{Value, json};

use crate::case::Obstacle;
use crate::error::{Context as _, Error, Kind, Result};
use crate::evidence::Evidence;
use crate::probe::frames;

use super::bundle_record::{self, USUAL};
use super::caller::Caller;
use super::host::Host;
use super::ran::{Bounds, Ran, Streams, execute};
use super::settings::{CgroupDriver, Settings};

pub use console::{ConsoleSocket, Terminal};
pub(crate) use mounts::{NOSYMFOLLOW, STRICTATIME};

/// Most characters of a version.
const VERSION_LENGTH: usize = 200;

/// The probe's place in every root file system.
pub(crate) const PROBE: &str = "/probe";

/// A container of the subject, or what is to become one.
#[derive(Debug)]
pub struct Container {
    /// Its id, unique on this host.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The first process, once `create` has written its pid file.
    pub pid: Option<i32>,
    streams: Streams,
}

impl Container {
    /// The root file system of its bundle.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// What the probe has reported so far, oldest first.
    pub fn frames(&self) -> Vec<Value> {
        frames(&Streams::reports(&self.streams.stdout))
    }

    fn pid_file(&self) -> PathBuf {
        self.bundle.join("pid")
    }
}

/// Where one case is done.
#[derive(Debug)]
pub struct Stage {
    /// How the run is done.
    pub settings: Settings,
    /// The case's folder, which is its own and goes away with it.
    pub place: PathBuf,
    /// What was seen so far.
    pub evidence: Evidence,
    /// Variables added to the environment of the subject.
    pub environment: Vec<(String, String)>,
    /// Who the subject is run by.
    pub(crate) caller: Caller,
    mark: String,
    count: usize,
    made: Vec<(String, PathBuf)>,
    mounted: Vec<PathBuf>,
}

impl Stage {
    /// A stage in `place`, for the case whose cgroups and ids hold `mark`.
    pub(crate) fn new(settings: Settings, place: PathBuf, mark: String) -> Stage {
        Stage {
            settings,
            place,
            evidence: Evidence::default(),
            environment: Vec::new(),
            caller: Caller::of_this_process(),
            mark,
            count: 0,
            made: Vec::new(),
            mounted: Vec::new(),
        }
    }

    /// That the version by which is judged is 1.`minor` or later, which brought `what`.
    ///
    /// # Errors
    /// [`Obstacle::NotApplicable`] where it is an earlier one.
    pub fn wants_version(&self, minor: u32, what: &str) -> Result<(), Obstacle> {
        let own =
            self.settings.version.split('.').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0u32);
        match own >= minor {
            true => Ok(()),
            false => Err(Obstacle::NotApplicable(format!("{what} came with version 1.{minor}"))),
        }
    }

    /// What sets apart the names of this case.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The state directory that the subject is told to use.
    pub fn root(&self) -> PathBuf {
        self.place.join("state")
    }

    /// A configuration in which the probe does `actions`: what every case starts from. It has what any
    /// runtime can be asked for and nothing else; that of an ordinary user has his user namespace.
    pub fn config(&self, actions: &[&str]) -> Value {
        let args: Vec<&str> = std::iter::once(PROBE).chain(["do"]).chain(actions.iter().copied()).collect();
        let capabilities = [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_MKNOD",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SYS_CHROOT",
            "CAP_NET_BIND_SERVICE",
            "CAP_KILL",
        ];
        let mut config = json!({
            "ociVersion": self.settings.version,
            "root": {"path": "rootfs"},
            "process": {
                "args": args,
                "cwd": "/",
                "env": ["PATH=/bin:/"],
                "user": {"uid": 0, "gid": 0},
                "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            },
            "hostname": "probe",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            ],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}],
            },
        });
        self.place_cgroup(&mut config, "c");
        self.caller.enter_user_namespace(&mut config);
        config
    }

    /// A `cgroupsPath` of this case that ends with `name`, in the form that the driver wants.
    ///
    /// # Errors
    /// [`Obstacle::Skip`] where the caller may make no cgroup.
    pub fn cgroups_path(&self, name: &str) -> Result<String, Obstacle> {
        let driver = self.settings.cgroup_driver;
        let separator = if driver == CgroupDriver::Systemd { ':' } else { '-' };
        Ok(format!("{}{}{separator}{name}", self.caller.cgroups(driver)?, self.mark))
    }

    /// Puts the container of `config` into a cgroup called `name` where the caller may make one. Where he may
    /// not, he is bound to leave its place to the subject.
    pub fn place_cgroup(&self, config: &mut Value, name: &str) {
        if let Ok(path) = self.cgroups_path(name) {
            config["linux"]["cgroupsPath"] = path.into();
        }
    }

    /// A container to be, from a bundle with `config` and a root file system that holds the probe and the
    /// usual directories. The id is new.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the bundle cannot be made.
    pub fn bundle(&mut self, config: &Value) -> Result<Container> {
        self.count += 1;
        let id = format!("{}-{}", self.mark, self.count);
        let container = self.bundle_as(&id, &format!("bundle-{}", self.count))?;
        self.write_config(&container, config.to_string().as_bytes())?;
        Ok(container)
    }

    /// As [`Stage::bundle`], with the id and the name of the folder given, and without a `config.json`.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the bundle cannot be made.
    pub fn bundle_as(&mut self, id: &str, folder: &str) -> Result<Container> {
        let bundle = self.place.join(folder);
        let rootfs = bundle.join("rootfs");
        let context = || format!("make the bundle {}", bundle.display());
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&rootfs).context(context)?;
        for name in USUAL {
            std::fs::DirBuilder::new().mode(0o755).create(rootfs.join(name)).context(context)?;
        }
        std::fs::hard_link(&self.settings.probe, rootfs.join("probe")).context(context)?;
        let streams = Streams::new(&self.place, folder)?;
        self.made.push((id.to_owned(), bundle.clone()));
        Ok(Container { id: id.to_owned(), bundle, pid: None, streams })
    }

    /// Replaces the `config.json` of the container's bundle.
    ///
    /// # Errors
    /// [`Kind::Environment`] where it cannot be written.
    pub fn write_config(&self, container: &Container, text: &[u8]) -> Result<()> {
        let path = container.bundle.join("config.json");
        std::fs::write(&path, text).context(|| format!("write {}", path.display()))
    }

    /// Runs `operation` of the dialect with `values` filled in, in `folder`, and writes it down.
    ///
    /// # Errors
    /// [`Obstacle::Skip`] where the subject has no such operation.
    pub fn call(&mut self, operation: &str, values: &[(&str, &str)], folder: &Path) -> Result<Ran, Obstacle> {
        self.count += 1;
        let streams = Streams::new(&self.place, &format!("call-{}", self.count))?;
        self.call_into(operation, values, folder, &streams)
    }

    fn call_into(
        &mut self,
        operation: &str,
        values: &[(&str, &str)],
        folder: &Path,
        streams: &Streams,
    ) -> Result<Ran, Obstacle> {
        let dialect = &self.settings.subject.dialect;
        let unknown = || {
            let why = format!("the dialect {} has no {operation}", dialect.name);
            Obstacle::Skip(crate::Reason::Unsupported, why)
        };
        let root = self.root();
        let root = root.to_string_lossy();
        let mut arguments = dialect.arguments("global", &[("root", &root)]).unwrap_or_default();
        if self.settings.cgroup_driver == CgroupDriver::Systemd {
            arguments.extend(dialect.arguments("systemd", &[]).ok_or_else(unknown)?);
        }
        arguments.extend(dialect.arguments(operation, values).ok_or_else(unknown)?);
        let line = self.settings.subject.command(arguments);
        let (program, arguments) = line.split_first().ok_or_else(unknown)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).envs(self.environment.iter().cloned());
        let ran = execute(operation, &mut command, streams, self.bounds())?;
        self.note(&ran, folder);
        Ok(ran)
    }

    /// Writes down what the subject says its version is: the first line that it prints, as far as that is text.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where it cannot be executed.
    pub(crate) fn note_version(&mut self) -> Result<()> {
        let subject = &self.settings.subject;
        let Some(arguments) = subject.dialect.arguments("version", &[]) else { return Ok(()) };
        let line = subject.command(arguments);
        let Some((program, arguments)) = line.split_first() else { return Ok(()) };
        self.count += 1;
        let streams = Streams::new(&self.place, &format!("call-{}", self.count))?;
        let ran = execute("version", Command::new(program).args(arguments), &streams, self.bounds())?;
        let first = ran.stdout.lines().next().unwrap_or_default();
        let text: String = first.chars().filter(|c| !c.is_control()).take(VERSION_LENGTH).collect();
        self.evidence.record("version", text);
        Ok(())
    }

    /// Of one operation; the runner ends the worker itself.
    fn bounds(&self) -> Bounds<'static> {
        Bounds { patience: self.patience(), keeper: None }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.settings.patience)
    }

    /// Adds `ran`, which was executed in `folder`, to the transcript.
    fn note(&mut self, ran: &Ran, folder: &Path) {
        let mut noted = ran.to_json();
        noted["folder"] = folder.to_string_lossy().into();
        if !self.environment.is_empty() {
            noted["environment"] = json!(self.environment);
        }
        let operations = self.evidence.0.entry("operations").or_insert_with(|| json!([]));
        if let Some(list) = operations.as_array_mut() {
            list.push(noted);
        }
    }

    /// Writes down what lies beside the bundles, as it is now.
    fn note_beside(&mut self) {
        let made = self.made.iter().filter_map(|(_, bundle)| bundle.file_name());
        let mut known: Vec<String> = made.map(|name| name.to_string_lossy().into_owned()).collect();
        known.push("state".to_owned());
        let beside = bundle_record::beside(&self.place, &self.settings.probe, &known);
        if !beside.is_empty() {
            self.evidence.record("beside", beside);
        }
    }

    /// Writes down what makes `bundle` again, as it is now, and what lies beside it.
    fn note_bundle(&mut self, bundle: &Path) {
        self.note_beside();
        let name = bundle.file_name().unwrap_or_default().to_string_lossy();
        let bundles = self.evidence.0.entry("bundles").or_insert_with(|| json!({}));
        if let Some(bundles) = bundles.as_object_mut() {
            bundles.insert(name.into_owned(), bundle_record::record(bundle, &self.settings.probe));
        }
    }

    /// Writes down the bundles that no `create` has been tried with.
    pub(crate) fn note_bundles(&mut self) {
        for (_, bundle) in self.made.clone() {
            let name = bundle.file_name().unwrap_or_default().to_string_lossy();
            if self.evidence.at("/bundles").is_none_or(|bundles| bundles.get(&*name).is_none()) {
                self.note_bundle(&bundle);
            }
        }
    }

    /// `create`, by the dialect's `operation`; `values` are filled in beside id, bundle and pid file.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn create_by(
        &mut self,
        operation: &str,
        values: &[(&str, &str)],
        container: &mut Container,
    ) -> Result<Ran, Obstacle> {
        let (bundle, pid_file) = (container.bundle.clone(), container.pid_file());
        self.note_bundle(&bundle);
        let (bundle, pid_text) = (bundle.to_string_lossy(), pid_file.to_string_lossy());
        let mut all = vec![("id", container.id.as_str()), ("bundle", &bundle), ("pid-file", &pid_text)];
        all.extend_from_slice(values);
        let place = self.place.clone();
        let ran = self.call_into(operation, &all, &place, &container.streams)?;
        if ran.ok() {
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            container.pid = text.trim().parse().ok();
        }
        Ok(ran)
    }

    /// `create`.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn create(&mut self, container: &mut Container) -> Result<Ran, Obstacle> {
        self.create_by("create", &[], container)
    }

    /// `start`.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn start(&mut self, container: &Container) -> Result<Ran, Obstacle> {
        self.on("start", container)
    }

    /// `state`; the document itself is in [`Stage::state_of`].
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn state(&mut self, container: &Container) -> Result<Ran, Obstacle> {
        self.on("state", container)
    }

    /// What `state` prints, or `null` where it fails or prints no JSON.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn state_of(&mut self, container: &Container) -> Result<Value, Obstacle> {
        let ran = self.state(container)?;
        Ok(if ran.ok() { serde_json::from_str(&ran.stdout).unwrap_or_default() } else { Value::Null })
    }

    /// `kill` with `signal`.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn kill(&mut self, container: &Container, signal: &str) -> Result<Ran, Obstacle> {
        let place = self.place.clone();
        self.call("kill", &[("id", &container.id), ("signal", signal)], &place)
    }

    /// `delete`.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn delete(&mut self, container: &Container) -> Result<Ran, Obstacle> {
        self.on("delete", container)
    }

    fn on(&mut self, operation: &str, container: &Container) -> Result<Ran, Obstacle> {
        let place = self.place.clone();
        self.call(operation, &[("id", &container.id)], &place)
    }

    /// The host as it is now.
    pub(crate) fn host(&self) -> Host {
        Host::look(&self.mark, &[&self.root(), Path::new("/run")])
    }

    /// Waits until the container's first process has exited and says how: `{"code": n}`, `{"signal": n}`,
    /// `{"unknown": true}` for a process that is not ours to reap, `null` when it lives on after its time.
    pub fn wait(&self, container: &Container) -> Value {
        let Some(pid) = container.pid.and_then(Pid::from_raw) else { return Value::Null };
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let end = Instant::now() + self.patience();
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
                match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
                    Err(rustix::io::Errno::INTR) => continue,
                    Ok(0) | Err(_) => return Value::Null,
                    Ok(_) => break,
                }
            }
        }
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => json!({"code": code}),
                (None, Some(signal)) => json!({"signal": signal}),
                (None, None) => json!({"unknown": true}),
            },
            _ => json!({"unknown": true}),
        }
    }

    /// Waits until the probe has reported `count` times; what it has reported when its time is over.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the file cannot be watched.
    pub fn await_frames(&self, container: &Container, count: usize) -> Result<Vec<Value>> {
        let context = || "watch the probe's report";
        let watch =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).context(context)?;
        let folder = container.bundle.file_name().unwrap_or_default();
        let file = self.place.join(folder).with_extension("out");
        inotify::add_watch(&watch, &file, inotify::WatchFlags::MODIFY).context(context)?;
        let end = Instant::now() + self.patience();
        loop {
            let frames = container.frames();
            let left = end.saturating_duration_since(Instant::now());
            if frames.len() >= count || left.is_zero() {
                return Ok(frames);
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::because(Kind::Environment, context(), e)),
            }
            // Only that something was written matters; the events themselves are thrown away.
            let mut events = [0u8; 4096];
            let _ = rustix::io::read(&watch, &mut events);
        }
    }

    /// The whole life of a container: create, start, wait for its end, delete. Written down as `name`:
    /// `create`, `start`, `exit`, `report` (the probe's first frame), `frames`, `state` (after the end),
    /// `delete` and `left` (what the host has more or less afterwards).
    ///
    /// # Errors
    /// As [`Stage::call`]; that the subject refuses is evidence.
    pub fn observe(&mut self, name: &str, config: &Value) -> Result<(), Obstacle> {
        let container = self.bundle(config)?;
        self.observe_in(name, container)
    }

    /// As [`Stage::observe`], for a bundle that is there already.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn observe_in(&mut self, name: &str, container: Container) -> Result<(), Obstacle> {
        self.observe_between(name, container, |_, _| Ok(()))
    }

    /// As [`Stage::observe_in`]; `between` is done once the container is created and before it is started.
    ///
    /// # Errors
    /// As [`Stage::call`], and those of `between`.
    pub fn observe_between(
        &mut self,
        name: &str,
        mut container: Container,
        between: impl FnOnce(&mut Stage, &Container) -> Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let before = self.host();
        let mut seen = json!({"id": container.id});
        let mut put = |member: &str, value: Value| {
            if let Some(members) = seen.as_object_mut() {
                members.insert(member.to_owned(), value);
            }
        };
        let created = self.create(&mut container)?;
        put("create", brief(&created));
        if created.ok() {
            between(self, &container)?;
            let started = self.start(&container)?;
            put("start", brief(&started));
            if started.ok() {
                put("exit", self.wait(&container));
            }
            put("state", self.state_of(&container)?);
            let frames = container.frames();
            put("report", frames.first().cloned().unwrap_or_default());
            put("frames", frames.into());
            put("delete", brief(&self.delete(&container)?));
        }
        put("left", before.diff(&self.host()).into());
        self.evidence.record(name, seen);
        self.clean(&container)
    }

    /// An attempt that has to fail: create and, where that succeeds, start. Written down as `name`: `create`,
    /// `start`, `state` (the exit code of `state` afterwards), `ran` (whether the program has reported) and
    /// `left` (what the host has more or less afterwards).
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn attempt(&mut self, name: &str, config: &Value) -> Result<(), Obstacle> {
        self.attempt_text(name, config.to_string().as_bytes())
    }

    /// As [`Stage::attempt`], for a configuration that may be no JSON.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn attempt_text(&mut self, name: &str, config: &[u8]) -> Result<(), Obstacle> {
        let container = self.bundle(&Value::Null)?;
        self.write_config(&container, config)?;
        self.attempt_in(name, container)
    }

    /// As [`Stage::attempt`], for a bundle that is there already.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn attempt_in(&mut self, name: &str, mut container: Container) -> Result<(), Obstacle> {
        let before = self.host();
        let created = self.create(&mut container)?;
        let started = if created.ok() { Some(self.start(&container)?) } else { None };
        if started.as_ref().is_some_and(Ran::ok) {
            self.wait(&container);
        }
        let state = self.state(&container)?;
        let seen = json!({
            "create": brief(&created),
            "start": started.as_ref().map(brief),
            "state": brief(&state),
            "ran": !container.frames().is_empty(),
            "left": before.diff(&self.host()),
        });
        self.evidence.record(name, seen);
        self.clean(&container)
    }

    /// Removes the container by force, so that the next step finds the host as the case found it.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn clean(&mut self, container: &Container) -> Result<(), Obstacle> {
        if !self.root().join(&container.id).exists() {
            return Ok(());
        }
        // A transcript of what went wrong ends before the harness cleans up.
        let operations = self.evidence.0.get("operations").cloned();
        let ran = self.on("delete-force", container)?;
        if let Some(operations) = operations {
            self.evidence.record("operations", operations);
        }
        let words: Vec<&str> = ran.command.iter().map(String::as_str).collect();
        self.note_command(&words);
        Ok(())
    }

    /// Every container that was made, by id.
    pub(crate) fn made(&self) -> &[(String, PathBuf)] {
        &self.made
    }
}

/// How an operation ended, for judges: the transcript has the rest.
pub(crate) fn brief(ran: &Ran) -> Value {
    json!({"operation": ran.operation, "exit": ran.exit, "timedOut": ran.timed_out, "stderr": ran.stderr})
}
