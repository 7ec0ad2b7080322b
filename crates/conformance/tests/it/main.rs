//! The judge against what it judges: images, unpackers, converters and digests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod consumer;
mod digest;
mod image;
