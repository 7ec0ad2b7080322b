//! Device rules: text for v1, a program for v2. Refuses what neither can express.
//!
//! The last rule that names a device decides each access bit; what no rule names is denied.

use plimsoll_spec::runtime::DeviceRule;
use plimsoll_sys::bpf::Instruction;

use crate::error::{Error, Kind};

/// More rules than any engine writes; keeps the program far below the kernel's limits.
const RULES_MAX: usize = 1024;

#[derive(Clone, Copy)]
pub(crate) struct Rule {
    allow: bool,
    kind: char,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

const fn always(kind: char, major: Option<i32>, minor: Option<i32>, access: i32) -> Rule {
    Rule { allow: true, kind, major, minor, access }
}

/// What every container may do: make nodes, and use the devices that runtime-spec demands.
const ALWAYS: [Rule; 11] = [
    always('c', None, None, 1),
    always('b', None, None, 1),
    always('c', Some(1), Some(3), 7),
    always('c', Some(1), Some(5), 7),
    always('c', Some(1), Some(7), 7),
    always('c', Some(1), Some(8), 7),
    always('c', Some(1), Some(9), 7),
    always('c', Some(5), Some(0), 7),
    always('c', Some(5), Some(1), 7),
    always('c', Some(5), Some(2), 7),
    always('c', Some(136), None, 7),
];

pub(crate) fn parse(rules: &[DeviceRule]) -> Result<Vec<Rule>, Error> {
    if rules.len() > RULES_MAX {
        return Err(invalid(format!("more than {RULES_MAX} rules")));
    }
    rules.iter().map(parse_one).chain(ALWAYS.map(Ok)).collect()
}

fn parse_one(rule: &DeviceRule) -> Result<Rule, Error> {
    let kind = match rule.kind.as_deref() {
        None | Some("" | "a") => 'a',
        Some("c" | "u") => 'c',
        Some("b") => 'b',
        Some(other) => return Err(invalid(format!("unknown type {other:?}"))),
    };
    let mut access = 0;
    for letter in rule.access.as_deref().unwrap_or("rwm").chars() {
        access |= match letter {
            'm' => 1,
            'r' => 2,
            'w' => 4,
            other => return Err(invalid(format!("unknown access {other:?}"))),
        };
    }
    let access = if access == 0 { 7 } else { access };
    Ok(Rule { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
}

fn number(value: Option<i64>) -> Result<Option<i32>, Error> {
    match value {
        None | Some(-1) => Ok(None),
        Some(n) => match i32::try_from(n) {
            Ok(n) if n >= 0 => Ok(Some(n)),
            _ => Err(invalid(format!("device number {n} is out of range"))),
        },
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("linux.resources.devices: {what}"))
}

/// The file and the line that tell v1 a rule.
pub(crate) fn v1_line(rule: &Rule) -> Result<(&'static str, String), Error> {
    let file = if rule.allow { "devices.allow" } else { "devices.deny" };
    if rule.kind == 'a' {
        // The kernel reads "a" as all of everything and ignores what follows.
        return if rule.major.is_none() && rule.minor.is_none() && rule.access == 7 {
            Ok((file, "a".to_owned()))
        } else {
            Err(invalid("type a with numbers or partial access needs cgroup v2".to_owned()))
        };
    }
    let part = |n: Option<i32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let access: String = [(2, 'r'), (4, 'w'), (1, 'm')]
        .iter()
        .filter(|(bit, _)| rule.access & bit != 0)
        .map(|p| p.1)
        .collect();
    Ok((file, format!("{} {}:{} {access}", rule.kind, part(rule.major), part(rule.minor))))
}

const fn op(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

/// The program of `rules`. r2 is the type, r3 the bits not yet allowed, r4 and r5 the numbers.
pub(crate) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        op(0x61, 0x12, 0, 0),
        op(0xbf, 0x23, 0, 0),
        op(0x57, 2, 0, 0xffff),
        op(0x77, 3, 0, 16),
        op(0x61, 0x14, 4, 0),
        op(0x61, 0x15, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let kind = match rule.kind {
            'b' => Some(1),
            'c' => Some(2),
            _ => None,
        };
        let tests: Vec<(u8, i32)> = [(2, kind), (4, rule.major), (5, rule.minor)]
            .into_iter()
            .filter_map(|(r, v)| Some((r, v?)))
            .collect();
        // A failed test jumps over the tests after it and the four instructions of the verdict.
        for (skip, (register, value)) in
            (4i16..).zip(tests.iter().rev()).collect::<Vec<_>>().into_iter().rev()
        {
            program.push(op(0x55, *register, skip, *value));
        }
        program.extend(if rule.allow {
            [op(0x57, 3, 0, !rule.access), op(0x55, 3, 2, 0), op(0xb7, 0, 0, 1), op(0x95, 0, 0, 0)]
        } else {
            [op(0x45, 3, 1, rule.access), op(0x05, 0, 2, 0), op(0xb7, 0, 0, 0), op(0x95, 0, 0, 0)]
        });
    }
    program.extend([op(0xb7, 0, 0, 0), op(0x95, 0, 0, 0)]);
    program
}
