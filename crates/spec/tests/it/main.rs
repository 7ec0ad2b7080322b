//! What the parser accepts, refuses and writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod defaults;
mod image;
mod json;
