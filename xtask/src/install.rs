//! Binaries, man pages and completions under a prefix.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{compile, shell::output};

/// `install`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install under this directory.
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
}

/// Builds and installs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let built = compile::release()?;
    let bin = make(&options.prefix.join("bin"))?;
    for name in ["plimsoll", "plimsoll-runtime"] {
        // Beside the old file first: one that is being executed cannot be written.
        let (staged, target) = (bin.join(format!(".{name}.new")), bin.join(name));
        std::fs::copy(built.binary(name), &staged)
            .and_then(|_| std::fs::rename(&staged, &target))
            .with_context(|| format!("install {}", target.display()))?;
        println!("{}", target.display());
    }
    let man = make(&options.prefix.join("share/man/man1"))?;
    clap_mangen::generate_to(plimsoll_cli::args::Arguments::command(), &man).context("write man pages")?;
    let help = output(std::process::Command::new(built.binary("plimsoll-runtime")).arg("--help"))?;
    std::fs::write(man.join("plimsoll-runtime.1"), runtime_page(&help)).context("write a man page")?;
    println!("{}/*.1", man.display());
    for (shell, place) in [
        (Shell::Bash, "share/bash-completion/completions"),
        (Shell::Zsh, "share/zsh/site-functions"),
        (Shell::Fish, "share/fish/vendor_completions.d"),
    ] {
        let place = make(&options.prefix.join(place))?;
        let mut command = plimsoll_cli::args::Arguments::command();
        let path = clap_complete::generate_to(shell, &mut command, "plimsoll", place)
            .context("write completions")?;
        println!("{}", path.display());
    }
    Ok(())
}

fn make(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir.to_owned())
}

/// The runtime's own help as a page: one source for both.
fn runtime_page(help: &str) -> String {
    let text = help.replace('\\', "\\\\").replace('-', "\\-");
    format!(
        ".TH plimsoll\\-runtime 1\n.SH NAME\nplimsoll\\-runtime \\- an OCI runtime with the command line of runc\n\
         .SH DESCRIPTION\n.nf\n{text}.fi\n.SH SEE ALSO\nplimsoll(1), runc(8)\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn dashes_of_options_stay_dashes() {
        assert!(super::runtime_page("  --root DIR\n").contains("\\-\\-root DIR\n"));
    }
}
