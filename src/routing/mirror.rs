//! Copies of traffic for groups that are tried out (`silent_model`).
//!
//! A copy goes its own way: its answer is thrown away, nobody is billed for it, and nothing waits for
//! it. It is booked at its deployment as any request is, so limits and cooldowns hold. Beyond a number
//! that are under way, requests are not copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use metrics::counter;
use pointsman_routes::table::{GroupId, Target};

use crate::call::{Call, Hop, Route};

/// Copies that may be under way.
const MOST: usize = 64;

/// Counts copies under way. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror(Arc<AtomicUsize>);

/// A copy under way.
#[derive(Debug)]
pub(super) struct Copied(Arc<AtomicUsize>);

impl Drop for Copied {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Mirror {
    /// Room for one more copy, if there is.
    pub(super) fn begin(&self) -> Option<Copied> {
        let more = |count: usize| (count < MOST).then(|| count + 1);
        let begun = self.0.try_update(Relaxed, Relaxed, more).is_ok();
        if !begun {
            count("too_many");
        }
        begun.then(|| Copied(Arc::clone(&self.0)))
    }
}

/// Counts a copy by what became of it.
pub(super) fn count(outcome: &'static str) {
    counter!("pointsman_mirrored_requests_total", "outcome" => outcome).increment(1);
}

/// The call for another group, to be answered whole: nobody would read a stream.
pub(super) fn copy(call: &Call, group: GroupId) -> Option<Arc<Call>> {
    const WHOLE: &[u8] = br#"{"stream":false,"stream_options":null}"#;
    let by_path = call.route == Route::GenerateStream;
    let hop = Hop {
        target: Target::Group(group),
        name: call.name_of(group).into(),
        changes: (call.peek.stream && !by_path).then(|| Bytes::from_static(WHOLE)),
    };
    let mut copy = call.at(&hop)?;
    if by_path {
        copy.route = Route::Generate;
        copy.peek.stream = false;
    }
    copy.wants_usage = false;
    copy.controls = None;
    Some(Arc::new(copy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::example::call;

    #[test]
    fn a_copy_is_no_stream_and_for_the_other_group() {
        let config = "model_list:\n\
            - {model_name: a, litellm_params: {model: openai/a, api_key: os.environ/KEY, silent_model: b}}\n\
            - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/KEY}}\n";
        let body =
            r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
        let call = call(config, Route::Chat, body);
        let group = call.live.routes().deployments[0].mirror.unwrap();
        let copy = copy(&call, group).unwrap();
        assert_eq!((copy.name(), copy.group_name()), ("b", "b"));
        assert!(!copy.peek.stream && !copy.wants_usage);
        let sent = std::str::from_utf8(&copy.body).unwrap();
        assert!(!sent.contains("true"), "{sent}");
    }

    #[test]
    fn copies_are_bounded() {
        let mirror = Mirror::default();
        let begun: Vec<_> = (0..MOST).map(|_| mirror.begin().unwrap()).collect();
        assert!(mirror.begin().is_none());
        drop(begun);
        assert!(mirror.begin().is_some());
    }
}
