//! Changes members of a JSON object in place, leaving every other byte alone.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::wire::json::Member;

/// Above this size the unchanged stretches are passed on as they are; below, one copy is cheaper
/// than several writes.
const COPIED_BYTES: usize = 64 << 10;

/// Planned changes of one object's text.
#[derive(Debug, Default)]
pub struct Splice {
    edits: SmallVec<[(Range<usize>, Bytes); 4]>,
    removals: SmallVec<[(usize, usize); 4]>,
    insertion: Vec<u8>,
}

impl Splice {
    /// Puts `text` where `range` stands.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<Bytes>) {
        self.edits.push((range, text.into()));
    }

    /// Takes a member out.
    pub fn remove(&mut self, member: &Member) {
        self.removals.push((member.before, member.end));
    }

    /// Adds a member, `"name":value` without a comma, at the front of the object.
    pub fn insert(&mut self, member: &[u8]) {
        if !self.insertion.is_empty() {
            self.insertion.push(b',');
        }
        self.insertion.extend_from_slice(member);
    }

    /// Makes the new text, in one piece or, if it is long, in several.
    ///
    /// `open` is the position past the opening brace, and `empty` says that the object had no
    /// member. The edits must not overlap.
    pub fn apply(mut self, text: &Bytes, open: usize, empty: bool) -> SmallVec<[Bytes; 4]> {
        let left_empty = self.plan_removals(text, open) || empty;
        if !self.insertion.is_empty() {
            if !left_empty {
                self.insertion.push(b',');
            }
            let insertion = Bytes::from(std::mem::take(&mut self.insertion));
            self.edits.push((open..open, insertion));
        }
        if self.edits.is_empty() {
            return SmallVec::from_iter([text.clone()]);
        }
        // A stable sort keeps an insertion behind the removal that starts at the same place.
        self.edits.sort_by_key(|(range, _)| range.start);
        if text.len() <= COPIED_BYTES {
            SmallVec::from_iter([self.copied(text)])
        } else {
            self.pieces(text)
        }
    }

    /// A member goes with the comma before it; the members at the front, which have none, go with
    /// the comma behind them. Returns whether every member went.
    fn plan_removals(&mut self, text: &Bytes, open: usize) -> bool {
        self.removals.sort_unstable();
        let mut front = open;
        for (before, end) in std::mem::take(&mut self.removals) {
            if before == front {
                front = end;
            } else {
                self.edits.push((before..end, Bytes::new()));
            }
        }
        if front == open {
            return false;
        }
        let behind = text[front..]
            .iter()
            .position(|byte| !byte.is_ascii_whitespace());
        let comma = behind.map(|at| front + at).filter(|at| text[*at] == b',');
        self.edits
            .push((open..comma.map_or(front, |at| at + 1), Bytes::new()));
        comma.is_none()
    }

    fn copied(&self, text: &Bytes) -> Bytes {
        let added: usize = self.edits.iter().map(|(_, new)| new.len()).sum();
        let mut out = BytesMut::with_capacity(text.len() + added);
        let mut from = 0;
        for (range, new) in &self.edits {
            out.extend_from_slice(&text[from..range.start.max(from)]);
            out.extend_from_slice(new);
            from = range.end.max(from);
        }
        out.extend_from_slice(&text[from..]);
        out.freeze()
    }

    fn pieces(self, text: &Bytes) -> SmallVec<[Bytes; 4]> {
        let mut pieces = SmallVec::new();
        let mut from = 0;
        for (range, new) in self.edits {
            pieces.push(text.slice(from..range.start.max(from)));
            pieces.push(new);
            from = range.end.max(from);
        }
        pieces.push(text.slice(from..));
        pieces.retain(|piece: &mut Bytes| !piece.is_empty());
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json;
    use proptest::prelude::*;

    fn spliced(text: &str, removed: &[&str], inserted: &[&str]) -> String {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut splice = Splice::default();
        let (mut open, mut empty) = (1, true);
        json::members(&bytes, |member| {
            if empty {
                open = member.before;
            }
            empty = false;
            let name = std::str::from_utf8(member.raw_name(&bytes)).unwrap();
            if removed.contains(&name) {
                splice.remove(&member);
            }
        })
        .unwrap();
        for member in inserted {
            splice.insert(member.as_bytes());
        }
        String::from_utf8(splice.apply(&bytes, open, empty).concat()).unwrap()
    }

    #[test]
    fn members_go_with_one_comma_wherever_they_stand() {
        let text = r#"{ "a":1, "b":2 , "c":3 }"#;
        assert_eq!(spliced(text, &["a"], &[]), r#"{ "b":2 , "c":3 }"#);
        assert_eq!(spliced(text, &["b"], &[]), r#"{ "a":1 , "c":3 }"#);
        assert_eq!(spliced(text, &["c"], &[]), r#"{ "a":1, "b":2 }"#);
        assert_eq!(spliced(text, &["a", "b"], &[]), r#"{ "c":3 }"#);
        assert_eq!(spliced(text, &["b", "c"], &[]), r#"{ "a":1 }"#);
        assert_eq!(spliced(text, &["a", "b", "c"], &[]), "{ }");
    }

    #[test]
    fn members_are_added_at_the_front() {
        assert_eq!(
            spliced("{}", &[], &[r#""x":1"#, r#""y":2"#]),
            r#"{"x":1,"y":2}"#
        );
        assert_eq!(
            spliced(r#"{"a":1}"#, &[], &[r#""x":1"#]),
            r#"{"x":1,"a":1}"#
        );
        assert_eq!(spliced(r#"{"a":1}"#, &["a"], &[r#""x":1"#]), r#"{"x":1}"#);
        assert_eq!(
            spliced(r#"{"a":1,"b":2}"#, &["a"], &[r#""x":1"#]),
            r#"{"x":1,"b":2}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_was_not_removed(
            keys in proptest::collection::btree_set("[a-f]", 0..6),
            removed in proptest::collection::btree_set("[a-f]", 0..6),
            pretty in any::<bool>(),
            insert in any::<bool>(),
            padding in prop_oneof![Just(0usize), Just(COPIED_BYTES)],
        ) {
            let mut object: serde_json::Map<_, _> =
                keys.iter().map(|key| (key.clone(), serde_json::json!([key]))).collect();
            object.insert("z".into(), " ".repeat(padding).into());
            let text = if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                serde_json::to_string(&object).unwrap()
            };
            let removed: Vec<_> = removed.iter().map(String::as_str).collect();
            let out = spliced(&text, &removed, if insert { &[r#""new":true"#] } else { &[] });
            for key in removed {
                object.remove(key);
            }
            if insert {
                object.insert("new".into(), true.into());
            }
            let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(read, object);
        }
    }
}
