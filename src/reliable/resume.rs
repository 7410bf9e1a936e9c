//! Has somebody else go on with a stream that broke when something of it was shown.
//!
//! It is one more attempt of the same journey, by the same rules: those of the group who were not
//! asked come first, then its fallbacks, as many as are left. Nobody is asked twice, and a broken
//! stream costs nobody a wait. What is asked for is paid by what was reserved for the call: the answer
//! is cut to what is left of that, and of the length that the caller allowed, and where nothing is left
//! nobody is asked.

use std::sync::Arc;

use pointsman_routes::table::{DeploymentId, Midstream, Target};
use pointsman_routes::usd::Usd;

use crate::call::length::Length;
use crate::call::{Broke, Call, Left, Piece, Shown};
use crate::routing::tokens::BYTES_PER_TOKEN;
use crate::spend::price::paid;

/// Tokens of the words around what was said, when somebody is asked to go on with it.
const FRAME_TOKENS: u64 = 64;

/// Whether broken streams of this deployment of a call are gone on with at all.
pub(super) fn mode(call: &Call, id: DeploymentId) -> Midstream {
    let of_file = call.live.deployment(id).on_midstream;
    of_file.unwrap_or(call.live.routes().router.on_midstream)
}

/// The call that goes on where the stream of the last attempt broke, which `left` is the last of;
/// `None` if nobody may be asked.
pub(super) fn going_on(
    call: &Call,
    left: Vec<Left>,
    broke: &Broke,
    mode: Midstream,
) -> Option<Call> {
    let may = match mode {
        Midstream::Error => false,
        Midstream::Continue => true,
        Midstream::Restart => broke.shown.is_empty(),
    };
    if !may || !pays(call, &broke.shown, &broke.pieces) {
        return None;
    }
    Some(Call {
        resumed: Some(Arc::new(Shown {
            left,
            ..broke.shown.clone()
        })),
        ..Call::clone(call)
    })
}

/// Cuts the rest of the answer to what is left of the caller's length and of what is reserved; whether
/// anything is.
fn pays(call: &Call, shown: &Shown, pieces: &[Piece]) -> bool {
    let said = shown.usage.completion;
    if let Some(most) = Length::asked(call.route, &call.body, &call.peek).most {
        call.tab.limit_output(most.saturating_sub(said).max(1));
    }
    let Some(held) = call.tab.held() else {
        return true;
    };
    let spent = pieces.iter().map(|piece| {
        let deployment = call.live.deployment(piece.deployment);
        paid(&piece.usage, deployment).total()
    });
    let spent = spent.fold(Usd::ZERO, Usd::plus);
    let mut ceiling = call.live.ceiling(call.target);
    if call.fallback.is_some() {
        ceiling = ceiling.and(call.live.ceiling(Target::Group(call.requested())));
    }
    let prompt = pieces.first().map_or(0, |first| first.usage.prompt);
    let words = shown.words.len() as u64 / BYTES_PER_TOKEN;
    let prompt = prompt + words.max(said) + FRAME_TOKENS;
    let left = held.0 - spent.0 - ceiling.input.times(prompt).0;
    if left < 0 {
        return false;
    }
    if ceiling.output.0 > 0 {
        let paid = u64::try_from(left / ceiling.output.0).unwrap_or(u64::MAX);
        if paid == 0 {
            return false;
        }
        call.tab.limit_output(paid);
    }
    true
}
