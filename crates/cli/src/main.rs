//! `plimsoll`: runs containers from OCI images.

fn main() -> std::process::ExitCode {
    plimsoll_cli::run(std::env::args_os())
}
