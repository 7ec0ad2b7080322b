//! The hidden verb that stands between the judge of digests and this project's own implementation.

use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use plimsoll_digest::{Algorithm, Digest, Mismatch, ParseErrorKind, Verifier};
use plimsoll_spec::json::{self, Value};

use crate::output::{object, print, text};

/// Answers each line of standard input with a line.
pub(super) fn answer() -> Result<ExitCode> {
    for line in BufReader::new(std::io::stdin()).lines() {
        let line = line.context("read a question")?;
        let question: Value = json::from_slice(line.as_bytes()).context("parse a question")?;
        let answer =
            one(&question).unwrap_or_else(|kind| object([("ok", Value::Bool(false)), ("error", text(kind))]));
        print(&format!("{}\n", String::from_utf8_lossy(&json::to_vec(&answer))))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(question: &Value) -> Result<Value, &'static str> {
    let ok = ("ok", Value::Bool(true));
    match member(question, "op") {
        "parse" => {
            let digest = Digest::parse_known(member(question, "text")).map_err(|e| kind(e.kind()))?;
            let parts =
                [ok, ("algorithm", text(digest.algorithm_name())), ("encoded", text(digest.encoded()))];
            Ok(object(parts))
        }
        "verify" => {
            let digest = Digest::parse_known(member(question, "digest")).map_err(|e| kind(e.kind()))?;
            let mut verifier = Verifier::new(&digest, None);
            let checked = verifier.update(&content(question)?).and_then(|()| verifier.finish());
            checked.map(|()| object([ok])).map_err(|mismatch| match mismatch {
                Mismatch::Unsupported { .. } => "unsupported",
                _ => "mismatch",
            })
        }
        "calculate" => {
            let algorithm = Algorithm::parse(member(question, "algorithm")).ok_or("unsupported")?;
            let digest = Digest::of(algorithm, &content(question)?);
            Ok(object([ok, ("digest", text(digest.as_str()))]))
        }
        _ => Err("unknown question"),
    }
}

fn kind(kind: ParseErrorKind) -> &'static str {
    match kind {
        ParseErrorKind::Unsupported => "unsupported",
        ParseErrorKind::Length => "length",
        _ => "format",
    }
}

fn member<'a>(question: &'a Value, name: &str) -> &'a str {
    match question {
        Value::Object(members) => match members.get(name) {
            Some(Value::String(text)) => text,
            _ => "",
        },
        _ => "",
    }
}

/// The bytes that are given as hexadecimal digits.
fn content(question: &Value) -> Result<Vec<u8>, &'static str> {
    let digits = member(question, "content").as_bytes();
    let byte =
        |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.chunks(2).map(|pair| byte(pair).ok_or("malformed content")).collect()
}
