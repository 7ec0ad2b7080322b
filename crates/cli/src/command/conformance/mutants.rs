//! `conformance mutants`: proof that the suite can fail.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use plimsoll_conformance::runtime::mutants::{self, Proof};
use plimsoll_conformance::runtime::{Request, Subject};

use crate::args::conformance::mutants::{Mutant, Mutants};
use crate::args::conformance::worker_command;
use crate::context::find_runtime;
use crate::output::print;

/// Cases of mutants that hang are given up sooner than those of a slow runtime.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn prove(verb: &Mutants, runtime: Option<&Path>) -> Result<ExitCode> {
    if verb.list {
        return list(verb);
    }
    let runtime = match runtime {
        Some(runtime) => runtime.to_owned(),
        None => find_runtime()?,
    };
    let program = std::env::current_exe().context("find this program")?;
    let (probe, _held) = super::probe(verb.probe.as_deref())?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = |word: &Path| word.to_str().map(str::to_owned).context("the path of this program is no text");
    let proof = Proof {
        request: Request {
            subject: Subject::find(&text(&runtime)?)?,
            version: "1.3.0".to_owned(),
            only: Vec::new(),
            jobs: verb.jobs.unwrap_or(processors + 1),
            cgroup_driver: super::cgroup_driver(verb.cgroup_driver),
            only_cgroup2: verb.only_cgroup2,
            probe,
            worker: worker_command(program.clone().into()),
            patience: PATIENCE,
            operation_patience: Duration::from_secs(10),
        },
        wrapper: vec![text(&program)?, "conformance".to_owned(), "mutant".to_owned()],
        only: verb.only.clone(),
    };
    let bar = super::progress_bar();
    let mut show = |done: usize, total: usize, name: &str| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(name.to_owned());
    };
    let matrix = mutants::prove(&proof, &mut show)?;
    bar.finish_and_clear();
    if let Some(file) = &verb.output {
        let text = format!("{:#}\n", matrix.to_json());
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    print(&matrix.to_text())?;
    Ok(ExitCode::from(u8::from(!matrix.holds())))
}

fn list(verb: &Mutants) -> Result<ExitCode> {
    let wanted =
        |name: &str| verb.only.is_empty() || verb.only.iter().any(|only| name.starts_with(only.as_str()));
    let mutants = mutants::mutants();
    let lines = mutants
        .iter()
        .filter(|mutant| wanted(&mutant.name))
        .map(|mutant| format!("{}\t{}\t{}\n", mutant.name, mutant.rows.join(" "), mutant.breaks));
    print(&lines.collect::<String>())
}

/// Stands before a runtime for one call.
pub(super) fn play(verb: &Mutant) -> Result<ExitCode> {
    let [name, runtime, arguments @ ..] = verb.words.as_slice() else {
        bail!("a mutant needs a name and a runtime");
    };
    let arguments = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let code = mutants::play(&name.to_string_lossy(), runtime.clone(), arguments)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
