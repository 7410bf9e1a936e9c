//! Sampling and ends, where temperatures end at 1 and answers are one at a time.

use std::borrow::Cow;

use serde_json::Number;

use super::generation::Generation;
use crate::call::chat::Request;
use crate::upstream::protocol::{Params, Unfit};

/// How an answer is sampled, and what ends it.
#[derive(Debug, Default)]
pub(crate) struct Sampling<'a> {
    /// 0 to 1.
    pub(crate) temperature: Option<Cow<'a, Number>>,
    /// 0 to 1.
    pub(crate) top_p: Option<&'a Number>,
    /// The likeliest so many.
    pub(crate) top_k: Option<u64>,
    /// Texts that end the answer; none is blank.
    pub(crate) stop_sequences: Vec<&'a str>,
}

impl<'a> Sampling<'a> {
    /// What was asked for. What OpenAI has besides is lacking.
    pub(crate) fn of(
        chat: &'a Request,
        params: &Params<'_>,
        dropped: &mut Vec<&'static str>,
    ) -> Result<Self, Unfit> {
        let mut sampling = Self {
            temperature: temperature(chat, params, dropped)?,
            top_p: chat.top_p.as_ref(),
            top_k: chat.top_k,
            stop_sequences: Vec::with_capacity(chat.stop.len()),
        };
        for stop in &chat.stop {
            if stop.trim().is_empty() {
                params.lacks("stop", dropped)?;
            } else {
                sampling.stop_sequences.push(stop);
            }
        }
        let zero =
            |number: &Option<Number>| number.as_ref().is_none_or(|n| n.as_f64() == Some(0.0));
        for (name, absent) in [
            ("n", chat.n.is_none_or(|n| n == 1)),
            ("seed", chat.seed.is_none()),
            ("presence_penalty", zero(&chat.presence_penalty)),
            ("frequency_penalty", zero(&chat.frequency_penalty)),
            ("logprobs", chat.logprobs != Some(true)),
            ("top_logprobs", chat.top_logprobs.is_none_or(|n| n == 0)),
        ] {
            if !absent {
                params.lacks(name, dropped)?;
            }
        }
        Ok(sampling)
    }

    /// What of it a Claude of this generation takes, while it thinks or not.
    pub(crate) fn narrowed(
        mut self,
        generation: Generation,
        thinks: bool,
        params: &Params<'_>,
        dropped: &mut Vec<&'static str>,
    ) -> Result<Self, Unfit> {
        let free = generation.samples();
        let is_one = |number: &Number| number.as_f64() == Some(1.0);
        if let Some(temperature) = &self.temperature
            && (!free || (thinks && !is_one(temperature)))
        {
            if !is_one(temperature) {
                params.lacks("temperature", dropped)?;
            }
            self.temperature = None;
        }
        if let Some(top_p) = self.top_p {
            let fits = free
                && (!thinks || top_p.as_f64() >= Some(0.95))
                && (self.temperature.is_none() || generation.samples_by_both());
            if !fits {
                if !is_one(top_p) {
                    params.lacks("top_p", dropped)?;
                }
                self.top_p = None;
            }
        }
        if self.top_k.is_some() && (!free || thinks) {
            params.lacks("top_k", dropped)?;
            self.top_k = None;
        }
        Ok(self)
    }
}

fn temperature<'a>(
    chat: &'a Request,
    params: &Params<'_>,
    dropped: &mut Vec<&'static str>,
) -> Result<Option<Cow<'a, Number>>, Unfit> {
    let Some(temperature) = &chat.temperature else {
        return Ok(None);
    };
    if temperature.as_f64().is_none_or(|value| value <= 1.0) {
        return Ok(Some(Cow::Borrowed(temperature)));
    }
    if !params.drop && !params.mend {
        return Err(Unfit {
            droppable: true,
            ..Unfit::new(Some("temperature"), "takes temperatures from 0 to 1")
        });
    }
    dropped.push("temperature");
    Ok(Some(Cow::Owned(Number::from(1))))
}
