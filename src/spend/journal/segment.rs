//! The files of a journal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::frame::{self, Next};

/// At the beginning of each file: what it is, and in which form.
const MAGIC: [u8; 8] = *b"PMLEDG\x00\x01";
pub(super) const HEADER: u64 = MAGIC.len() as u64;
/// The file whose lock says that the folder is in use.
const LOCK: &str = "lock";
/// The file that says what was released.
const RELEASED: &str = "released";
const ENDING: &str = ".journal";
/// How much of a file is looked at in one step.
const STEP: usize = 1 << 20;

/// The folder of a journal, locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    released: File,
    _lock: File,
}

/// A file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The position of its first byte.
    pub(super) base: u64,
    /// Its bytes, without the header.
    length: u64,
}

impl Segment {
    /// The position behind its last byte.
    pub(super) const fn end(&self) -> u64 {
        self.base + self.length
    }
}

impl Folder {
    /// Makes the folder if it is not there, for its owner alone, and locks it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        builder.create(&path)?;
        let lock = own(OpenOptions::new().create(true).truncate(false).write(true))
            .open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("{} is in use by another process", path.display());
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let released = own(OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true))
        .open(path.join(RELEASED))?;
        Ok(Self {
            path,
            released,
            _lock: lock,
        })
    }

    /// What was released, and where the journal ends. Cuts off what is torn at its end.
    pub(super) fn recover(&self) -> io::Result<(u64, u64)> {
        let segments = self.segments()?;
        let first = segments.first().map_or(0, |segment| segment.base);
        let noted = self.noted();
        let Some(last) = segments.last() else {
            return Ok((noted.unwrap_or(0), noted.unwrap_or(0)));
        };
        let length = self.whole_length(last)?;
        if length < last.length {
            tracing::warn!(
                bytes = last.length - length,
                "the end of the journal was torn and is cut off"
            );
            let file = OpenOptions::new().write(true).open(self.file(last.base))?;
            file.set_len(HEADER + length)?;
        }
        let end = last.base + length;
        let released = noted.unwrap_or(first).clamp(first, end.max(first));
        Ok((released, end))
    }

    /// The length of the whole records at the beginning of a file.
    fn whole_length(&self, segment: &Segment) -> io::Result<u64> {
        let Some(file) = self.open_segment(segment.base)? else {
            return Ok(0);
        };
        let (mut at, mut wanted) = (0, STEP);
        loop {
            let mut bytes = vec![0; wanted];
            let read = read_at(&file, &mut bytes, HEADER + at)?;
            let mut used = 0;
            let next = loop {
                match frame::next(&bytes[used..read]) {
                    Next::Record(_, length) => used += length,
                    other => break other,
                }
            };
            at += used as u64;
            match next {
                Next::Part(length) if read == wanted => wanted = STEP.max(length),
                _ => return Ok(at),
            }
        }
    }

    /// A new file whose first byte has this position.
    pub(super) fn create(&self, base: u64) -> io::Result<File> {
        let path = self.file(base);
        // Every write goes to its end, also after what was torn was cut off.
        let mut file = own(OpenOptions::new().create(true).append(true)).open(path)?;
        // An empty one of this name may be left from the last start.
        file.set_len(0)?;
        file.write_all(&MAGIC)?;
        self.sync_names()?;
        Ok(file)
    }

    /// Sees to it that a file that was made is found after a power cut.
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// A file, to be read. `None` if it is no file of a journal in this form.
    pub(super) fn open_segment(&self, base: u64) -> io::Result<Option<File>> {
        let file = File::open(self.file(base))?;
        let mut magic = [0; MAGIC.len()];
        let read = read_at(&file, &mut magic, 0)?;
        Ok((read == magic.len() && magic == MAGIC).then_some(file))
    }

    /// The files, in their order.
    pub(super) fn segments(&self) -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let base = name
                .to_str()
                .and_then(|name| name.strip_suffix(ENDING))
                .and_then(|digits| digits.parse().ok());
            if let Some(base) = base {
                let length = entry.metadata()?.len().saturating_sub(HEADER);
                segments.push(Segment { base, length });
            }
        }
        segments.sort_unstable_by_key(|segment| segment.base);
        Ok(segments)
    }

    /// Deletes the files that end at this position or before it.
    pub(super) fn delete_before(&self, position: u64) -> io::Result<()> {
        let segments = self.segments()?;
        for pair in segments.windows(2) {
            if pair[1].base <= position {
                fs::remove_file(self.file(pair[0].base))?;
            }
        }
        Ok(())
    }

    /// Notes what was released. It may be lost with the power; then it is released once more.
    pub(super) fn note_released(&self, position: u64) -> io::Result<()> {
        let position = position.to_le_bytes();
        let mut note = [0; 12];
        note[..8].copy_from_slice(&position);
        note[8..].copy_from_slice(&crc32fast::hash(&position).to_le_bytes());
        self.released.write_all_at(&note, 0)
    }

    fn noted(&self) -> Option<u64> {
        let mut note = [0; 12];
        self.released.read_exact_at(&mut note, 0).ok()?;
        let (position, sum) = note.split_first_chunk::<8>()?;
        let sum = u32::from_le_bytes(sum.try_into().ok()?);
        (crc32fast::hash(position) == sum).then(|| u64::from_le_bytes(*position))
    }

    fn file(&self, base: u64) -> PathBuf {
        self.path.join(format!("{base:020}{ENDING}"))
    }
}

/// For its owner alone: prompts may be in it.
fn own(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

/// Reads as much as there is, up to the length of `bytes`.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
