//! The filter compiler: against libseccomp, against a plain reading of the rules, and in the kernel.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plimsoll_runtime::security::seccomp::compile;
use plimsoll_spec::json::{Value, from_slice};
use plimsoll_spec::runtime::{Seccomp, SeccompArch, seccomp_profile};
use plimsoll_sys::seccomp::Instruction;
use plimsoll_test_support::{Need, have, skipped};
use proptest::prelude::*;
use serde_json::json;

use crate::Sandbox;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// Runs `program` on one call, as the kernel would.
fn evaluate(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0u32; 16];
    (data[0], data[1]) = (number, arch);
    for (i, arg) in args.iter().enumerate() {
        (data[4 + 2 * i], data[5 + 2 * i]) = (*arg as u32, (*arg >> 32) as u32);
    }
    let (mut at, mut accumulator) = (0usize, 0u32);
    for _ in 0..program.len() {
        let Instruction { code, jt, jf, k } = program[at];
        let jump = |holds: bool| 1 + usize::from(if holds { jt } else { jf });
        at += match code {
            0x20 => {
                accumulator = data[k as usize / 4];
                1
            }
            0x54 => {
                accumulator &= k;
                1
            }
            0x05 => 1 + k as usize,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x45 => jump(accumulator & k != 0),
            0x06 => return k,
            other => panic!("an instruction nobody wrote: {other:#x}"),
        };
    }
    panic!("the program does not end");
}

/// A program of libseccomp's for the same rules; `None` where it is not to be had.
fn oracle(filter: &Seccomp, dir: &std::path::Path) -> Option<Vec<Instruction>> {
    let binary: PathBuf = dir.join("oracle");
    if !binary.exists() {
        let source = dir.join("oracle.c");
        std::fs::write(&source, include_str!("oracle.c")).unwrap();
        let built =
            Command::new("gcc").args(["-o"]).arg(&binary).arg(&source).arg("-lseccomp").output().ok()?;
        if !built.status.success() {
            return None;
        }
    }
    let code = |action: &str, errno: Option<u32>| match action {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => ERRNO | errno.unwrap_or(1),
        other => panic!("no such action in these tests: {other}"),
    };
    let default = code(filter.default_action.as_str(), filter.default_errno_ret);
    let mut text = format!("default {default}\n");
    for arch in &filter.architectures {
        match arch {
            SeccompArch::X86 => text.push_str(&format!("arch {X86}\n")),
            SeccompArch::X32 => text.push_str("arch 1073741886\n"),
            _ => {}
        }
    }
    for rule in &filter.syscalls {
        let action = code(rule.action.as_str(), rule.errno_ret);
        for name in rule.names.iter().filter(|_| action != default) {
            text.push_str(&format!("rule {action} {name} {}", rule.args.len()));
            for arg in &rule.args {
                let operator = 1 + ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
                    .iter()
                    .position(|short| arg.op.as_str() == format!("SCMP_CMP_{short}"))
                    .unwrap();
                text.push_str(&format!(" {} {operator} {} {}", arg.index, arg.value, arg.value_two));
            }
            text.push('\n');
        }
    }
    let mut child = Command::new(binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let instruction = |bytes: &[u8]| Instruction {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    Some(output.stdout.chunks_exact(8).map(instruction).collect())
}

/// Argument lists that stand on both sides of every comparison of the profiles.
fn samples(filter: &Seccomp) -> Vec<[u64; 6]> {
    let mut values = vec![0, 1, u64::MAX];
    for arg in filter.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [arg.value, arg.value_two] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value | 1 << 32]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values.into_iter().map(|value| [value, value, 0, 0, 0, 0]).collect()
}

/// What libseccomp itself can know: calls that are newer than it are no evidence.
const KNOWN_TO_ORACLE: u32 = 441;

fn agrees(filter: &Seccomp) {
    let dir = tempfile::tempdir().unwrap();
    let Some(want) = oracle(filter, dir.path()) else {
        return skipped("libseccomp cannot be compiled against");
    };
    let got = compile(filter).unwrap().program;
    let samples = samples(filter);
    for arch in [X86_64, X86, 0xc000_00b7] {
        for number in (0..KNOWN_TO_ORACLE).flat_map(|number| [number, number | 0x4000_0000]) {
            // The bit of x32 has a meaning on one architecture only.
            if arch != X86_64 && number & 0x4000_0000 != 0 {
                continue;
            }
            // Behind the multiplexers libseccomp forgets conditions; there this compiler refuses instead.
            if arch == X86 && matches!(number, 102 | 117) {
                continue;
            }
            // A hole of this architecture that newer kernels have begun to fill.
            if arch == X86_64 && matches!(number & 0x3fff_ffff, 335..424) {
                continue;
            }
            for args in &samples {
                let (want, got) = (evaluate(&want, arch, number, *args), evaluate(&got, arch, number, *args));
                assert_eq!(got, want, "arch {arch:#x} number {number:#x} args {args:x?}");
            }
        }
    }
}

#[test]
fn dockers_profile_has_libseccomps_verdicts() {
    if cfg!(target_arch = "x86_64") && have(&[Need::Program("gcc")]) {
        agrees(&seccomp_profile::docker_default(&["CAP_CHOWN", "CAP_SYS_CHROOT"]));
        agrees(&seccomp_profile::docker_default(&["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]));
    }
}

#[test]
fn rules_of_every_operator_have_libseccomps_verdicts() {
    if !(cfg!(target_arch = "x86_64") && have(&[Need::Program("gcc")])) {
        return;
    }
    for (i, operator) in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].iter().enumerate() {
        let arg = |value: u64| json!([{"index": i % 2, "op": format!("SCMP_CMP_{operator}"), "value": value, "valueTwo": 0x10}]);
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": arg(0x1_0000_0010)},
                {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": arg(0x10)},
            ],
        });
        agrees(&from_slice(filter.to_string().as_bytes()).unwrap());
    }
}

#[test]
fn a_call_newer_than_the_filter_is_absent() {
    let program = compile(&seccomp_profile::docker_default(&[])).unwrap().program;
    assert_eq!(evaluate(&program, X86_64, 2000, [0; 6]), ERRNO | 38);
    // bpf is known and refused; clone3 pretends to be absent.
    assert_eq!(evaluate(&program, X86_64, 321, [0; 6]), ERRNO | 1);
    assert_eq!(evaluate(&program, X86_64, 435, [0; 6]), ERRNO | 38);
    let allowing = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]});
    let program = compile(&from_slice(allowing.to_string().as_bytes()).unwrap()).unwrap().program;
    assert_eq!(evaluate(&program, X86_64, 2000, [0; 6]), ALLOW);
    assert_eq!(evaluate(&program, X86_64, 0x4000_0000 | 321, [0; 6]), 0);
    assert_eq!(evaluate(&program, 0x4000_0028, 1, [0; 6]), 0);
}

#[test]
fn the_profile_in_dockers_form_means_the_same() {
    let file = "/usr/share/containers/seccomp.json";
    let Ok(text) = std::fs::read(file) else { return skipped(&format!("{file} is not there")) };
    let value: Value = from_slice(&text).unwrap();
    let filter = seccomp_profile::from_docker(&value, &["CAP_CHOWN"], (6, 1)).unwrap();
    assert!(filter.architectures.contains(&SeccompArch::X86_64) || cfg!(not(target_arch = "x86_64")));
    agrees(&filter);
    let program = compile(&filter).unwrap().program;
    assert_eq!(evaluate(&program, X86_64, 1, [0; 6]), ALLOW);
    assert_eq!(evaluate(&program, X86_64, 161, [0; 6]), ERRNO | 1, "chroot without its capability");
    let filter = seccomp_profile::from_docker(&value, &["CAP_SYS_CHROOT"], (6, 1)).unwrap();
    assert_eq!(evaluate(&compile(&filter).unwrap().program, X86_64, 161, [0; 6]), ALLOW);
}

#[test]
fn what_is_wrong_is_named() {
    let rows = [
        (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "/defaultAction is not supported yet"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}),
            "/listenerPath is not supported yet",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}),
            "/syscalls/0/names is empty",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 65536}]}),
            "/syscalls/0/action has an errno that does not fit 16 bits: 65536",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
            "/syscalls/0/args/0/index is above 5: 6",
        ),
    ];
    for (filter, want) in rows {
        let error = compile(&from_slice(filter.to_string().as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), format!("config.json: /linux/seccomp{want}"));
    }
}

#[test]
fn the_kernel_refuses_what_the_filter_refuses() {
    for no_new_privileges in [false, true] {
        let script = "mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status; id -u";
        let Some(mut sandbox) = Sandbox::new("seccomp", script) else { return };
        sandbox.bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        sandbox.bundle.config["root"]["readonly"] = json!(false);
        sandbox.bundle.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}],
        });
        assert_eq!(
            sandbox.run(),
            "mkdir: can't create directory '/tmp/x': Disk quota exceeded\nSeccomp:\t2\n0\n"
        );
    }
}

#[test]
fn a_process_that_is_added_is_filtered_too() {
    let Some(mut sandbox) = Sandbox::new("seccompexec", "exec sleep 1000") else { return };
    sandbox.bundle.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]});
    sandbox.must(&["run", "-d", "ID"]);
    assert_eq!(sandbox.must(&["exec", "ID", "grep", "Seccomp:", "/proc/self/status"]), "Seccomp:\t2\n");
}

proptest! {
    /// One rule with random conditions: the program decides as the words of the rule do.
    #[test]
    fn conditions_mean_what_they_say(
        conditions in prop::collection::vec((0u32..6, 0usize..7, any::<u64>(), any::<u64>()), 1..4),
        near in prop::collection::vec((0usize..4, -1i64..2), 6),
    ) {
        const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
        let mut seen = std::collections::BTreeSet::new();
        let conditions: Vec<_> = conditions.into_iter().filter(|condition| seen.insert(condition.0)).collect();
        let list: Vec<_> = conditions.iter().map(|(index, operator, value, two)| {
            json!({"index": index, "op": format!("SCMP_CMP_{}", OPERATORS[*operator]), "value": value, "valueTwo": two})
        }).collect();
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": list}]});
        let program = compile(&from_slice(filter.to_string().as_bytes()).unwrap()).unwrap().program;
        // Values near those of the conditions, whole or in one half.
        let mut args = [0u64; 6];
        for (index, _, value, two) in &conditions {
            let (half, step) = near[*index as usize];
            args[*index as usize] = match half {
                0 => value.wrapping_add_signed(step),
                1 => *two,
                2 => (value & 0xffff_ffff) | two << 32,
                _ => (two & 0xffff_ffff) | (value >> 32) << 32,
            };
        }
        let holds = conditions.iter().all(|(index, operator, value, two)| {
            let arg = args[*index as usize];
            match OPERATORS[*operator] {
                "NE" => arg != *value,
                "LT" => arg < *value,
                "LE" => arg <= *value,
                "EQ" => arg == *value,
                "GE" => arg >= *value,
                "GT" => arg > *value,
                _ => arg & value == *two,
            }
        });
        let want = if holds { ERRNO | 1 } else { ALLOW };
        prop_assert_eq!(evaluate(&program, X86_64, 0, args), want);
        prop_assert_eq!(evaluate(&program, X86_64, 1, args), ALLOW);
    }
}
