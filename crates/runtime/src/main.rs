//! `plimsoll-runtime`: an OCI runtime with the command line of runc.

fn main() -> std::process::ExitCode {
    plimsoll_runtime::run(std::env::args_os())
}
