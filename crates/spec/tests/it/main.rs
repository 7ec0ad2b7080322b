//! What the parser accepts, refuses and writes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod image;
mod json;
