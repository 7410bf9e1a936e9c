//! What an import has to say of single rows, counted by what it is and not row by row.

use std::collections::BTreeMap;

/// Things to say, by the kind of row and by what is said.
#[derive(Clone, Debug, Default)]
pub struct Notes(BTreeMap<(&'static str, String), Note>);

/// How often something is to be said, and of whom.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// How often.
    pub count: u64,
    /// Of whom, for the first few.
    pub examples: Vec<String>,
}

/// Examples that are kept of each thing.
const EXAMPLES: usize = 3;

impl Notes {
    pub(super) fn add(&mut self, kind: &'static str, what: &str, whom: &str) {
        let note = self.0.entry((kind, what.to_owned())).or_default();
        note.count += 1;
        if note.examples.len() < EXAMPLES {
            note.examples.push(whom.to_owned());
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each thing: the kind of row, what is said, and of whom.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, &Note)> {
        self.0
            .iter()
            .map(|((kind, what), note)| (*kind, what.as_str(), note))
    }
}
