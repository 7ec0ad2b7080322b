//! A whole run: workers side by side, each with a limit of time, and the results of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_spec::json;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::case::{Case, Obstacle};
use crate::day::Day;
use crate::error::{Context as _, Error, Kind, Result};
use crate::requirement::{Area, Registry};
use crate::results::{
    CaseRecord, FORMAT, JudgementRecord, Results, RowRecord, SubjectRecord, Suite, judge_all, profiles,
    require_rows,
};
use crate::verdict::Verdict;
use crate::version::Version;

use super::host;
use super::keeper::Keeper;
use super::place::Place;
use super::ran::printed_in;
use super::settings::{CgroupDriver, Settings};
use super::stage::Stage;
use super::subject::{Subject, digest_of, give_environment};

/// The case that everything else builds on: where it does not pass, nothing can be said.
pub(crate) const CONTROL: &str = "control/minimal";

/// Most bytes of one worker's record: all of them together are to be read again.
const RECORD_LIMIT: usize = 512 << 10;
/// Most bytes that the subject may print in one case, together with what it leaves running.
const PRINTED_LIMIT: u64 = 512 << 20;
/// How often that is measured.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who is judged.
    pub subject: Subject,
    /// By which version of the specification.
    pub version: String,
    /// Cases, rows or profiles by name, or the beginning of a case's or row's name; everything where empty.
    pub only: Vec<String>,
    /// How many workers at a time.
    pub jobs: usize,
    /// Who makes cgroups.
    pub cgroup_driver: CgroupDriver,
    /// Whether workers see cgroup v2 alone.
    pub only_cgroup2: bool,
    /// The probe's file.
    pub probe: PathBuf,
    /// Program and arguments that start a worker; name and number of the case are added.
    pub worker: Vec<OsString>,
    /// Most time of one case.
    pub patience: Duration,
    /// Most time of one operation of the subject.
    pub operation_patience: Duration,
}

impl Request {
    /// How a run is done that results do not show by themselves, as their settings have it.
    pub fn manner(&self) -> BTreeMap<String, String> {
        let seconds = |patience: Duration| Some(patience.as_secs().to_string());
        let members = [
            ("dialect", self.subject.dialect.deviations()),
            ("patience", seconds(self.patience)),
            ("operationPatience", seconds(self.operation_patience)),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Told as cases end: how many have, of how many, and the name of the last.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize, &str);

/// Runs what `request` selects and judges it.
///
/// # Errors
/// [`Kind::Request`] where the selection is empty or the version unknown, [`Kind::Environment`] where workers cannot be started or
/// the run was interrupted.
pub fn run(request: &Request, registry: &Registry, progress: Progress<'_>) -> Result<Results> {
    let started = Day::today();
    let judged_by = Version::parse(Area::Runtime, &request.version)?;
    let suite = super::cases::suite();
    let selected = select(request, judged_by, registry, &suite)?;
    let (_place, settings) = prepare(request)?;
    let mut pool = Pool::new(request)?;
    let names: Vec<&str> =
        std::iter::once(CONTROL).chain(selected.iter().copied().filter(|name| *name != CONTROL)).collect();
    let tasks: Vec<Task<'_>> = names.iter().map(|name| Task { name, settings: &settings }).collect();
    let mut records = pool.records(&tasks[..1], 0, names.len(), progress)?;
    let broken = records.first().and_then(control_failure);
    match broken {
        // Not even the control is a failure then: it may be this host that the subject was not made for.
        Some(why) => {
            let obstacle = Obstacle::Inconclusive(why);
            let judgement = || Some(JudgementRecord::new(CONTROL, obstacle.judgement()));
            records.iter_mut().for_each(|record| record.obstacle = judgement());
            records.extend(names[1..].iter().map(|name| unjudged(name, &obstacle)));
        }
        None => records.extend(pool.records(&tasks[1..], 1, names.len(), progress)?),
    }
    records.sort_by(|left, right| left.name.cmp(&right.name));
    let version = version_of(&records);
    let judge = |records: &[CaseRecord]| judge_all(registry, Area::Runtime, judged_by, &suite, records);
    let failing = failing(&judge(&records));
    let tasks: Vec<Task<'_>> = tasks.into_iter().filter(|task| failing.contains(task.name)).collect();
    for record in pool.records(&tasks, names.len(), names.len() + tasks.len(), progress)? {
        if let Some(first) = records.iter_mut().find(|first| first.name == record.name) {
            first.again.push(record);
        }
    }
    let rows = judge(&records);
    let profiles = profiles(registry, &rows);
    let results = Results {
        format: FORMAT,
        suite: Suite {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary: digest_of(std::path::Path::new("/proc/self/exe"))?.to_string(),
            registry: Registry::digest().to_string(),
            extra: json::Object::new(),
        },
        subject: SubjectRecord {
            kind: "runtime".to_owned(),
            name: request.subject.dialect.name.clone(),
            version,
            digest: request.subject.digest()?.to_string(),
            manifests: Vec::new(),
            extra: json::Object::new(),
        },
        environment: environment(request),
        settings: settings_of(request, started),
        cases: records,
        rows,
        profiles,
        extra: json::Object::new(),
    };
    results.require_readable()?;
    Ok(results)
}

/// What the subject has said its version is, when the control asked for it.
pub(super) fn version_of<'a>(records: impl IntoIterator<Item = &'a CaseRecord>) -> String {
    let control = records.into_iter().find(|record| record.name == CONTROL);
    let evidence = control.map(|record| crate::Evidence::from_record(&record.evidence));
    let version = evidence.as_ref().and_then(|evidence| evidence.at("/version")?.as_str());
    version.unwrap_or_default().to_owned()
}

/// The cases by which rows fail.
fn failing(rows: &[RowRecord]) -> BTreeSet<String> {
    let judgements = rows.iter().flat_map(|row| &row.judgements);
    let failing = judgements.filter(|judgement| judgement.verdict == Verdict::Fail);
    failing.map(|judgement| judgement.case.clone()).collect()
}

fn settings_of(request: &Request, started: Day) -> BTreeMap<String, String> {
    let members = [
        ("spec", request.version.clone()),
        ("selection", request.only.join(" ")),
        ("jobs", request.jobs.to_string()),
        ("program", request.subject.program.to_string_lossy().into_owned()),
        ("started", started.to_string()),
    ];
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    members.chain(request.manner()).collect()
}

/// A folder for a run, with a copy of the probe, and what the workers in it have to know.
pub(super) fn prepare(request: &Request) -> Result<(Place, Settings)> {
    let place = Place::new()?;
    let probe = place.path().join("probe");
    std::fs::copy(&request.probe, &probe)
        .context(|| format!("copy the probe {}", request.probe.display()))?;
    let folder = place.path().file_name().and_then(|name| name.to_str()).unwrap_or("run");
    let settings = Settings {
        subject: request.subject.clone(),
        version: request.version.clone(),
        probe,
        place: place.path().to_owned(),
        mark: format!("plimsoll-judge-{}", folder.rsplit('-').next().unwrap_or("run")),
        cgroup_driver: request.cgroup_driver,
        only_cgroup2: request.only_cgroup2,
        patience: u64::try_from(request.operation_patience.as_millis()).unwrap_or(u64::MAX),
    };
    Ok((place, settings))
}

/// The names of the cases that `request` asks for.
fn select<'a>(
    request: &Request,
    version: Version,
    registry: &Registry,
    suite: &'a [Case<Stage>],
) -> Result<Vec<&'a str>> {
    let matches = |case: &&Case<Stage>| {
        request.only.is_empty()
            || request.only.iter().any(|wanted| {
                case.name.starts_with(wanted.as_str())
                    || case.rules.iter().any(|rule| {
                        rule.requirement.starts_with(wanted.as_str())
                            || registry.row(rule.requirement).is_ok_and(|row| row.profile == wanted)
                    })
            })
    };
    let cases: Vec<_> = suite.iter().filter(matches).collect();
    if cases.is_empty() {
        let why = format!("nothing is selected by {}", request.only.join(" "));
        return Err(Error::new(Kind::Request, why));
    }
    require_rows(registry, version, &cases)?;
    Ok(cases.into_iter().map(|case| case.name.as_str()).collect())
}

/// Why the control failed, if it did.
pub(crate) fn control_failure(record: &CaseRecord) -> Option<String> {
    if let Some(obstacle) = &record.obstacle {
        return Some(format!("the minimal container could not be tried: {}", obstacle.observed));
    }
    let evidence = crate::Evidence::from_record(&record.evidence);
    let exit = evidence.at("/minimal/exit/code").or_else(|| evidence.at("/minimal/exit/unknown"));
    if exit.is_some_and(|code| code == 0 || code == true) && evidence.at("/minimal/report/pid").is_some() {
        return None;
    }
    let why = evidence.first_failure().unwrap_or_else(|| "its program reported nothing".to_owned());
    Some(format!("the minimal container does not run: {why}"))
}

fn unjudged(name: &str, obstacle: &Obstacle) -> CaseRecord {
    CaseRecord {
        name: name.to_owned(),
        evidence: json::Value::Object(json::Object::new()),
        obstacle: Some(JudgementRecord::new(name, obstacle.judgement())),
        milliseconds: 0,
        again: Vec::new(),
        extra: json::Object::new(),
    }
}

fn environment(request: &Request) -> BTreeMap<String, String> {
    let uname = rustix::system::uname();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cgroup = if request.only_cgroup2 || std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        "v2"
    } else if std::path::Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists() {
        "hybrid"
    } else {
        "v1"
    };
    let user = if rustix::process::geteuid().is_root() { "root" } else { "rootless" };
    let driver = match request.cgroup_driver {
        CgroupDriver::Cgroupfs => "cgroupfs",
        CgroupDriver::Systemd => "systemd",
    };
    let members = [
        ("kernel", uname.release().to_string_lossy().into_owned()),
        ("architecture", uname.machine().to_string_lossy().into_owned()),
        ("cgroup", cgroup.to_owned()),
        ("cgroupDriver", driver.to_owned()),
        ("lsm", read("/sys/kernel/security/lsm")),
        ("user", user.to_owned()),
        ("processors", std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A case, and the settings it is to be run with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a Settings,
}

/// A worker at work.
struct Job {
    /// Which of the tasks that were given together.
    task: usize,
    name: String,
    mark: String,
    child: Child,
    pidfd: std::os::fd::OwnedFd,
    output: std::fs::File,
    place: PathBuf,
    end: Instant,
}

impl Job {
    fn prints_without_end(&self) -> bool {
        printed_in(&self.place) > PRINTED_LIMIT
    }

    /// Why it is ended before it has ended by itself, if it is to be.
    fn excess(&self, patience: Duration) -> Option<String> {
        if self.end <= Instant::now() {
            return Some(format!("the case took longer than {} s", patience.as_secs()));
        }
        self.prints_without_end().then(|| format!("the subject printed more than {PRINTED_LIMIT} bytes"))
    }

    fn pid(&self) -> i32 {
        Pid::from_child(&self.child).as_raw_nonzero().get()
    }
}

/// The workers, and what ends them early.
pub(super) struct Pool<'a> {
    request: &'a Request,
    keeper: Keeper,
}

impl Pool<'_> {
    pub(super) fn new(request: &Request) -> Result<Pool<'_>> {
        // What a killed worker leaves comes to this process, and is ended by it.
        Ok(Pool { request, keeper: Keeper::begin()? })
    }

    /// As [`Pool::run`], for a caller to whom all tasks are alike.
    fn records(
        &mut self,
        tasks: &[Task<'_>],
        done: usize,
        total: usize,
        progress: Progress<'_>,
    ) -> Result<Vec<CaseRecord>> {
        let records = self.run(tasks, done, total, progress)?;
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Runs `tasks`, before which `done` of `total` are over already. The records come as the tasks end, each
    /// with its task's place in `tasks`. No two calls may have one `done`: workers are numbered by it.
    pub(super) fn run(
        &mut self,
        tasks: &[Task<'_>],
        done: usize,
        total: usize,
        progress: Progress<'_>,
    ) -> Result<Vec<(usize, CaseRecord)>> {
        let mut waiting = tasks.iter().enumerate();
        let mut jobs: Vec<Job> = Vec::new();
        let mut records = Vec::with_capacity(tasks.len());
        loop {
            while jobs.len() < self.request.jobs.max(1)
                && let Some((at, task)) = waiting.next()
            {
                jobs.push(self.start(task, at, done + at)?);
            }
            if jobs.is_empty() {
                return Ok(records);
            }
            self.wait(&jobs)?;
            if let Err(interrupted) = self.keeper.go_on() {
                while let Some(job) = jobs.pop() {
                    // Nobody reads what it would have said.
                    let _ = self.end(job, &pids(jobs.iter()));
                }
                return Err(interrupted);
            }
            let patience = self.request.patience;
            let (mut over, running): (Vec<_>, Vec<_>) =
                jobs.into_iter().partition(|job| has_ended(&job.pidfd) || job.excess(patience).is_some());
            jobs = running;
            while let Some(job) = over.pop() {
                let (task, name) = (job.task, job.name.clone());
                records.push((task, self.end(job, &pids(jobs.iter().chain(&over)))?));
                progress(done + records.len(), total, &name);
            }
        }
    }

    fn start(&self, task: &Task<'_>, at: usize, index: usize) -> Result<Job> {
        let Task { name, settings } = *task;
        let context = || format!("start a worker for {name}");
        let (program, arguments) = self
            .request
            .worker
            .split_first()
            .ok_or_else(|| Error::new(Kind::Request, "no program is named that starts a worker"))?;
        let output = tempfile::tempfile().context(context)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(name).arg(index.to_string()).stdin(Stdio::piped());
        command.stdout(output.try_clone().context(context)?).process_group(0);
        give_environment(&mut command);
        plimsoll_sys::process::die_with_parent(&mut command);
        let mut child = command.spawn().context(context)?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).context(context)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A worker that dies before it reads says so by its exit.
            let _ = stdin.write_all(settings.to_json().to_string().as_bytes());
        }
        Ok(Job {
            task: at,
            name: name.to_owned(),
            mark: settings.mark_of(&index.to_string()),
            child,
            pidfd,
            output,
            place: settings.place.join(index.to_string()),
            end: Instant::now() + self.request.patience,
        })
    }

    /// Waits until a worker ends, its time is over, or the run is interrupted; at most until they are looked at again.
    fn wait(&self, jobs: &[Job]) -> Result<()> {
        let next = jobs.iter().map(|job| job.end).min().unwrap_or_else(Instant::now);
        let left = next.saturating_duration_since(Instant::now()).min(LOOK);
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut watched = vec![self.keeper.interrupt()];
        watched.extend(jobs.iter().map(|job| PollFd::new(&job.pidfd, PollFlags::IN)));
        match poll(&mut watched, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(Error::because(Kind::Environment, "wait for workers", e)),
        }
    }

    /// Takes the record of a worker that has ended, or ends it and says so; `workers` are not touched.
    fn end(&self, mut job: Job, workers: &[i32]) -> Result<CaseRecord> {
        let ended = has_ended(&job.pidfd);
        let excess = if ended { None } else { job.excess(self.request.patience) };
        if !ended {
            // It may end by itself at this moment.
            let _ = kill_process_group(Pid::from_child(&job.child), Signal::KILL);
        }
        let status = job.child.wait().context(|| "wait for a worker")?;
        if ended && status.success() {
            return Ok(record_in(&job.output).unwrap_or_else(|obstacle| unjudged(&job.name, &obstacle)));
        }
        host::kill_orphans(workers);
        host::remove_cgroups(&job.mark);
        let obstacle = match excess {
            Some(why) => Obstacle::Inconclusive(why),
            None => Obstacle::Harness(Error::new(Kind::Environment, format!("a worker ended by {status}"))),
        };
        Ok(unjudged(&job.name, &obstacle))
    }
}

/// What a worker has written down.
fn record_in(output: &std::fs::File) -> std::result::Result<CaseRecord, Obstacle> {
    let text = super::ran::contents(output, RECORD_LIMIT + 1);
    if text.len() > RECORD_LIMIT {
        return Err(Obstacle::Inconclusive(format!("what was seen takes more than {RECORD_LIMIT} bytes")));
    }
    json::from_slice_within(&text, json::Limits { size: RECORD_LIMIT, depth: 64 })
        .map_err(|e| Error::because(Kind::Suite, "read a worker's record", e).into())
}

fn pids<'a>(jobs: impl Iterator<Item = &'a Job>) -> Vec<i32> {
    jobs.map(Job::pid).collect()
}

fn has_ended(pidfd: &std::os::fd::OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    matches!(poll(&mut watched, Some(&now)), Ok(ready) if ready > 0)
}
