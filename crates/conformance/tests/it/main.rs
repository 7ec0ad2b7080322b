//! The judge against what it judges: images, unpackers, converters and digests.

mod consumer;
mod digest;
mod image;
