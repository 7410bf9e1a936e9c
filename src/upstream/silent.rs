//! The stream of a protocol that has none.

use bytes::Bytes;

use super::protocol::{Broken, Decoder};
use crate::call::chat::Event;

/// Knows no events: whatever comes cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent;

impl Decoder for Silent {
    fn push(&mut self, _chunk: Bytes, _events: &mut Vec<Event>) -> Result<(), Broken> {
        Err(Broken::Malformed("The protocol has no streams.".into()))
    }

    fn finish(&mut self, _events: &mut Vec<Event>) -> Result<(), Broken> {
        Err(Broken::Cut)
    }
}
