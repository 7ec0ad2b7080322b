//! The verbs about images: `images`, `import`, `rmi`, `inspect`, `unpack`, `bundle`.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use indicatif::HumanBytes;
use plimsoll_image::{Beside, Image, Kind};
use plimsoll_spec::json::{self, Value, Wire as _};
use plimsoll_spec::runtime::Config;
use rustix::fs::{Mode, OFlags};

use crate::args::{Bundle, Format, Import, Inspect, Listing, Rmi, Unpack};
use crate::container::Container;
use crate::context::{Context, EMBEDDED_NAME, source};
use crate::output::{object, print, print_json, print_table, text};

use super::{ps, run};

pub(super) fn images(context: &Context, verb: Listing) -> Result<ExitCode> {
    let images = context.store.images()?;
    if verb.quiet {
        return print(&images.keys().map(|name| format!("{name}\n")).collect::<String>());
    }
    let mut found = Vec::new();
    for (name, descriptor) in images {
        found.push((name, context.store.image(&descriptor)?));
    }
    match verb.format {
        Format::Json => {
            print_json(&Value::Array(found.iter().map(|(name, image)| as_json(name, image)).collect()))
        }
        Format::Table => {
            let row = |(name, image): &(String, Image)| {
                let size = HumanBytes(size(image)).to_string();
                vec![name.clone(), image.descriptor.digest.short().to_owned(), platform(image), size]
            };
            print_table(&["NAME", "DIGEST", "PLATFORM", "SIZE"], found.iter().map(row).collect())
        }
    }
}

/// Bytes of the blobs.
fn size(image: &Image) -> u64 {
    let blobs = image.layers.iter().map(|layer| layer.descriptor.size);
    blobs.chain([image.descriptor.size, image.manifest.config.size]).sum()
}

fn platform(image: &Image) -> String {
    let variant = image.config.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", image.config.os, image.config.architecture)
}

fn as_json(name: &str, image: &Image) -> Value {
    object([
        ("name", text(name)),
        ("digest", text(image.descriptor.digest.as_str())),
        ("id", text(image.id().as_str())),
        ("platform", text(platform(image))),
        ("size", Value::Unsigned(size(image))),
    ])
}

pub(super) fn import(context: &Context, verb: &Import) -> Result<ExitCode> {
    let Some(from) = source(&verb.source)? else {
        bail!(
            "{:?} is no source; use oci:DIR, oci-archive:FILE, docker-archive:FILE or {EMBEDDED_NAME}",
            verb.source
        )
    };
    let lease = context.store.share()?;
    let imported = context.import(&from, verb.platform.as_deref())?;
    let name = verb.name.clone().or(imported.name);
    let name = name.context("the source has no name for the image; give one behind it")?;
    context.store.tag(&name, &imported.image.descriptor)?;
    drop(lease);
    match verb.format {
        Format::Json => print_json(&as_json(&name, &imported.image)),
        Format::Table => print(&format!("{name} {}\n", imported.image.descriptor.digest)),
    }
}

pub(super) fn rmi(context: &Context, verb: &Rmi) -> Result<ExitCode> {
    for name in &verb.images {
        let swept = context.store.remove(name)?;
        print(&format!(
            "removed {name}: {} blobs ({}), {} layers\n",
            swept.blobs,
            HumanBytes(swept.bytes),
            swept.layers
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn inspect(context: &Context, verb: &Inspect) -> Result<ExitCode> {
    match context.store.snapshot(&verb.name) {
        Ok(snapshot) => {
            let bundle = snapshot.bundle();
            let container = Container::read(&bundle)?;
            let status = ps::statuses(context)?.remove(&verb.name).unwrap_or_else(|| "stopped".to_owned());
            let config =
                std::fs::read(bundle.join("config.json")).context("read the container's configuration")?;
            let config: Config = json::from_slice(&config).context("parse the container's configuration")?;
            print_json(&object([
                ("container", ps::as_json(&container, &status)),
                ("bundle", text(bundle.to_string_lossy())),
                ("exitCode", container.exit_code.encode()),
                ("config", config.encode()),
            ]))
        }
        Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Invalid) => {
            let missing = || format!("find a container or an image called {:?}", verb.name);
            let image = context.store.image(&context.store.resolve(&verb.name).with_context(missing)?)?;
            print_json(&object([
                ("image", as_json(&verb.name, &image)),
                ("descriptor", image.descriptor.encode()),
                ("manifest", image.manifest.encode()),
                ("config", image.config.encode()),
            ]))
        }
        Err(e) => Err(e.into()),
    }
}

pub(super) fn unpack(context: &Context, verb: &Unpack) -> Result<ExitCode> {
    let _lease = context.store.share()?;
    let image = context.image(&verb.image, verb.platform.as_deref())?;
    run::with_progress(&image, |options| {
        Ok(plimsoll_image::snapshot::unpack(&context.store, &image, &verb.directory, options)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn bundle(context: &Context, verb: &Bundle) -> Result<ExitCode> {
    let _lease = context.store.share()?;
    let image = context.image(&verb.image, verb.options.platform.as_deref())?;
    let directory = &verb.directory;
    // Before the work; what comes to stand there meanwhile is refused in the end.
    if directory.symlink_metadata().is_ok() {
        bail!("make the bundle {}: File exists", directory.display());
    }
    let beside = run::with_progress(&image, |options| {
        let beside = Beside::new(directory)?;
        plimsoll_image::snapshot::unpack(&context.store, &image, &beside.path().join("rootfs"), options)?;
        Ok(beside)
    })?;
    let rootfs = beside.path().join("rootfs");
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or("bundle");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&rootfs, flags, Mode::empty()).context("open the root file system")?;
    let config = run::configure(name, &image, &verb.options, &verb.args, root.as_fd())?;
    run::write_config(&beside.path(), &config)?;
    beside.show_new()?;
    Ok(ExitCode::SUCCESS)
}
