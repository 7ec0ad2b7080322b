//! Which compression a media type promises, and reading it. Refuses bytes of another kind than promised.

use std::io::{BufRead, Read};

use plimsoll_spec::image::media_type as types;

use crate::{Error, Kind, Result, gzip};

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Gzip,
    Zstd,
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest window of zstd that is kept in memory: 128 MiB, what its own tool takes without being told.
const WINDOW_LOG: u32 = 27;

impl Codec {
    /// What `media_type` promises.
    pub(super) fn of(media_type: &str) -> Result<Codec> {
        match media_type {
            types::LAYER | types::LAYER_NONDISTRIBUTABLE | types::DOCKER_LAYER => Ok(Codec::Plain),
            types::LAYER_GZIP | types::LAYER_NONDISTRIBUTABLE_GZIP | types::DOCKER_LAYER_GZIP => {
                Ok(Codec::Gzip)
            }
            types::LAYER_ZSTD | types::LAYER_NONDISTRIBUTABLE_ZSTD => Ok(Codec::Zstd),
            other => Err(Error::new(Kind::MediaType, format!("{other:?} is no layer that can be unpacked"))),
        }
    }

    /// The bytes within `source`: all members of gzip, all frames of zstd.
    pub(super) fn decoder<'a>(self, mut source: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
        let start = source.fill_buf().map_err(|e| Error::io("read the blob", e))?;
        let found = if start.starts_with(&gzip::MAGIC) {
            Codec::Gzip
        } else if start.starts_with(&ZSTD) {
            Codec::Zstd
        } else {
            Codec::Plain
        };
        // A frame of zstd that is to be skipped looks like nothing in particular; the decoder knows it.
        if found != self && !(self == Codec::Zstd && found == Codec::Plain) {
            let context = format!("the blob is {}, its media type says {}", found.name(), self.name());
            return Err(Error::new(Kind::MediaType, context));
        }
        match self {
            Codec::Plain => Ok(Box::new(source)),
            Codec::Gzip => Ok(Box::new(gzip::Members::new(source))),
            Codec::Zstd => {
                let failed = |e| Error::io("start decompression", e);
                let mut decoder = zstd::Decoder::with_buffer(source).map_err(failed)?;
                decoder.window_log_max(WINDOW_LOG).map_err(failed)?;
                Ok(Box::new(decoder))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Codec::Plain => "not compressed",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        }
    }
}
