//! What unit tests of protocols share.

use bytes::Bytes;
use serde_json::Value;

use super::protocol::{Ask, Broken, Decoder, Params, Task, Unfit, Written};
use crate::call::Route;
use crate::call::chat::Event;

/// What `write` makes of a request to a deployment of `model`, as JSON.
pub(crate) fn written(
    model: &str,
    task: Task,
    params: Params<'_>,
    write: impl FnOnce(&Ask<'_>) -> Result<Written, Unfit>,
) -> Result<Value, Unfit> {
    let config = format!(
        "model_list:\n- model_name: public\n  litellm_params:\n    model: {model}\n    api_key: os.environ/KEY\n"
    );
    let attempt =
        crate::call::example::attempt(&config, Route::Chat, r#"{"model":"public","messages":[]}"#);
    let deployment = attempt.call.live.deployment(attempt.deployment);
    let ask = Ask {
        task,
        model: &deployment.model,
        deployment,
        params,
    };
    let written = write(&ask)?;
    Ok(serde_json::from_slice(&written.body).unwrap())
}

/// What a decoder makes of a stream that comes in two chunks, cut at this byte.
pub(crate) fn decoded(
    mut decoder: Box<dyn Decoder>,
    stream: &str,
    at: usize,
) -> (Vec<Event>, Result<(), Broken>) {
    let mut events = Vec::new();
    let (first, second) = stream.as_bytes().split_at(at);
    for chunk in [first, second] {
        if let Err(broken) = decoder.push(Bytes::copy_from_slice(chunk), &mut events) {
            return (events, Err(broken));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}
