//! A short list that lives where it is put: what a request holds must not cost an allocation.

/// The most buckets or budgets that one request may touch.
pub const MOST: usize = 16;

/// A list of at most [`MOST`] items, without allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inline<T> {
    items: [Option<T>; MOST],
    len: usize,
}

impl<T> Inline<T> {
    /// The empty list.
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            items: [const { None }; MOST],
            len: 0,
        }
    }

    /// Adds an item; gives it back if the list is full.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        match self.items.get_mut(self.len) {
            Some(slot) => {
                *slot = Some(item);
                self.len += 1;
                Ok(())
            }
            None => Err(item),
        }
    }

    /// The items in order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items[..self.len].iter().flatten()
    }

    /// Takes the items out, in order.
    #[cfg(feature = "budget")]
    #[inline]
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        let len = std::mem::take(&mut self.len);
        self.items[..len].iter_mut().filter_map(Option::take)
    }
}

impl<T> Default for Inline<T> {
    fn default() -> Self {
        Self::new()
    }
}
