//! An attempt on its way.

use std::sync::Arc;

use super::Notes;
use super::course::Course;
use crate::call::Call;
use crate::error::Rehearsal;
use crate::routing::Ask;

/// An attempt on its way.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(super) call: Arc<Call>,
    pub(super) ask: Ask,
    /// The failure that is acted out in its place.
    pub(super) act: Option<Rehearsal>,
    pub(super) notes: Notes,
}

impl Errand {
    pub(super) fn first(call: Arc<Call>, notes: Notes) -> Self {
        let act = call
            .controls
            .as_ref()
            .and_then(|controls| controls.rehearsal);
        Self {
            ask: Ask::first(call.target),
            call,
            act,
            notes,
        }
    }

    /// The next one of a call that is on its way.
    pub(super) fn at(course: &Course, notes: Notes) -> Self {
        Self {
            call: Arc::clone(course.call()),
            ask: course.ask(),
            act: None,
            notes,
        }
    }
}
