//! How a record stands in a file: length, checksum, bytes.

/// Length and checksum.
pub(super) const HEAD: usize = 8;
/// The longest record.
pub const LONGEST: usize = 8 << 20;

/// Appends a frame with what `write` makes. `false`, and nothing appended, if that is too long or
/// empty.
pub(super) fn push(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    write(out);
    let body = start + HEAD;
    let length = out.len().saturating_sub(body);
    let Some(length) = u32::try_from(length)
        .ok()
        .filter(|_| (1..=LONGEST).contains(&length))
    else {
        out.truncate(start);
        return false;
    };
    let sum = crc32fast::hash(&out[body..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..body].copy_from_slice(&sum.to_le_bytes());
    true
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A whole record, and the length of its frame.
    Record(&'a [u8], usize),
    /// The beginning of a frame of this length.
    Part(usize),
    /// No frame.
    Damaged,
}

/// Reads the frame at the beginning of `bytes`.
pub(super) fn next(bytes: &[u8]) -> Next<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Next::Part(HEAD);
    };
    let [a, b, c, d, sum @ ..] = *head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(1..=LONGEST).contains(&length) {
        return Next::Damaged;
    }
    match rest.get(..length) {
        None => Next::Part(HEAD + length),
        Some(record) if crc32fast::hash(record) == u32::from_le_bytes(sum) => {
            Next::Record(record, HEAD + length)
        }
        Some(_) => Next::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_read_back_and_half_of_one_is_not() {
        let mut bytes = Vec::new();
        assert!(push(&mut bytes, |out| out.extend_from_slice(b"abc")));
        assert_eq!(next(&bytes), Next::Record(b"abc", HEAD + 3));
        for end in 0..bytes.len() {
            assert!(matches!(next(&bytes[..end]), Next::Part(_)), "{end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(next(&other), Next::Record(..)), "{bit}");
        }
    }

    #[test]
    fn nothing_is_no_record() {
        let mut bytes = Vec::new();
        assert!(!push(&mut bytes, |_| ()));
        assert!(bytes.is_empty());
        // A file that was made longer and not written.
        assert_eq!(next(&[0; 64]), Next::Damaged);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = next(&bytes);
        }
    }
}
