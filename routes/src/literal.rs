//! Secrets that a file gives in clear.

use std::fmt;

use crate::table::LiteralId;

/// The clear-text secrets of a loaded file, beside its table.
///
/// Printing shows how many there are and nothing else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Literals {
    values: Vec<Box<str>>,
}

impl Literals {
    /// The secret as the file has it; it may hold `${NAME}`.
    /// [`Secret::resolve`](crate::table::Secret::resolve) puts the values in.
    #[must_use]
    pub fn get(&self, id: LiteralId) -> Option<&str> {
        self.values.get(usize::from(id.0)).map(|value| &**value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Keeps one. `None` if there are too many.
    pub(crate) fn add(&mut self, value: &str) -> Option<LiteralId> {
        let id = u16::try_from(self.values.len()).ok().map(LiteralId)?;
        self.values.push(value.into());
        Some(id)
    }
}

impl fmt::Debug for Literals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.values.iter().map(|_| format_args!("***")))
            .finish()
    }
}
