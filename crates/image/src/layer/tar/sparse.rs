//! Maps of sparse files: which parts have data.

use super::pax::decimal;
use super::{BLOCK, Segment};

/// What is wrong with a map.
type Result<T, E = &'static str> = std::result::Result<T, E>;

/// Most parts of one file: 16 MiB of memory, and no more is bought by a small archive.
const SEGMENT_LIMIT: usize = 1 << 20;

/// A map in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Map(Vec<Segment>);

impl Map {
    /// Adds a part, which must stand behind those before it.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<()> {
        let end = self.0.last().map_or(0, |last| last.offset + last.length);
        if offset < end || offset.checked_add(length).is_none() {
            return Err("the map of a sparse file overlaps");
        }
        if self.0.len() == SEGMENT_LIMIT {
            return Err("the map of a sparse file has more than 1048576 parts");
        }
        self.0.push(Segment { offset, length });
        Ok(())
    }

    /// The parts of a file of `size` bytes of which the archive has `stored`.
    pub(super) fn finish(self, size: u64, stored: u64) -> Result<Vec<Segment>> {
        if self.0.last().is_some_and(|last| last.offset + last.length > size) {
            return Err("the map of a sparse file leads beyond its end");
        }
        // Parts do not overlap, so that their sum is no larger than the end of the last.
        if self.0.iter().map(|segment| segment.length).sum::<u64>() != stored {
            return Err("the map of a sparse file does not fit its data");
        }
        Ok(self.0)
    }
}

/// The map of format 1.0: decimal numbers, each on a line, in whole blocks. The first says how many parts
/// there are.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) map: Map,
    digits: Vec<u8>,
    count: Option<u64>,
    offset: Option<u64>,
}

impl Text {
    pub(super) fn is_complete(&self) -> bool {
        self.count == Some(0)
    }

    /// Takes a block. What stands behind the last number fills the block.
    pub(super) fn read(&mut self, block: &[u8; BLOCK]) -> Result<()> {
        for &byte in block {
            if self.is_complete() {
                break;
            }
            if byte != b'\n' {
                if self.digits.len() == 20 {
                    return Err("the map of a sparse file has something that is no number");
                }
                self.digits.push(byte);
                continue;
            }
            let number = decimal(&self.digits)?;
            self.digits.clear();
            match (self.count, self.offset.take()) {
                (None, _) => self.count = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(count), Some(offset)) => {
                    self.map.push(offset, number)?;
                    self.count = Some(count - 1);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_bounded() {
        let mut map = Map::default();
        (0..SEGMENT_LIMIT as u64).for_each(|at| map.push(2 * at, 1).unwrap());
        assert_eq!(map.push(1 << 40, 1), Err("the map of a sparse file has more than 1048576 parts"));
        let mut map = Map::default();
        map.push(10, 5).unwrap();
        assert_eq!(map.push(14, 1), Err("the map of a sparse file overlaps"));
        assert_eq!(map.push(u64::MAX, 1), Err("the map of a sparse file overlaps"));
    }
}
