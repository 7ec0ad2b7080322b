//! What was typed behind the verbs of `conformance` that sign and check.

use std::path::PathBuf;

use clap::Args;

use super::Manner;

/// `conformance keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Write the secret key here, in PKCS#8, and the public one beside it as FILE.pub.
    pub file: PathBuf,
}

/// `conformance attest`.
#[derive(Debug, Args)]
pub struct Attest {
    /// The file that `run -o` has written.
    pub results: PathBuf,
    /// Sign with this key.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Write the certificate to this folder, an OCI layout.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The manifest of the image that was judged, for the certificate to refer to.
    #[arg(long, value_name = "FILE")]
    pub image_manifest: Option<PathBuf>,
}

/// `conformance countersign`.
#[derive(Debug, Args)]
pub struct Countersign {
    /// The certificate's folder.
    pub certificate: PathBuf,
    /// Sign with this key.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Check the submitter's signature first, by these keys.
    #[arg(long, value_name = "DIR", requires = "subject")]
    pub keys: Option<PathBuf>,
    /// Check first that the certificate is about this file.
    #[arg(long, value_name = "FILE", requires = "keys")]
    pub subject: Option<PathBuf>,
}

/// `conformance verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The certificate's folder.
    #[arg(required_unless_present = "pr", requires_all = ["subject", "keys"])]
    pub certificate: Option<PathBuf>,
    /// Look at a submission instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["certificate", "rerun"])]
    pub pr: Option<PathBuf>,
    /// The artefact that is to be certified: a runtime's program, or an image's manifest.
    #[arg(long, value_name = "FILE")]
    pub subject: Option<PathBuf>,
    /// Trust the public keys in DIR/submitters and DIR/reviewers, and the suites that DIR/suites lists.
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Ask about this day, as 2026-01-31; the default is today.
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// Run the suite again, in the manner that is named, and compare.
    #[arg(long)]
    pub rerun: bool,
    /// With --rerun: the command line of an unpacker, converter, copier or adapter of digests that is not one of
    /// the known ones. It has to be that of the stored run, and the program in it the one that was judged.
    #[arg(long, value_name = "COMMAND", requires = "rerun")]
    pub command: Option<String>,
    /// With --rerun; it has to be the manner of the stored run.
    #[command(flatten, next_help_heading = "Manner of --rerun")]
    pub manner: Manner,
}

/// `conformance submit`.
#[derive(Debug, Args)]
pub struct Submit {
    /// The file that `run -o` has written.
    pub results: PathBuf,
    /// What the product is called and where more is said of it.
    #[arg(long, value_name = "PRODUCT.yaml")]
    pub product: PathBuf,
    /// Sign with this key.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Lay the submission out below this folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
