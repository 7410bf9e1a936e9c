//! Reads of a call what decisions about it need to know, and no more: what no deployment of the row
//! is particular about is not looked for.

use std::hash::Hasher;

use memchr::memmem;
use pointsman_routes::table::{Capabilities, DeploymentId};
use rustc_hash::FxHasher;
use smallvec::SmallVec;

use super::board::{Board, Row};
use super::facts::{Facts, Prompt};
use super::prefer::preferred;
use super::shape::Shape;
use super::tokens::{
    BYTES_PER_TOKEN, COUNTED_BYTES, MOST_BYTES_PER_TOKEN, Tokens, Vocabulary, apart,
};
use crate::call::length::Length;
use crate::call::{Dialect, Field, Principal};
use crate::wire::json;

/// Most tags and capability words of one request that are looked at.
const MOST_WORDS: usize = 64;

/// What was read of a call for one row.
#[derive(Clone, Debug)]
pub struct Asked {
    prompt: Prompt,
    max_output: Option<u64>,
    needs: Capabilities,
    region: Option<String>,
    session: Option<u64>,
    preferred: SmallVec<[DeploymentId; 4]>,
    /// Tags and words; few requests have any.
    labels: Option<Box<Labels>>,
}

#[derive(Clone, Debug, Default)]
struct Labels {
    tags: Vec<String>,
    words: Vec<String>,
    agent: Option<String>,
}

impl Asked {
    /// Reads what choosing from `row` needs. Costs a pass over the prompt if a deployment of the
    /// row lacks an ability, and more only if the prompt is nearly as long as a window.
    pub fn read(call: &Shape<'_>, board: &Board, row: &Row) -> Self {
        let text = |field| call.peek.text(call.body, field).map(Into::into);
        let labels = Labels::read(call, board, row);
        let tags = labels.as_ref().map_or(&[][..], |labels| &labels.tags);
        Self {
            preferred: if row.rules.is_empty() {
                SmallVec::new()
            } else {
                preferred(call, board, row, tags).into()
            },
            prompt: prompt(call, board, row),
            max_output: Length::asked(call.route, call.body, call.peek).most,
            needs: if board.options.checks || row.by_ability() {
                needs(call, row)
            } else {
                Capabilities::NONE
            },
            region: text(Field::AllowedModelRegion),
            session: board.options.affinity.then(|| session(call)).flatten(),
            labels: labels.map(|labels| Box::new(labels.kept(board))),
        }
    }

    /// The facts of one attempt, borrowed for as long as `use_` looks at them.
    pub fn with_facts<R>(
        &self,
        call: &Shape<'_>,
        tried: &[DeploymentId],
        again: bool,
        use_: impl FnOnce(&Facts<'_>) -> R,
    ) -> R {
        let mut facts = Facts {
            route: call.route,
            stream: call.peek.stream,
            prompt: self.prompt,
            max_output: self.max_output,
            needs: self.needs,
            region: self.region.as_deref(),
            session: self.session,
            tried,
            again,
            preferred: &self.preferred,
            team: call.who.and_then(Principal::team),
            ..Facts::PLAIN
        };
        let Some(labels) = &self.labels else {
            return use_(&facts);
        };
        let (tags, words) = (borrowed(&labels.tags), borrowed(&labels.words));
        facts.tags = &tags;
        facts.words = &words;
        facts.user_agent = labels.agent.as_deref();
        use_(&facts)
    }
}

/// Estimates the prompt; counts it where the estimate does not settle whether it fits.
fn prompt(call: &Shape<'_>, board: &Board, row: &Row) -> Prompt {
    let required = Field::required_by(call.route);
    let Some(value) = required.and_then(|field| call.peek.value(call.body, field)) else {
        return Prompt::default();
    };
    // What tools say is part of the prompt.
    let bytes = if call.route.is_chat() {
        call.body.len()
    } else {
        value.len()
    } as u64;
    let mut prompt = Prompt {
        tokens: bytes / BYTES_PER_TOKEN,
        most: bytes,
        exact: Prompt::default().exact,
    };
    if !board.options.checks || row.smallest_window.is_none_or(|window| bytes <= window) {
        return prompt;
    }
    for vocabulary in Vocabulary::ALL {
        let unsettled = row.seats.iter().any(|seat| {
            seat.vocabulary == Some(vocabulary)
                && seat
                    .window
                    .is_some_and(|window| bytes > window && bytes / MOST_BYTES_PER_TOKEN <= window)
        });
        if unsettled
            && bytes <= COUNTED_BYTES
            && let Some(tokens) = apart(|| texts(value, vocabulary))
        {
            prompt.exact[vocabulary as usize] = Some(tokens);
        }
    }
    prompt
}

/// Tokens of every text in a prompt, and those that OpenAI adds to each message. Pictures and other
/// things that are not text count as nothing.
fn texts(value: &[u8], vocabulary: Vocabulary) -> Option<u64> {
    /// OpenAI's cookbook: three for each message and three for the answer's beginning.
    const PER_MESSAGE: u64 = 3;
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    Some(match &value {
        serde_json::Value::Array(messages) => {
            let each = messages
                .iter()
                .map(|message| PER_MESSAGE + text(message, vocabulary));
            each.sum::<u64>() + PER_MESSAGE
        }
        other => text(other, vocabulary),
    })
}

fn text(value: &serde_json::Value, vocabulary: Vocabulary) -> u64 {
    use serde_json::Value;
    match value {
        Value::String(text) if text.starts_with("data:") => 0,
        Value::String(text) => vocabulary.count(text),
        Value::Array(items) => items.iter().map(|item| text(item, vocabulary)).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !matches!(
                    &***name,
                    "type" | "input_audio" | "file" | "detail" | "inlineData" | "inline_data"
                )
            })
            .map(|(_, value)| text(value, vocabulary))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// What the request cannot do without, among what somebody in the row lacks.
fn needs(call: &Shape<'_>, row: &Row) -> Capabilities {
    let sought = if row.by_ability() {
        super::board::CHECKED
    } else {
        row.lacking
    };
    let mut needs = Capabilities::NONE;
    if sought == Capabilities::NONE || !call.route.is_chat() {
        return needs;
    }
    let seek = |capability: Capabilities| sought.has(capability);
    if call.route.dialect() == Dialect::Gemini {
        return of_contents(call, sought);
    }
    let prompt = Field::required_by(call.route)
        .and_then(|field| call.peek.value(call.body, field))
        .unwrap_or_default();
    for (capability, word) in [
        (Capabilities::VISION, &b"\"image_url\""[..]),
        (Capabilities::AUDIO_IN, b"\"input_audio\""),
        (Capabilities::PDF, b"\"file\""),
    ] {
        if seek(capability) && has_value(prompt, word) {
            needs = needs.with(capability);
        }
    }
    let of_dialect = match call.route.dialect() {
        Dialect::Anthropic => [&b"\"image\""[..], b"\"document\""],
        Dialect::Responses => [&b"\"input_image\""[..], b"\"input_file\""],
        Dialect::OpenAi | Dialect::Gemini | Dialect::Cohere => [&b""[..]; 2],
    };
    for (capability, word) in [Capabilities::VISION, Capabilities::PDF]
        .into_iter()
        .zip(of_dialect)
        .filter(|(_, word)| !word.is_empty())
    {
        if seek(capability) && has_value(prompt, word) {
            needs = needs.with(capability);
        }
    }
    let body = call.body;
    let named = |name: &[u8]| memmem::find(body, name).is_some();
    if (seek(Capabilities::TOOLS) && (named(b"\"tools\"") || named(b"\"functions\"")))
        || (seek(Capabilities::SCHEMA) && named(b"\"json_schema\""))
    {
        needs = needs.with(of_members(body).without(Capabilities(!sought.0)));
    }
    needs
}

/// What a request in Gemini's dialect cannot do without.
fn of_contents(call: &Shape<'_>, sought: Capabilities) -> Capabilities {
    let mut needs = Capabilities::NONE;
    let mut seek = |capability: Capabilities, is_there: &dyn Fn() -> bool| {
        if sought.has(capability) && is_there() {
            needs = needs.with(capability);
        }
    };
    let prompt = call
        .peek
        .value(call.body, Field::Contents)
        .unwrap_or_default();
    let of_kind = |kind: &'static [u8]| move || has_value(prompt, kind);
    seek(Capabilities::VISION, &of_kind(b"\"image/"));
    seek(Capabilities::AUDIO_IN, &of_kind(b"\"audio/"));
    seek(Capabilities::PDF, &of_kind(b"\"application/pdf\""));
    let named = |name: &[u8]| memmem::find(call.body, name).is_some();
    seek(Capabilities::TOOLS, &|| {
        named(b"\"functionDeclarations\"") || named(b"\"function_declarations\"")
    });
    seek(Capabilities::SCHEMA, &|| {
        let configs = [Field::GenerationConfig, Field::SnakeGenerationConfig];
        let mut configs = configs
            .into_iter()
            .filter_map(|field| call.peek.value(call.body, field));
        configs.any(|config| {
            let mut wanted = false;
            let read = json::members(config, |member| {
                wanted |= matches!(
                    member.raw_name(config),
                    b"responseSchema"
                        | b"response_schema"
                        | b"responseJsonSchema"
                        | b"response_json_schema"
                ) && member.value(config) != b"null";
            });
            read.is_ok() && wanted
        })
    });
    needs
}

/// What the request's members tell.
fn of_members(body: &[u8]) -> Capabilities {
    let mut needs = Capabilities::NONE;
    let read = json::members(body, |member| match member.raw_name(body) {
        b"tools" | b"functions" if !matches!(member.value(body), b"[]" | b"null") => {
            needs = needs.with(Capabilities::TOOLS);
        }
        b"response_format" | b"text" if has_value(member.value(body), b"\"json_schema\"") => {
            needs = needs.with(Capabilities::SCHEMA);
        }
        _ => {}
    });
    read.map_or(Capabilities::NONE, |_| needs)
}

/// Whether a string that begins so, or is so, stands somewhere as a value. Inside of another string
/// its quotes would be escaped.
fn has_value(text: &[u8], literal: &[u8]) -> bool {
    memmem::find_iter(text, literal).any(|at| {
        let before = text[..at]
            .iter()
            .rev()
            .find(|byte| !byte.is_ascii_whitespace());
        before == Some(&b':')
    })
}

/// The session's digest: of the header, else of the body's member, else of the user.
fn session(call: &Shape<'_>) -> Option<u64> {
    let header = call.hints.and_then(|hints| hints.session.as_ref());
    let mut hasher = FxHasher::default();
    if let Some(id) = header {
        hasher.write(id.as_bytes());
    } else {
        let text = |field| call.peek.text(call.body, field);
        let id = text(Field::SessionId).or_else(|| text(Field::User))?;
        hasher.write(id.as_bytes());
    }
    Some(hasher.finish())
}

impl Labels {
    fn read(call: &Shape<'_>, board: &Board, row: &Row) -> Option<Self> {
        let rules = || {
            let rules = board.table_rules();
            let mut of_row = row.rules.iter().map(|at| &rules[usize::from(*at)]);
            of_row.any(|rule| !rule.tags.is_empty())
        };
        if !board.options.tags && !board.words && !rules() {
            return None;
        }
        let mut labels = Self::default();
        let body = call.body;
        for field in [Field::Metadata, Field::LitellmMetadata] {
            let Some(metadata) = call.peek.value(body, field) else {
                continue;
            };
            let _ = json::members(metadata, |member| match member.raw_name(metadata) {
                b"tags" => push(&mut labels.tags, member.value(metadata)),
                b"capabilities" => push(&mut labels.words, member.value(metadata)),
                _ => {}
            });
        }
        if let Some(tags) = call.peek.value(body, Field::Tags) {
            push(&mut labels.tags, tags);
        }
        if let Some(hints) = call.hints {
            let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
            if let Some(tags) = hints.tags.as_ref().and_then(text) {
                let each = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
                labels.tags.extend(each.take(MOST_WORDS).map(str::to_owned));
            }
            labels.agent = hints.agent.as_ref().and_then(text);
        }
        let of_caller = call.who.into_iter().flat_map(Principal::tags);
        labels.tags.extend(of_caller.map(str::to_owned));
        Some(labels)
    }

    /// What the choice of a deployment looks at, once the rules have been.
    fn kept(mut self, board: &Board) -> Self {
        if !board.options.tags {
            self.tags.clear();
        }
        if !board.words {
            self.words.clear();
        }
        self
    }
}

fn borrowed(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// Adds the strings of a JSON list.
fn push(list: &mut Vec<String>, json: &[u8]) {
    if let Ok(words) = serde_json::from_slice::<Vec<String>>(json) {
        list.extend(words.into_iter().take(MOST_WORDS));
    }
}
