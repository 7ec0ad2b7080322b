//! From tables of verdicts to instructions: a comparison of the architecture, a binary search over the
//! numbers, and a straight line of comparisons for each call with conditions.

use plimsoll_spec::runtime::SeccompOperator;
use plimsoll_sys::seccomp::Instruction;

use super::{Condition, ENOSYS, RET_ERRNO, RET_KILL_THREAD, Table, Verdict, X32_BIT};

/// The kernel's `BPF_MAXINSNS`.
const LONGEST: usize = 4096;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

type Code = Vec<Instruction>;

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// The whole program; `None` where the kernel would refuse its length.
pub(super) fn program(tables: &[Table]) -> Option<Code> {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    let mut rest = tables;
    while let Some(first) = rest.first() {
        let token = first.abi.token;
        let same = rest.iter().take_while(|table| table.abi.token == token).count();
        let (these, others) = rest.split_at(same);
        branch(&mut program, JUMP_EQUAL, token, architecture(these));
        rest = others;
    }
    program.push(statement(RETURN, RET_KILL_THREAD));
    (program.len() <= LONGEST).then_some(program)
}

/// Appends `code`, which returns, to be run only where the comparison holds.
fn branch(program: &mut Code, comparison: u16, k: u32, code: Code) {
    match u8::try_from(code.len()) {
        Ok(length) => program.push(Instruction { code: comparison, jt: 0, jf: length, k }),
        Err(_) => {
            program.push(Instruction { code: comparison, jt: 1, jf: 0, k });
            program.push(statement(JUMP, code.len() as u32));
        }
    }
    program.extend(code);
}

/// All ways of calling that share a token.
fn architecture(tables: &[Table]) -> Code {
    let mut code = vec![statement(LOAD, NUMBER)];
    let marked = tables.iter().find(|table| table.abi.bit == X32_BIT);
    if tables.iter().any(|table| table.abi.token == 0xc000_003e) {
        // Numbers with the bit of x32 mean nothing where the filter does not know that way of calling.
        branch(
            &mut code,
            JUMP_GREATER_EQUAL,
            X32_BIT,
            marked.map_or_else(|| vec![statement(RETURN, RET_KILL_THREAD)], search),
        );
    }
    if let Some(table) = tables.iter().find(|table| table.abi.bit == 0) {
        code.extend(search(table));
    }
    code
}

/// A stretch of numbers, from `start` to the next one's, with one verdict.
struct Stretch<'a> {
    start: u32,
    target: Target<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Target<'a> {
    Return(u32),
    Conditions(&'a Verdict),
}

fn search(table: &Table) -> Code {
    let mut stretches = Vec::new();
    let mut push = |start, target| {
        let known = stretches.last().is_some_and(|last: &Stretch<'_>| last.target == target);
        if !known {
            stretches.push(Stretch { start, target });
        }
    };
    let default = Target::Return(table.default);
    push(0, default);
    let mut next = 0;
    for (number, verdict) in &table.verdicts {
        if *number > next {
            push(next, default);
        }
        let target = match verdict {
            Verdict::Fixed(action) => Target::Return(*action),
            conditional => Target::Conditions(conditional),
        };
        push(*number, target);
        next = number + 1;
    }
    match table.newer {
        Some(newer) => {
            if newer > next {
                push(next, default);
            }
            push(newer, Target::Return(RET_ERRNO | ENOSYS));
        }
        None => push(next, default),
    }
    // The first stretch is empty where the first number has a verdict of its own.
    let from = stretches.iter().rposition(|stretch| stretch.start == 0).unwrap_or_default();
    split(stretches.get(from..).unwrap_or_default(), table)
}

fn split(stretches: &[Stretch<'_>], table: &Table) -> Code {
    match stretches {
        [] => vec![statement(RETURN, table.default)],
        [one] => leaf(one.target, table),
        _ => {
            let (left, right) = stretches.split_at(stretches.len() / 2);
            let start = right.first().map(|stretch| stretch.start).unwrap_or_default();
            let mut code = Code::new();
            branch(&mut code, JUMP_GREATER_EQUAL, start, split(right, table));
            code.extend(split(left, table));
            code
        }
    }
}

fn leaf(target: Target<'_>, table: &Table) -> Code {
    match target {
        Target::Return(action) => vec![statement(RETURN, action)],
        Target::Conditions(Verdict::Fixed(action)) => vec![statement(RETURN, *action)],
        Target::Conditions(Verdict::Conditional(list)) => {
            let mut code = Code::new();
            for (conditions, action) in list {
                code.extend(conditional(conditions, *action, table.abi.wide));
            }
            code.push(statement(RETURN, table.default));
            code
        }
    }
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq)]
enum Goal {
    /// The next instruction.
    Next,
    /// The condition holds: behind its last instruction.
    Holds,
    /// It does not: behind the rule's return.
    Fails,
}

/// A comparison with goals in place of distances.
struct Comparison {
    code: u16,
    k: u32,
    yes: Goal,
    no: Goal,
}

/// Returns `action` where all `conditions` hold, and goes on behind otherwise.
fn conditional(conditions: &[Condition], action: u32, wide: bool) -> Code {
    let steps = if wide { steps_of_64 } else { steps_of_32 };
    let blocks: Vec<_> = conditions.iter().map(steps).collect();
    let total: usize = blocks.iter().map(Vec::len).sum();
    let mut code = Code::new();
    for block in blocks {
        let end = code.len() + block.len();
        for step in block {
            let behind = code.len() + 1;
            // Six conditions of at most eight instructions: every distance fits a byte.
            let distance = |goal| match goal {
                Goal::Next => 0,
                Goal::Holds => (end - behind) as u8,
                Goal::Fails => (total + 1 - behind) as u8,
            };
            code.push(match step {
                Step::Plain(instruction) => instruction,
                Step::Compare(c) => {
                    Instruction { code: c.code, jt: distance(c.yes), jf: distance(c.no), k: c.k }
                }
            });
        }
    }
    code.push(statement(RETURN, action));
    code
}

enum Step {
    Plain(Instruction),
    Compare(Comparison),
}

/// The comparisons of one condition, in the making.
struct Steps<'a> {
    condition: &'a Condition,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    fn of(condition: &'a Condition) -> Steps<'a> {
        Steps { condition, steps: Vec::new() }
    }

    /// Loads half of the argument, 0 the low one, and compares it.
    fn compare(&mut self, half: u32, comparisons: &[(u16, u32, Goal, Goal)]) {
        // Little-endian machines alone are compiled for.
        self.steps.push(Step::Plain(statement(LOAD, ARGUMENTS + 8 * self.condition.index + 4 * half)));
        let mask = (self.condition.mask >> (32 * half)) as u32;
        if mask != u32::MAX {
            self.steps.push(Step::Plain(statement(AND, mask)));
        }
        for (code, k, yes, no) in comparisons {
            self.steps.push(Step::Compare(Comparison { code: *code, k: *k, yes: *yes, no: *no }));
        }
    }
}

/// The comparison of the low halves: its code, and where it goes.
fn low_comparison(operator: SeccompOperator) -> (u16, Goal, Goal) {
    use Goal::{Fails, Next};
    match operator {
        SeccompOperator::Equal | SeccompOperator::MaskedEqual => (JUMP_EQUAL, Next, Fails),
        SeccompOperator::NotEqual => (JUMP_EQUAL, Fails, Next),
        SeccompOperator::Greater => (JUMP_GREATER, Next, Fails),
        SeccompOperator::GreaterEqual => (JUMP_GREATER_EQUAL, Next, Fails),
        SeccompOperator::Less => (JUMP_GREATER_EQUAL, Fails, Next),
        SeccompOperator::LessEqual => (JUMP_GREATER, Fails, Next),
    }
}

fn steps_of_32(condition: &Condition) -> Vec<Step> {
    let mut steps = Steps::of(condition);
    let (code, yes, no) = low_comparison(condition.operator);
    steps.compare(0, &[(code, condition.operand as u32, yes, no)]);
    steps.steps
}

/// 64 bits by comparisons of 32: the high half decides unless it is equal.
fn steps_of_64(condition: &Condition) -> Vec<Step> {
    use Goal::{Fails, Holds, Next};
    let (high, low) = ((condition.operand >> 32) as u32, condition.operand as u32);
    let mut steps = Steps::of(condition);
    let decide: &[_] = match condition.operator {
        SeccompOperator::Equal | SeccompOperator::MaskedEqual => &[(JUMP_EQUAL, high, Next, Fails)],
        SeccompOperator::NotEqual => &[(JUMP_EQUAL, high, Next, Holds)],
        SeccompOperator::Greater | SeccompOperator::GreaterEqual => {
            &[(JUMP_GREATER, high, Holds, Next), (JUMP_EQUAL, high, Next, Fails)]
        }
        SeccompOperator::Less | SeccompOperator::LessEqual => {
            &[(JUMP_GREATER, high, Fails, Next), (JUMP_EQUAL, high, Next, Holds)]
        }
    };
    steps.compare(1, decide);
    let (code, yes, no) = low_comparison(condition.operator);
    steps.compare(0, &[(code, low, yes, no)]);
    steps.steps
}
