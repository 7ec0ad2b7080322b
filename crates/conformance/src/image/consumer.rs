//! Programs that consume layouts: unpackers and converters, driven by a command line.
//!
//! Every run has a folder of its own with the layout, the target, and files outside of both that nobody may
//! touch. What the program says is evidence; what is on disk afterwards decides.

mod command;
mod mutant;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::day::Day;
use crate::error::{Context as _, Error, Kind, Result};
use crate::evidence::Evidence;
use crate::requirement::{Area, Registry};
use crate::results::{
    CaseRecord, FORMAT, JudgementRecord, Results, SubjectRecord, Suite, judge_all, profiles, require_rows,
};
use crate::runtime::{Bounds, Keeper, Streams, digest_of, execute, give_environment};

use crate::version::Version;

use super::golden::Golden;

pub(crate) use command::Program;
pub use command::{Preset, Subject, presets};
pub use mutant::Mutant;
pub(super) use mutant::{Fault, Tree, mutant};

/// Most time of one run.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest config.json that is read.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Where one case is done.
#[derive(Debug)]
pub struct Stage {
    subject: Subject,
    mutant: Option<Mutant>,
    keeper: Option<Arc<Keeper>>,
    place: PathBuf,
    evidence: Evidence,
}

impl Stage {
    /// Gives the layout to the subject under the name `name`, for the reference `v1`; records
    /// `/name/{run,ok,tree,outside,config}`.
    ///
    /// # Errors
    /// Where the harness fails; a subject that does is evidence.
    pub fn consume(&mut self, name: &str, golden: &Golden) -> Result<(), Obstacle> {
        self.consume_with(name, golden, |_| Ok(()))
    }

    /// As [`Stage::consume`], with files put beside the layout: `prepare` is given the folder `outside`.
    ///
    /// # Errors
    /// Likewise.
    pub fn consume_with(
        &mut self,
        name: &str,
        golden: &Golden,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<(), Obstacle> {
        let run = self.place.join(name);
        // What reaches for the parent of the target finds this one, and not the harness's own.
        let place = run.join("box");
        let make = |path: &Path| std::fs::create_dir_all(path).context(|| format!("make {}", path.display()));
        make(&place.join("scratch"))?;
        make(&place.join("outside"))?;
        std::fs::write(place.join("outside/canary"), "alive\n").context(|| "write a file")?;
        prepare(&place.join("outside"))?;
        let other = self.mutant.as_ref().and_then(Mutant::reads);
        other.as_ref().unwrap_or(golden).write(&place.join("layout"))?;
        let before = tree::walk(&place.join("outside"))?;
        let streams = Streams::new(&run, "run")?;
        let target = place.join("target");
        let words = self.subject.words(&place.join("layout"), "v1", &target, &place.join("scratch"));
        let (program, arguments) =
            words.split_first().ok_or_else(|| Error::new(Kind::Request, "the command is empty"))?;
        let mut command = Command::new(program);
        give_environment(&mut command);
        command.args(arguments).current_dir(&place).env("XDG_RUNTIME_DIR", place.join("scratch"));
        plimsoll_sys::process::die_with_parent(&mut command);
        let bounds = Bounds { patience: PATIENCE, keeper: self.keeper.as_deref() };
        let mut ran = execute("consume", &mut command, &streams, bounds)?;
        let root = target.join(&self.subject.rootfs);
        if let Some(mutant) = &self.mutant {
            mutant.ends(golden, &mut ran);
            mutant.leaves(&root, &target)?;
        }
        // A failure to walk is the subject's: it has made what cannot be read, or removed what was there.
        let tree = tree::walk(&root).unwrap_or(Value::Null);
        let beside = tree::names(&place, &["layout", "outside", "scratch", "target"]).unwrap_or_default();
        let after = tree::walk(&place.join("outside")).unwrap_or(Value::Null);
        let layout = place.join("layout/index.json").is_file();
        let changed = after != before || !beside.is_empty() || !layout;
        self.evidence.record(
            name,
            json!({
                "run": ran.to_json(),
                "ok": ran.ok(),
                "refused": !ran.timed_out && ran.exit.is_some_and(|code| code != 0),
                "tree": tree,
                "outside": {"changed": changed, "beside": beside, "layout": layout, "tree": after},
                "config": config(&target),
                "uncopied": uncopied(golden, &target),
            }),
        );
        Ok(())
    }

    /// The path of the folder that nobody may touch, in the run `name`.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.place.join(name).join("box/outside")
    }
}

/// Blobs that the target lacks, or has otherwise; of what is no layout all.
fn uncopied(golden: &Golden, target: &Path) -> Vec<String> {
    let blobs = golden.files.iter().filter(|(name, _)| name.starts_with("blobs/"));
    let differs = |name: &str, bytes: &[u8]| {
        let path = target.join(name);
        let sized =
            path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
        !sized || std::fs::read(&path).map_or(true, |found| found != bytes)
    };
    blobs.filter(|(name, bytes)| differs(name, bytes)).map(|(name, _)| name.clone()).collect()
}

/// The configuration that a converter has written, if it has.
fn config(target: &Path) -> Value {
    let path = target.join("config.json");
    let small =
        path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= CONFIG_LIMIT);
    let text = if small { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who is judged.
    pub subject: Subject,
    /// By which version of the specification.
    pub version: String,
    /// Cases or rows by name, or the beginning of one; everything where empty.
    pub only: Vec<String>,
    /// Who ends what a case leaves running, and the run where this process is asked to end; `None` in a process
    /// that has other children.
    pub keeper: Option<Arc<Keeper>>,
}

/// Runs `suite` and judges it.
///
/// # Errors
/// [`Kind::Request`] where nothing is selected or the version is unknown, [`Kind::Environment`] where the harness cannot work or is asked to
/// end.
pub fn run(
    kind: &str,
    request: &Request,
    suite: &[Case<Stage>],
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<Results> {
    run_as(None, kind, request, suite, progress)
}

/// As [`run`], with a subject that is wrong as `mutant` is, in the cases that have to notice it.
///
/// # Errors
/// Likewise.
pub fn run_mutant(mutant: &Mutant, kind: &str, subject: &Subject, suite: &[Case<Stage>]) -> Result<Results> {
    let mut subject = subject.clone();
    subject.name = format!("{} as the mutant {}", subject.name, mutant.name);
    let request = Request { subject, version: "main".to_owned(), only: Vec::new(), keeper: None };
    run_as(Some(mutant), kind, &request, suite, &mut |_, _, _| {})
}

fn run_as(
    mutant: Option<&Mutant>,
    kind: &str,
    request: &Request,
    suite: &[Case<Stage>],
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<Results> {
    let registry = Registry::load()?;
    let version = Version::parse(Area::Image, &request.version)?;
    let wanted = |case: &&Case<Stage>| {
        let named = |name: &String| {
            case.name.starts_with(name.as_str())
                || case.rules.iter().any(|rule| rule.requirement.starts_with(name.as_str()))
        };
        let noticing = mutant.is_none_or(|mutant| mutant.is_noticed_by(&case.name));
        noticing && (request.only.is_empty() || request.only.iter().any(named))
    };
    let selected: Vec<_> = suite.iter().filter(wanted).collect();
    if selected.is_empty() {
        return Err(Error::new(Kind::Request, format!("nothing is selected by {}", request.only.join(" "))));
    }
    require_rows(&registry, version, &selected)?;
    let (program, started) = (request.subject.program()?, Day::today());
    let place =
        tempfile::Builder::new().prefix("plimsoll-consumer-").tempdir().context(|| "make a folder")?;
    let mut records = Vec::new();
    for (index, case) in selected.iter().enumerate() {
        let place = place.path().join(index.to_string());
        let stage = Stage {
            subject: request.subject.clone(),
            mutant: mutant.cloned(),
            keeper: request.keeper.clone(),
            place,
            evidence: Evidence::default(),
        };
        records.push(one(stage, case)?);
        progress(index + 1, selected.len(), &case.name);
    }
    records.sort_by(|left: &CaseRecord, right| left.name.cmp(&right.name));
    let rows = judge_all(&registry, Area::Image, version, suite, &records);
    let profiles = profiles(&registry, &rows);
    Ok(Results {
        format: FORMAT,
        suite: Suite::current()?,
        subject: SubjectRecord {
            kind: kind.to_owned(),
            name: request.subject.name.clone(),
            version: String::new(),
            digest: digest_of(&program)?.to_string(),
            manifests: Vec::new(),
            extra: Default::default(),
        },
        environment: Default::default(),
        settings: settings(request, started),
        cases: records,
        rows,
        profiles,
        extra: Default::default(),
    })
}

fn settings(request: &Request, started: Day) -> BTreeMap<String, String> {
    let members = [
        ("spec", request.version.clone()),
        ("selection", request.only.join(" ")),
        ("command", request.subject.template.clone()),
        ("rootfs", request.subject.rootfs.clone()),
        ("started", started.to_string()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn one(mut stage: Stage, case: &Case<Stage>) -> Result<CaseRecord> {
    let start = Instant::now();
    std::fs::create_dir(&stage.place).context(|| "make a folder")?;
    let obstacle = (case.run)(&mut stage).err();
    if let Some(keeper) = &stage.keeper {
        keeper.sweep();
        keeper.go_on()?;
    }
    let record = CaseRecord {
        name: case.name.clone(),
        evidence: stage.evidence.to_record(),
        obstacle: obstacle.map(|obstacle| JudgementRecord::new(&case.name, obstacle.judgement())),
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        again: Vec::new(),
        extra: Default::default(),
    };
    // Space is given back at once; what cannot be removed goes with the whole folder, or says so there.
    let _ = std::fs::remove_dir_all(&stage.place);
    Ok(record)
}
