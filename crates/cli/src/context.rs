//! Where things are: the store, the runtime and its state, and who may write trees.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use plimsoll_image::platform::PlatformSpec;
use plimsoll_image::snapshot::Mode;
use plimsoll_image::source::{Source, import};
use plimsoll_image::{Image, Kind, Store};
use plimsoll_spec::image::{Descriptor, Platform};
use plimsoll_spec::json::Value;

use crate::args::{Arguments, Format};
use crate::output::note;
use crate::progress::Transfer;
use crate::trees::Trees;

/// The image that was built into this program, as an OCI archive; empty in a build without one.
const EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/embedded.tar"));
/// What the embedded image is called.
pub(crate) const EMBEDDED_NAME: &str = "embedded";

/// What every verb needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub store: Store,
    pub format: Format,
    runtime: Option<PathBuf>,
    trees: OnceCell<Trees>,
}

impl Context {
    pub(crate) fn new(arguments: &Arguments) -> Result<Context> {
        let root = arguments.root.clone().map_or_else(default_root, Ok)?;
        // A relative path would mean another place in a bundle's directory.
        let root = std::path::absolute(&root).with_context(|| format!("find {}", root.display()))?;
        Context::of(&root, arguments.format, arguments.runtime.clone())
    }

    fn of(root: &Path, format: Format, runtime: Option<PathBuf>) -> Result<Context> {
        let store = Store::open(root).context("use the store; --root names another place")?;
        Ok(Context { store, format, runtime, trees: OnceCell::new() })
    }

    /// This user's way to trees, found when it is asked for first.
    pub(crate) fn trees(&self) -> &Trees {
        self.trees.get_or_init(Trees::of_this_user)
    }

    /// Makes a tree by `work`, which writes files of whatever owner; tells the user where that cannot be.
    pub(crate) fn make_tree(&self, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        self.note_single();
        self.within(work)
    }

    /// Makes a tree by `work`, which mounts it where the runtime will find it: in this mount namespace, or in the
    /// one that [`Trees::joined`] names, where the store is opened anew.
    pub(crate) fn mount_tree(&self, work: impl FnOnce(&Context) -> Result<Value>) -> Result<Value> {
        self.note_single();
        if !self.joins() {
            return self.within(|| work(self));
        }
        self.trees()
            .within_mounts(|| work(&Context::of(self.store.path(), self.format, self.runtime.clone())?))
    }

    /// Whether containers join the namespaces of their trees. That is left to the runtime that is known to
    /// change the root in a mount namespace which it joins, as some others do not.
    pub(crate) fn joins(&self) -> bool {
        self.runtime.is_none() && self.trees().have_namespace()
    }

    /// How containers get their trees.
    pub(crate) fn mode(&self) -> Result<Mode> {
        let mounts = self.joins() || self.trees().rootless.is_none();
        if mounts { Ok(self.store.best_mode()?) } else { Ok(Mode::Plain) }
    }

    fn note_single(&self) {
        if let Some(why) = &self.trees().single {
            note(self.format, &format!("every file of the image becomes yours, because {why}"));
        }
    }

    /// Removes by `work` what is in the store, which may be files of whatever owner.
    pub(crate) fn remove_trees(&self, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let done = self.within(work);
        match &self.trees().single {
            // Files of others are there from a time when it was otherwise.
            Some(why) => done.map_err(|e| if is_denied(&e) { e.context(why.clone()) } else { e }),
            None => done,
        }
    }

    fn within(&self, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let trees = self.trees();
        trees.within(|| {
            if trees.have_namespace() {
                // What was written in such a namespace, nobody outside could remove.
                self.store.clear()?;
            }
            work()
        })
    }

    /// A command of the runtime for the containers of this store.
    pub(crate) fn runtime(&self) -> Result<Command> {
        let program = match &self.runtime {
            Some(program) => named_runtime(program)?,
            None => find_runtime()?,
        };
        let mut command = Command::new(program);
        command.arg("--root").arg(self.store.path().join("runtime"));
        Ok(command)
    }

    /// The image that `text` names, imported first where it is a source.
    pub(crate) fn image(&self, text: &str, platform: Option<&str>) -> Result<Image> {
        match source(text)? {
            Some(source) => Ok(self.import(&source, platform)?.image),
            None => Ok(self.store.image(&self.resolve(text)?)?),
        }
    }

    /// What the image's `name` stands for; what to do, where it stands for nothing.
    pub(crate) fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.store.resolve(name).map_err(|e| match e.kind() {
            Kind::NotFound => anyhow!(
                "there is no image {name:?}; `plimsoll images` lists what there is, `plimsoll import` brings more"
            ),
            _ => e.into(),
        })
    }

    /// Copies the image of `source` into the store, showing progress.
    pub(crate) fn import(
        &self,
        source: &Source,
        platform: Option<&str>,
    ) -> Result<plimsoll_image::source::Imported> {
        let wanted = platform.map_or_else(|| Ok(PlatformSpec::host()), PlatformSpec::parse)?;
        let mut transfer = Transfer::new(self.format);
        let imported = import(source, &self.store, &wanted, &mut |event| transfer.show(event));
        transfer.finish();
        let imported = imported.context("import the image")?;
        // An image that is alone in its source is taken as it is, unless somebody asked for another.
        let own = platform_of(&imported.image);
        if let Some(asked) = platform
            && wanted.rank(&own).is_none()
        {
            bail!("the image is for {}/{}, not {asked}", own.os, own.architecture);
        }
        Ok(imported)
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
}

/// What `image` says that it is for.
fn platform_of(image: &Image) -> Platform {
    let config = &image.config;
    Platform {
        architecture: config.architecture.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        os_features: config.os_features.clone(),
        variant: config.variant.clone(),
        ..Platform::default()
    }
}

/// The source that `text` is, if it is one rather than a name.
pub(crate) fn source(text: &str) -> Result<Option<Source>> {
    if text == EMBEDDED_NAME {
        if EMBEDDED.is_empty() {
            bail!("this program was built without an embedded image; `cargo xtask build` builds one with it");
        }
        return Ok(Some(Source::Embedded { archive: EMBEDDED, reference: None }));
    }
    let known = ["oci:", "oci-archive:", "docker-archive:"].iter().any(|prefix| text.starts_with(prefix));
    Ok(if known { Some(Source::parse(text)?) } else { None })
}

fn default_root() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/plimsoll"));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    let data = data
        .or_else(home)
        .context("find a place for images: neither --root, XDG_DATA_HOME nor HOME is set")?;
    Ok(data.join("plimsoll"))
}

fn named_runtime(program: &Path) -> Result<PathBuf> {
    let found = match program.to_str().filter(|name| !name.contains('/')) {
        Some(name) => on_path(name),
        None => program.is_file().then(|| program.to_owned()),
    };
    found.with_context(|| {
        format!("there is no runtime {}; --runtime or PLIMSOLL_RUNTIME names it", program.display())
    })
}

/// The runtime where none is named.
pub(crate) fn find_runtime() -> Result<PathBuf> {
    const NAME: &str = "plimsoll-runtime";
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(NAME));
    beside
        .filter(|place| place.is_file())
        .or_else(|| on_path(NAME))
        .context("find plimsoll-runtime beside this program or on PATH; --runtime names another")
}

/// The file that the program `name` is on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|place| place.is_file())
}
