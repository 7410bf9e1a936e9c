//! Reading the journal in order.

use std::io;
use std::ops::Range;

use super::Position;
use super::frame::{self, HEAD, Next};
use super::segment::{Folder, HEADER, read_at};

/// Records in their order.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each stands in `bytes`, and the position behind it.
    records: Vec<(Range<usize>, Position)>,
    next: Position,
    damaged: u64,
}

impl Batch {
    /// Each record, and the position behind it.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (&[u8], Position)> {
        let record = |(range, end): &(Range<usize>, Position)| (&self.bytes[range.clone()], *end);
        self.records.iter().map(record)
    }

    /// Where to read on.
    pub const fn next(&self) -> Position {
        self.next
    }

    /// How many bytes were passed over because they hold no record.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }
}

/// Reads from `from` to `end`, at most about `most` bytes.
pub(super) fn read(folder: &Folder, from: u64, end: u64, most: usize) -> io::Result<Batch> {
    let mut batch = Batch {
        next: Position(from),
        ..Batch::default()
    };
    if from >= end {
        return Ok(batch);
    }
    let segments = folder.segments()?;
    for (place, segment) in segments.iter().enumerate() {
        let next_base = segments.get(place + 1).map_or(end, |next| next.base);
        let stop = segment.end().min(next_base).min(end);
        if batch.next.0 < segment.base {
            // A file is gone.
            batch.damaged += segment.base - batch.next.0;
            batch.next = Position(segment.base);
        }
        if batch.next.0 < stop {
            let room = most.saturating_sub(batch.bytes.len());
            if room == 0 {
                break;
            }
            if !batch.fill(folder, segment.base, stop, room)? {
                break;
            }
        }
        // What lies between two files was lost with the end of the first.
        if batch.next.0 >= stop && batch.next.0 < next_base {
            batch.damaged += next_base - batch.next.0;
            batch.next = Position(next_base);
        }
    }
    Ok(batch)
}

impl Batch {
    /// Reads on in one file; `false` if there was more in it than there is room for.
    fn fill(&mut self, folder: &Folder, base: u64, stop: u64, room: usize) -> io::Result<bool> {
        let Some(file) = folder.open_segment(base)? else {
            self.damaged += stop - self.next.0;
            self.next = Position(stop);
            return Ok(true);
        };
        let mut wanted = room;
        loop {
            let left = usize::try_from(stop - self.next.0).unwrap_or(usize::MAX);
            let start = self.bytes.len();
            self.bytes.resize(start + wanted.min(left), 0);
            let read = read_at(&file, &mut self.bytes[start..], HEADER + self.next.0 - base)?;
            self.bytes.truncate(start + read);
            let mut used = start;
            let part = loop {
                match frame::next(&self.bytes[used..]) {
                    Next::Record(_, length) => {
                        self.next.0 += length as u64;
                        let record = used + HEAD..used + length;
                        self.records.push((record, self.next));
                        used += length;
                    }
                    Next::Part(length) => break Some(length),
                    Next::Damaged => break None,
                }
            };
            self.bytes.truncate(used);
            match part {
                _ if self.next.0 >= stop => return Ok(true),
                // A record that is longer than the room is read all the same, alone.
                Some(length) if read > 0 && left > read => {
                    if !self.records.is_empty() {
                        return Ok(false);
                    }
                    wanted = length;
                }
                Some(_) | None => {
                    self.damaged += stop - self.next.0;
                    self.next = Position(stop);
                    return Ok(true);
                }
            }
        }
    }
}
