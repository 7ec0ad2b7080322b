//! The verbs about images: `images`, `import`, `rmi`, `inspect`, `unpack`, `bundle`.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::HumanBytes;
use plimsoll_image::bundle::Overrides;
use plimsoll_image::{Beside, Image, Kind};
use plimsoll_spec::json::{self, At, Value, Wire as _, wire_object};
use plimsoll_spec::runtime::Config;
use rustix::fs::{Mode, OFlags};

use crate::args::{Bundle, Format, Import, Inspect, Listing, Rmi, Unpack};
use crate::container::Container;
use crate::context::{Context, EMBEDDED_NAME, source};
use crate::output::{Done, each, object, print, print_json, print_names, print_table, text};

use super::{options, ps, run};

pub(super) fn images(context: &Context, verb: Listing) -> Result<ExitCode> {
    let images = context.store.images()?;
    if verb.quiet {
        return print_names(context.format, images.keys());
    }
    let mut found = Vec::new();
    for (name, descriptor) in images {
        found.push((name, context.store.image(&descriptor)?));
    }
    match context.format {
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
    match context.format {
        Format::Json => print_json(&as_json(&name, &imported.image)),
        Format::Table => print(&format!("{name} {}\n", imported.image.descriptor.digest)),
    }
}

wire_object! {
    /// What went with the name of an image.
    #[derive(Default)]
    pub struct Removed {
        /// The name.
        pub name: String = "name" required,
        /// Blobs.
        pub blobs: u64 = "blobs" required,
        /// Bytes of these blobs.
        pub bytes: u64 = "bytes" required,
        /// Unpacked layers.
        pub layers: u64 = "layers" required,
    }
}

pub(super) fn rmi(context: &Context, verb: &Rmi) -> Result<ExitCode> {
    each(context.format, &verb.images, |name| {
        let value = context.remove_trees(|| {
            context.resolve(name)?;
            let swept = context.store.remove(name)?;
            let (blobs, layers) = (swept.blobs as u64, swept.layers as u64);
            let removed =
                Removed { name: name.to_owned(), blobs, bytes: swept.bytes, layers, ..Removed::default() };
            Ok(removed.encode())
        })?;
        let Removed { blobs, bytes, layers, .. } = Removed::decode(value.clone(), &At::ROOT)?;
        let line = format!("removed {name}: {blobs} blobs ({}), {layers} layers", HumanBytes(bytes));
        Ok(Done { value, line })
    })
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
            let missing = |e: plimsoll_image::Error| match e.kind() {
                Kind::NotFound => anyhow!(
                    "there is no container and no image {:?}; `plimsoll ps --all` and `plimsoll images` list what there is",
                    verb.name
                ),
                _ => e.into(),
            };
            let image = context.store.image(&context.store.resolve(&verb.name).map_err(missing)?)?;
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
    let made = context.make_tree(|| {
        let _lease = context.store.share()?;
        let image = context.image(&verb.image, verb.platform.as_deref())?;
        run::with_progress(context, &image, |options| {
            Ok(plimsoll_image::snapshot::unpack(&context.store, &image, &verb.directory, options)?)
        })?;
        made(&verb.image, &image, &verb.directory)
    })?;
    print_made(context, &made)
}

pub(super) fn bundle(context: &Context, verb: &Bundle) -> Result<ExitCode> {
    let directory = &verb.directory;
    // Before the work; what comes to stand there meanwhile is refused in the end.
    if directory.symlink_metadata().is_ok() {
        bail!("make the bundle {}: File exists; it must not exist yet", directory.display());
    }
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or("bundle");
    let overrides = options::overrides(context, name, &verb.options, &verb.args)?;
    let made = context.make_tree(|| make_bundle(context, verb, &overrides))?;
    print_made(context, &made)
}

/// Makes the bundle beside its place, where it appears when it is complete.
fn make_bundle(context: &Context, verb: &Bundle, overrides: &Overrides) -> Result<Value> {
    let _lease = context.store.share()?;
    let image = context.image(&verb.image, verb.options.platform.as_deref())?;
    let beside = run::with_progress(context, &image, |options| {
        let beside = Beside::new(&verb.directory)?;
        plimsoll_image::snapshot::unpack(&context.store, &image, &beside.path().join("rootfs"), options)?;
        Ok(beside)
    })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let rootfs = beside.path().join("rootfs");
    let root = rustix::fs::open(&rootfs, flags, Mode::empty()).context("open the root file system")?;
    let config = run::configure(&image, &verb.options, overrides, root.as_fd())?;
    run::write_config(&beside.path(), &config)?;
    run::write_volumes(&image, overrides, root.as_fd(), beside.directory().as_fd())?;
    beside.show_new()?;
    made(&verb.image, &image, &verb.directory)
}

fn made(name: &str, image: &Image, directory: &Path) -> Result<Value> {
    let directory =
        std::path::absolute(directory).with_context(|| format!("find {}", directory.display()))?;
    Ok(object([
        ("image", text(name)),
        ("digest", text(image.descriptor.digest.as_str())),
        ("directory", text(directory.to_string_lossy())),
    ]))
}

/// Says what was made to a program; people see it.
fn print_made(context: &Context, made: &Value) -> Result<ExitCode> {
    match context.format {
        Format::Json => print_json(made),
        Format::Table => Ok(ExitCode::SUCCESS),
    }
}
