//! The validation programs of runtime-tools over our mutants: which of them they notice.
//!
//! A program runs with an empty `/run`, and as the first process's child of a namespace of its own, so that
//! whatever it leaves behind goes away. It notices a mutant when it reports something that it does not report
//! for the runtime itself.

mod cgroups;
mod program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use plimsoll_conformance::runtime::mutants::{Mutant, mutants};
use plimsoll_test_support::write_program;
use serde_json::{Value, json};

use crate::compile;
use crate::shell::{cargo, must, root};
use program::{Baseline, Program};

/// `old-suite`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The source of runtime-tools, with its programs built.
    #[arg(long, value_name = "DIR")]
    suite: PathBuf,
    /// The runtime that the mutants stand before.
    #[arg(long, value_name = "PROGRAM")]
    runtime: PathBuf,
    /// Run so many programs at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// End a program after so many seconds; that is a report, too.
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Only mutants of this name or beginning; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// What our suite kills, as `plimsoll conformance mutants --output` writes it; by default that is run with
    /// the same runtime.
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    /// Keep what is found in this file, and do not look for it again.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Where the table goes.
    #[arg(short, long, value_name = "FILE", default_value = "docs/compatibility/old-suite.md")]
    output: PathBuf,
}

/// What became of one mutant.
#[derive(Clone)]
struct Row {
    mutant: String,
    rows: String,
    /// The program that noticed first, and what it reported.
    noticed: Option<(String, String)>,
    /// How many programs were run, of those for which the mutant changes anything.
    tried: usize,
}

impl Row {
    fn to_json(&self) -> Value {
        let (program, report) = self.noticed.clone().unzip();
        json!({"mutant": self.mutant, "rows": self.rows, "program": program, "report": report, "tried": self.tried})
    }

    fn parse(value: &Value) -> Option<Row> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Row {
            mutant: text("mutant")?,
            rows: text("rows")?,
            noticed: text("program").zip(text("report")),
            tried: usize::try_from(value["tried"].as_u64()?).ok()?,
        })
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let place = tempfile::tempdir().context("make a folder")?;
    // A copy, so that the project can be built meanwhile.
    let plimsoll = place.path().join("plimsoll");
    std::fs::copy(build()?, &plimsoll).context("copy plimsoll")?;
    let killed = killed(options, &plimsoll, &place.path().join("matrix.json"))?;
    let suite = Suite::new(options, &plimsoll, place.path())?;
    let programs = suite.programs()?;
    eprintln!("{} programs, {} mutants", programs.len(), killed.len());
    let baselines = Mutex::new(BTreeMap::new());
    in_parallel(options.jobs, &programs, |program| {
        let baseline = suite.baseline(program)?;
        eprintln!("{}: {:.1} s, {} reports", program.name, baseline.seconds, baseline.reports.len());
        baselines.lock().map_err(poisoned)?.insert(program.name.clone(), baseline);
        Ok(())
    })?;
    let baselines = baselines.into_inner().map_err(poisoned)?;
    let found = Mutex::new(options.known());
    let page = Page { programs: &programs, baselines: &baselines, killed: killed.len() };
    // What is soon done comes first.
    let mut order: Vec<&Mutant> = killed.iter().collect();
    let seconds = |mutant: &Mutant| -> f64 {
        let touched = baselines.values().filter(|one| mutant.touches(&one.configs, &one.operations));
        touched.map(|one| one.seconds).sum()
    };
    order.sort_by(|left, right| seconds(left).total_cmp(&seconds(right)));
    in_parallel(options.jobs, &order, |mutant| {
        if found.lock().map_err(poisoned)?.iter().any(|row| row.mutant == mutant.name) {
            return Ok(());
        }
        let row = suite.try_all(mutant, &programs, &baselines)?;
        eprintln!("{}: {}", row.mutant, row.noticed.as_ref().map_or("survives", |(program, _)| program));
        let mut found = found.lock().map_err(poisoned)?;
        found.push(row);
        options.keep(&found)?;
        // What is there is of use, should the rest never come.
        write(options, &found, &killed, &page)
    })?;
    cgroups::remove();
    let found = found.into_inner().map_err(poisoned)?;
    write(options, &found, &killed, &page)
}

/// Writes the table of what was found, in the order of the mutants.
fn write(options: &Options, found: &[Row], killed: &[Mutant], page: &Page<'_>) -> Result<()> {
    let place_of = |row: &Row| killed.iter().position(|mutant| mutant.name == row.mutant);
    let mut rows: Vec<Row> = found.iter().filter(|row| place_of(row).is_some()).cloned().collect();
    rows.sort_by_key(place_of);
    if let Some(folder) = options.output.parent() {
        std::fs::create_dir_all(folder).context("make a folder for the table")?;
    }
    let text = page.text(options, &rows);
    std::fs::write(&options.output, text).with_context(|| format!("write {}", options.output.display()))
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> anyhow::Error {
    anyhow::anyhow!("another thread has panicked")
}

/// Does `act` to every one of `all`, `jobs` at a time, in their order.
fn in_parallel<T: Sync>(jobs: usize, all: &[T], act: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let waiting = Mutex::new(all.iter());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let work = || -> Result<()> {
        while let Some(one) = next() {
            act(one)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(_) => bail!("a thread has panicked"),
        })
    })
}

impl Options {
    /// What an earlier run has found.
    fn known(&self) -> Vec<Row> {
        let text = self.resume.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        let known: Value = serde_json::from_slice(&text).unwrap_or_default();
        known.as_array().into_iter().flatten().filter_map(Row::parse).collect()
    }

    fn keep(&self, rows: &[Row]) -> Result<()> {
        let Some(file) = &self.resume else { return Ok(()) };
        let text = Value::from(rows.iter().map(Row::to_json).collect::<Vec<_>>()).to_string();
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }
}

/// `plimsoll` with the probe in it.
fn build() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "-p", "plimsoll-cli"]).env(compile::EMBEDDED_PROBE, compile::probe()?);
    must(&mut command)?;
    Ok(root().join("target/debug/plimsoll"))
}

/// The mutants that our own suite kills.
fn killed(options: &Options, plimsoll: &Path, made: &Path) -> Result<Vec<Mutant>> {
    let file = match &options.matrix {
        Some(file) => file,
        None => {
            let mut command = Command::new(plimsoll);
            command
                .arg("--runtime")
                .arg(&options.runtime)
                .args(["conformance", "mutants", "--output"])
                .arg(made);
            // Its exit code says whether all were killed, which is not asked here.
            command.stdout(std::process::Stdio::null()).status().context("execute plimsoll")?;
            made
        }
    };
    let text = std::fs::read(file).with_context(|| format!("read the matrix {}", file.display()))?;
    let matrix: Value = serde_json::from_slice(&text)?;
    let wanted = |name: &str| {
        options.only.is_empty() || options.only.iter().any(|only| name.starts_with(only.as_str()))
    };
    let dead = |mutant: &Mutant| {
        let outcomes = matrix["mutants"].as_array().into_iter().flatten();
        outcomes.into_iter().any(|one| {
            one["mutant"] == mutant.name.as_str()
                && one["killed"].as_array().is_some_and(|kills| !kills.is_empty())
        })
    };
    Ok(mutants().into_iter().filter(|mutant| wanted(&mutant.name) && dead(mutant)).collect())
}

/// How programs are run.
struct Suite<'a> {
    options: &'a Options,
    plimsoll: &'a Path,
    place: &'a Path,
    /// Programs that name one cgroup take turns; there are two such names.
    cgroups: [Mutex<()>; 2],
}

impl Suite<'_> {
    fn new<'a>(options: &'a Options, plimsoll: &'a Path, place: &'a Path) -> Result<Suite<'a>> {
        if !options.suite.join("rootfs-amd64.tar.gz").exists() {
            bail!("{} is no source of runtime-tools", options.suite.display());
        }
        Ok(Suite { options, plimsoll, place, cgroups: Default::default() })
    }

    fn programs(&self) -> Result<Vec<Program>> {
        let mut found = Vec::new();
        let folders =
            std::fs::read_dir(self.options.suite.join("validation")).context("list the programs")?;
        for folder in folders.flatten() {
            let name = folder.file_name().to_string_lossy().into_owned();
            let file = folder.path().join(format!("{name}.t"));
            if file.is_file() {
                found.push(Program { name, file });
            }
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        match found.is_empty() {
            true => bail!("{} has no programs that are built", self.options.suite.display()),
            false => Ok(found),
        }
    }

    /// What a program reports for the runtime itself, in two runs, and what it asks of it.
    fn baseline(&self, program: &Program) -> Result<Baseline> {
        let record = self.place.join(&program.name);
        std::fs::create_dir(&record).context("make a folder for a record")?;
        let text = recorder(&record, &self.options.runtime);
        let script = self.script(&format!("record-{}", program.name), &text)?;
        let first = self.run(program, &script)?;
        let second = self.run(program, &script)?;
        Baseline::new(&record, &first, &second)
    }

    fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.place.join(format!("{name}.sh"));
        write_program(&file, text.as_bytes()).context("write a script")?;
        Ok(file)
    }

    fn run(&self, program: &Program, script: &Path) -> Result<program::Ran> {
        let _turn = program.shared_cgroup().and_then(|name| self.cgroups.get(name)).map(Mutex::lock);
        program.run(&self.options.suite, script, self.options.seconds)
    }

    /// One program after the other, the quick ones first, until one notices.
    fn try_all(
        &self,
        mutant: &Mutant,
        programs: &[Program],
        baselines: &BTreeMap<String, Baseline>,
    ) -> Result<Row> {
        let text = format!(
            "#!/bin/sh\nexec {} conformance mutant {} {} --root /run/mutant \"$@\"\n",
            self.plimsoll.display(),
            mutant.name,
            self.options.runtime.display()
        );
        let script = self.script(&mutant.name, &text)?;
        let mut touched: Vec<(&Program, &Baseline)> = programs
            .iter()
            .filter_map(|program| Some((program, baselines.get(&program.name)?)))
            .filter(|(_, baseline)| mutant.touches(&baseline.configs, &baseline.operations))
            .collect();
        touched.sort_by(|left, right| left.1.seconds.total_cmp(&right.1.seconds));
        let mut row =
            Row { mutant: mutant.name.clone(), rows: mutant.rows.join(" "), noticed: None, tried: 0 };
        for (program, baseline) in touched {
            row.tried += 1;
            if let Some(report) = self.notice(program, &script, baseline)? {
                row.noticed = Some((program.name.clone(), report));
                break;
            }
        }
        Ok(row)
    }

    /// A report that the program makes of the mutant both times, and of the runtime itself never.
    fn notice(&self, program: &Program, script: &Path, baseline: &Baseline) -> Result<Option<String>> {
        let first = self.run(program, script)?;
        let mut news = first.reports.difference(&baseline.reports).peekable();
        if news.peek().is_none() {
            return Ok(None);
        }
        let second = self.run(program, script)?;
        Ok(news.find(|report| second.reports.contains(*report)).cloned())
    }
}

/// A script that keeps what `create` is given, and the names of operations, and hands everything on.
fn recorder(record: &Path, runtime: &Path) -> String {
    format!(
        "#!/bin/sh\nbundle=.; before=; operation=\n\
         for word; do\n  [ \"$before\" = --bundle ] && bundle=$word\n  case $word in -*) ;; *) operation=${{operation:-$word}} ;; esac\n  before=$word\ndone\n\
         echo \"$operation\" >> {record}/operations\n\
         [ \"$operation\" = create ] && cp \"$bundle/config.json\" \"$(mktemp -p {record} --suffix=.json)\" 2>/dev/null\n\
         exec {runtime} --root /run/mutant \"$@\"\n",
        record = record.display(),
        runtime = runtime.display(),
    )
}

/// What the table says beside its rows.
struct Page<'a> {
    programs: &'a [Program],
    baselines: &'a BTreeMap<String, Baseline>,
    /// How many mutants there are to try.
    killed: usize,
}

impl Page<'_> {
    fn text(&self, options: &Options, rows: &[Row]) -> String {
        let survivors = rows.iter().filter(|row| row.noticed.is_none()).count();
        let untouched = rows.iter().filter(|row| row.tried == 0).count();
        let failing = self.baselines.values().filter(|baseline| !baseline.reports.is_empty()).count();
        let runtime = Command::new(&options.runtime).arg("--version").output();
        let runtime = runtime.map(|output| {
            String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
        });
        let mut text = format!(
            "# The validation programs of runtime-tools and our mutants\n\n\
         `plimsoll conformance mutants` breaks a runtime in one way after the other and wants the suite to notice. Here the \
         {} validation programs of runtime-tools are run over the same mutants.\n\n\
         Of {} mutants that our suite kills on the same machine, before a runtime of the caller's choice, {} were tried: \
         the programs notice {}; {} survive, {untouched} of them because no program asks for anything that they \
         break.\n\n\
         | | |\n|---|---|\n\
         | made by | `cargo xtask old-suite --suite DIR --runtime R` |\n\
         | runtime | {} |\n\
         | a program is run | as root, with an empty `/run`, in pid and mount namespaces of its own, for at most {} s; {failing} of the programs report something for the runtime itself |\n\
         | noticed | the program reports a failing line, an exit code or a time-out in two runs that it reports in neither of two runs with the runtime itself |\n\
         | order | the quickest program first, until one notices; programs for whose configurations and operations the mutant does nothing are not run |\n\n\
         | mutant | breaks | noticed by | report, or programs run in vain |\n|---|---|---|---|\n",
            self.programs.len(),
            self.killed,
            rows.len(),
            rows.len() - survivors,
            survivors,
            runtime.unwrap_or_default(),
            options.seconds,
        );
        for row in rows {
            let (program, report) = match &row.noticed {
                Some((program, report)) => (program.as_str(), report.replace('|', "\\|")),
                None => ("**survives**", row.tried.to_string()),
            };
            text.push_str(&format!("| {} | {} | {program} | {report} |\n", row.mutant, row.rows));
        }
        text
    }
}
