//! The digest subject: any implementation of digests, asked by lines of JSON.
//!
//! All questions go to one process, one a line, and it answers each with a line: so an adapter is twenty
//! lines in any language. A question is `{"op":"parse","text":T}`, `{"op":"verify","digest":D,"content":HEX}`
//! or `{"op":"calculate","algorithm":A,"content":HEX}`; an answer is `{"ok":true}`, with `algorithm` and
//! `encoded` for parse and `digest` for calculate, or `{"ok":false,"error":E}` with E one of `format`,
//! `length`, `unsupported` and `mismatch`.
//!
//! # References
//! - [descriptor.md, digests](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests)
//! - [go-digest](https://github.com/opencontainers/go-digest), whose order of errors others rely on

mod mutants;
mod vectors;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::day::Day;
use crate::error::{Context as _, Error, Kind, Result};
use crate::evidence::Evidence;
use crate::requirement::{Area, Registry};
use crate::results::{
    CaseRecord, FORMAT, JudgementRecord, Results, SubjectRecord, Suite, judge_all, profiles,
};
use crate::runtime::{Bounds, Keeper, Streams, digest_of, execute_with, give_environment};
use crate::version::Version;

pub use mutants::{Mutant, mutants};
pub use vectors::suite;

/// The version of the image specification that it is judged by.
const VERSION: &str = "1.1";
/// Most time for all answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of all answers: a question takes some hundred.
const ANSWERS: u64 = 4 << 20;

/// Asks the program of `command` everything and judges its answers. `keeper` ends what the program leaves running;
/// there is none in a process that has other children.
///
/// # Errors
/// [`Kind::Request`] where the command is empty or not to be found, [`Kind::Environment`] where the harness
/// cannot work or is asked to end. A subject that does not answer is no error.
pub fn run(command: &str, keeper: Option<&Keeper>) -> Result<Results> {
    run_as(None, command, keeper)
}

/// As [`run`], with answers that are wrong as those of `mutant`.
///
/// # Errors
/// Likewise.
pub fn run_mutant(mutant: &Mutant, command: &str) -> Result<Results> {
    run_as(Some(mutant), command, None)
}

fn run_as(mutant: Option<&Mutant>, command: &str, keeper: Option<&Keeper>) -> Result<Results> {
    let registry = Registry::load()?;
    let subject = crate::image::consumer::Program::new(command)?;
    let file = subject.file()?;
    let (questions, started) = (vectors::questions(), Day::today());
    let place = tempfile::Builder::new().prefix("plimsoll-digest-").tempdir().context(|| "make a folder")?;
    let mut input = tempfile::tempfile().context(|| "make a file")?;
    for (_, question) in &questions {
        writeln!(input, "{question}").context(|| "write questions")?;
    }
    std::io::Seek::rewind(&mut input).context(|| "write questions")?;
    let streams = Streams::new(place.path(), "run")?;
    let mut process = Command::new(&file);
    process.args(subject.arguments());
    give_environment(&mut process);
    plimsoll_sys::process::die_with_parent(&mut process);
    let bounds = Bounds { patience: PATIENCE, keeper };
    let ran = execute_with("answer", &mut process, Stdio::from(input), &streams, bounds)?;
    if let Some(keeper) = keeper {
        keeper.sweep();
        keeper.go_on()?;
    }
    let mut answers = String::new();
    let answered = std::fs::File::open(place.path().join("run.out")).context(|| "read answers")?;
    // What is no text answers nothing.
    let _ = answered.take(ANSWERS).read_to_string(&mut answers);
    let mut lines = answers.lines();
    let records: Vec<CaseRecord> = questions
        .iter()
        .map(|(name, question)| {
            let mut answer = lines.next().and_then(|line| serde_json::from_str(line).ok());
            if let (Some(mutant), Some(answer)) = (mutant, &mut answer) {
                mutant.answer(question, answer);
            }
            record(name, question, answer, &ran.to_json())
        })
        .collect();
    let version = Version::parse(Area::Digest, VERSION)?;
    let rows = judge_all(&registry, Area::Digest, version, &suite(), &records);
    let profiles = profiles(&registry, &rows);
    Ok(Results {
        format: FORMAT,
        suite: Suite::current()?,
        subject: SubjectRecord {
            kind: "digest".to_owned(),
            name: match mutant {
                Some(mutant) => format!("{} as the mutant {}", subject.name(), mutant.name),
                None => subject.name(),
            },
            version: String::new(),
            digest: digest_of(&file)?.to_string(),
            manifests: Vec::new(),
            extra: Default::default(),
        },
        environment: Default::default(),
        settings: [
            ("spec".to_owned(), VERSION.to_owned()),
            ("command".to_owned(), command.to_owned()),
            ("started".to_owned(), started.to_string()),
        ]
        .into(),
        cases: records,
        rows,
        profiles,
        extra: Default::default(),
    })
}

fn record(name: &str, question: &Value, answer: Option<Value>, ran: &Value) -> CaseRecord {
    let mut evidence = Evidence::default();
    evidence.record("question", question.clone());
    let obstacle = match answer {
        Some(answer) => {
            evidence.record("answer", answer);
            None
        }
        // Without answers nothing can be said: it is the adapter that fails, whatever is behind it.
        None => {
            let why = format!("there is no answer: {}", crate::evidence::describe(ran));
            evidence.record("operations", json!([ran]));
            Some(JudgementRecord::new(name, Obstacle::Inconclusive(why).judgement()))
        }
    };
    CaseRecord {
        name: name.to_owned(),
        evidence: evidence.to_record(),
        obstacle,
        milliseconds: 0,
        again: Vec::new(),
        extra: Default::default(),
    }
}

/// A case that is judged only: its question is asked with all others.
fn asked(name: String) -> Case<()> {
    Case::new(name, |(): &mut ()| {
        Err(Obstacle::Harness(Error::new(Kind::Suite, "questions are asked together")))
    })
}
