//! Takes the image that is to be embedded from where the environment says, or none.

use std::path::Path;

fn main() -> std::io::Result<()> {
    const VARIABLE: &str = "PLIMSOLL_EMBEDDED_IMAGE";
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let out = std::env::var_os("OUT_DIR").ok_or(std::io::ErrorKind::NotFound)?;
    let target = Path::new(&out).join("embedded.tar");
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(image) => {
            println!("cargo::rerun-if-changed={}", Path::new(&image).display());
            std::fs::copy(image, target).map(drop)
        }
        None => std::fs::write(target, []),
    }
}
