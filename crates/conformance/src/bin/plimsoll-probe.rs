//! `plimsoll-probe`: reports facts from inside a container, and stands witness as a hook.

fn main() -> std::process::ExitCode {
    plimsoll_conformance::probe::main(std::env::args_os())
}
