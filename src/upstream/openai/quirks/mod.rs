//! What vendors that speak OpenAI's dialect have otherwise.
//!
//! Most get the caller's bytes. These few refuse what OpenAI takes, or say what OpenAI says in other
//! places; a request is changed only where it has such a thing, and so is an answer.
//!
//! Sources: the API references of Mistral ("Chat", "Reasoning"), xAI ("Chat completions", "Models",
//! "Live Search"), OpenRouter ("Errors", "Usage accounting", "Reasoning tokens"), Perplexity ("Chat
//! completions"), Groq ("OpenAI compatibility", "Reasoning"), `DeepSeek` ("Thinking mode") and
//! Fireworks ("Models"), and what `LiteLLM` does for each.

mod answer;
mod request;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use pointsman_routes::table::{Deployment, Protocol, Provider};
use pointsman_routes::usd::Usd;
use serde_json::{Map, Value};

use crate::call::Route;
use crate::upstream::protocol::{Params, Told, Unfit};
use crate::wire::json;

pub(super) use self::answer::{tells_filters, words};

/// A vendor, as far as it differs from OpenAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// OpenAI itself, or Azure: nothing differs.
    OpenAi,
    /// `DeepSeek`.
    DeepSeek,
    /// Fireworks.
    Fireworks,
    /// Groq.
    Groq,
    /// Mistral, and its Codestral.
    Mistral,
    /// OpenRouter.
    OpenRouter,
    /// Perplexity.
    Perplexity,
    /// xAI.
    Xai,
    /// Any other, of which nothing is known but that it is not OpenAI.
    Other,
}

impl Vendor {
    /// Who a provider is.
    pub fn of(provider: &Provider) -> Self {
        match &*provider.name {
            _ if provider.protocol != Protocol::OpenAi => Self::OpenAi,
            "openai" | "text-completion-openai" => Self::OpenAi,
            "deepseek" => Self::DeepSeek,
            "fireworks_ai" => Self::Fireworks,
            "groq" => Self::Groq,
            "mistral" | "codestral" => Self::Mistral,
            "openrouter" => Self::OpenRouter,
            "perplexity" => Self::Perplexity,
            "xai" => Self::Xai,
            _ => Self::Other,
        }
    }

    /// The model's name as the vendor has it: Fireworks' own stand below an account.
    pub fn model(self, route: Route, model: &str) -> Cow<'_, str> {
        let chats = route.is_chat() || route == Route::Completions;
        if self == Self::Fireworks && chats && !model.starts_with("accounts/") {
            return Cow::Owned(format!("accounts/fireworks/models/{model}"));
        }
        Cow::Borrowed(model)
    }

    /// Fits a chat request to it, whose model is `model`. `None` if nothing had to be changed. What it
    /// lacks is refused, or left out and noted in `dropped`.
    pub fn fit(
        self,
        deployment: &Deployment,
        model: &str,
        (body, params): (&[u8], &Params<'_>),
        dropped: &mut Vec<&'static str>,
    ) -> Result<Option<Bytes>, Unfit> {
        if !self.fits() {
            return Ok(None);
        }
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
            // It was read before; what only this reader refuses goes on as it is.
            return Ok(None);
        };
        let changed = self.fit_members(deployment, model, (&mut members, params), dropped)?;
        Ok(changed.then(|| Value::Object(members).to_string().into()))
    }

    /// The same of a request whose members are at hand; whether anything had to be changed.
    pub fn fit_members(
        self,
        deployment: &Deployment,
        model: &str,
        (members, params): (&mut Map<String, Value>, &Params<'_>),
        dropped: &mut Vec<&'static str>,
    ) -> Result<bool, Unfit> {
        if !self.fits() {
            return Ok(false);
        }
        let mut fitting = request::Fitting {
            vendor: self,
            model,
            facts: &deployment.facts,
            params,
            dropped,
            changed: false,
        };
        fitting.fit(members)?;
        Ok(fitting.changed)
    }

    /// Whether requests have to be looked at.
    pub const fn fits(self) -> bool {
        !matches!(self, Self::OpenAi | Self::Fireworks | Self::Other)
    }

    /// A whole answer of a chat, or the data of a chunk, as OpenAI would say it. `None` if it is so
    /// already.
    pub fn mend(self, text: &[u8]) -> Option<Bytes> {
        if self == Self::OpenAi || !answer::may_differ(self, text) {
            return None;
        }
        let mut value = serde_json::from_slice(text).ok()?;
        answer::mend(self, &mut value).then(|| value.to_string().into())
    }

    /// What a whole answer tells of a choice that failed, in place of an answer.
    pub fn failed(self, text: &[u8]) -> Option<Told> {
        if self != Self::OpenRouter || memchr::memmem::find(text, b"\"error\"").is_none() {
            return None;
        }
        let answer: Value = serde_json::from_slice(text).ok()?;
        let error = answer["choices"].get(0)?.get("error")?;
        let whole = serde_json::json!({ "error": error }).to_string();
        super::response::told_as_success(whole.as_bytes())
    }

    /// What a whole answer cost, if the vendor says it there.
    pub fn cost_of(self, answer: &[u8]) -> Option<Usd> {
        matches!(self, Self::OpenRouter | Self::Perplexity | Self::Xai)
            .then(|| self.cost(json::member(answer, b"usage")?))
            .flatten()
    }

    /// What an answer with this `usage` cost, if the vendor says it there.
    pub fn cost(self, usage: &[u8]) -> Option<Usd> {
        /// More than any answer costs, so that nonsense does not empty a budget.
        const MOST: Usd = Usd::ONE.times(10_000);
        let (name, inner): (&[u8], &[u8]) = match self {
            Self::OpenRouter => (b"cost", b""),
            Self::Perplexity => (b"cost", b"total_cost"),
            // Ticks of 10⁻¹⁰ dollars.
            Self::Xai => (b"cost_in_usd_ticks", b""),
            _ => return None,
        };
        let mut found = json::member(usage, name)?;
        if !inner.is_empty() {
            found = json::member(found, inner)?;
        }
        let text = std::str::from_utf8(found).ok()?;
        let cost = match self {
            Self::Xai => Usd(i128::from(text.parse::<u64>().ok()?).checked_mul(100)?),
            _ => Usd::from_decimal(text)?,
        };
        (Usd::ZERO..=MOST).contains(&cost).then_some(cost)
    }
}

/// Whether a model of OpenAI's thinks before it answers, and so lacks what shapes the choice of words. The
/// file's `base_model` tells what a deployment of Azure's is.
pub fn thinks_first(deployment: &Deployment, model: &str) -> bool {
    let known = deployment.catalog_name.as_deref();
    [Some(model), known].into_iter().flatten().any(is_thinker)
}

fn is_thinker(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let series = |name: &str| {
        let digits = name.strip_prefix('o')?;
        digits.bytes().next().filter(u8::is_ascii_digit)
    };
    let five = name.starts_with("gpt-5") && !name.contains("chat");
    series(name).is_some() || five
}

/// What such a model refuses whose first generation lacks it in any case: later ones take it where they
/// are not to think.
pub fn lacks_sampling(deployment: &Deployment, model: &str) -> bool {
    let bare = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let names = [Some(model), deployment.catalog_name.as_deref()];
    let later = names
        .into_iter()
        .flatten()
        .any(|name| bare(name).starts_with("gpt-5."));
    thinks_first(deployment, model) && !later
}
