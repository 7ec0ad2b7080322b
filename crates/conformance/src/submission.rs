//! A submission to OCI's certification program: the folder that it asks for, and the look that a reviewer's
//! program takes at one.
//!
//! `SPECIFICATION/vX.Y/PRODUCT/` holds `README.md`, `PRODUCT.yaml`, `results.json`, `report.html`, `junit.xml`
//! and, where it is signed, `certificate/`. What can be made again from the results is made again and compared.

mod product;
mod review;

use std::path::{Path, PathBuf};

use crate::certificate::{Certificate, SecretKey, specification};
use crate::day::Day;
use crate::error::{Context as _, Error, Kind, Result};
use crate::report::{Format, render};
use crate::requirement::Registry;
use crate::results::Results;

pub use product::Product;
pub use review::{Glass, Label, Tone, review};

/// The files of a submission.
const README: &str = "README.md";
const PRODUCT: &str = "PRODUCT.yaml";
const RESULTS: &str = "results.json";
const REPORT: &str = "report.html";
const JUNIT: &str = "junit.xml";
const CERTIFICATE: &str = "certificate";

/// `1.3` of `1.3.0`.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Lays out a submission of `results` below `out`, signed where there is a `key`; the folder that was made.
///
/// `product` is the text of `PRODUCT.yaml`, which is kept as it is.
///
/// # Errors
/// [`Kind::Request`] where the product or the results cannot be submitted, with a sentence for every reason;
/// [`Kind::Environment`] where the folder is there already or cannot be written.
pub fn submit(
    results: &Results,
    product: &[u8],
    key: Option<&SecretKey>,
    out: &Path,
    registry: &Registry,
) -> Result<PathBuf> {
    let parsed = Product::parse(product)?;
    let faults = parsed.faults();
    if !faults.is_empty() {
        return Err(Error::new(Kind::Request, format!("submit: {PRODUCT}: {}", faults.join("; "))));
    }
    let certificate = match key {
        Some(key) => Some(Certificate::issue(results, Day::today(), key, registry, None)?),
        None => None,
    };
    let place = out
        .join(specification(&results.subject.kind))
        .join(format!("v{}", minor(results.spec())))
        .join(parsed.slug());
    let context = || format!("write the submission {}", place.display());
    std::fs::create_dir_all(place.parent().unwrap_or(out)).context(context)?;
    std::fs::create_dir(&place).context(context)?;
    let files: [(&str, Vec<u8>); 5] = [
        (README, readme(&parsed, results).into_bytes()),
        (PRODUCT, product.to_vec()),
        (RESULTS, results.to_vec()),
        (REPORT, render(results, registry, Format::Html).into_bytes()),
        (JUNIT, render(results, registry, Format::Junit).into_bytes()),
    ];
    for (name, content) in files {
        std::fs::write(place.join(name), content).context(context)?;
    }
    if let Some(certificate) = certificate {
        certificate.write(&place.join(CERTIFICATE))?;
    }
    Ok(place)
}

/// How to make the results again.
fn readme(product: &Product, results: &Results) -> String {
    use crate::report::escape::{code, line, word};
    let of = |name: &str| results.environment.get(name).map_or("", String::as_str);
    let mut command = format!("plimsoll conformance run RUNTIME --spec {}", word(&line(results.spec())));
    if of("cgroupDriver") == "systemd" {
        command.push_str(" --cgroup-driver systemd");
    }
    if of("cgroup") == "v2" {
        command.push_str(" --only-cgroup2");
    }
    let environment: Vec<String> = results
        .environment
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("| {} | {} |\n", code(name), code(value)))
        .collect();
    format!(
        "# Conformance of {} {}\n\n\
         The subject is {} with the digest {}.\n\n\
         ## To reproduce\n\n\
         Take suite {} (program {}, registry {}) and run, as {}:\n\n```sh\n{command} -o results.json\n\
         plimsoll conformance diff THIS/results.json results.json\n```\n\n\
         `RUNTIME` is the subject. The first run took place on {} in this environment:\n\n\
         | | |\n|---|---|\n{}\n\
         ## To check\n\n```sh\nplimsoll conformance verify --pr . --keys KEYS\n\
         plimsoll conformance verify certificate --subject RUNTIME --keys KEYS\n```\n",
        code(product.field("name")),
        code(product.field("version")),
        code(&results.subject.version),
        code(&results.subject.digest),
        code(&results.suite.version),
        code(&results.suite.binary),
        code(&results.suite.registry),
        if of("user") == "root" { "root" } else { "an ordinary user" },
        code(results.settings.get("started").map_or("", String::as_str)),
        environment.concat(),
    )
}

#[cfg(test)]
mod tests;
