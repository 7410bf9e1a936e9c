//! What clients speak: each dialect is read into the one form, and written from it.
//!
//! All of it is pure. A request becomes a [`chat::Request`]; a whole [`chat::Answer`] becomes a
//! body, and [`chat::Event`]s become the events of a stream. A call whose provider speaks its
//! dialect comes here for its errors alone.

pub mod anthropic;
pub mod gemini;
pub mod media;
pub mod openai;
pub mod responses;
pub mod vectors;

use bytes::{Bytes, BytesMut};

use std::sync::Arc;

use crate::call::{Call, Dialect, Route, Shown, chat};
use crate::error::Failure;

/// The conversation of a call in the one form, read at its first use.
///
/// What is not of the form that the dialect prescribes is a fault of the caller's, and named.
pub fn read(call: &Call) -> Result<Arc<chat::Request>, Failure> {
    call.spoken.get(|| match call.route {
        Route::Chat => openai::read::chat(&call.body),
        Route::Completions => openai::read::completion(&call.body),
        Route::Messages | Route::CountTokens => anthropic::request(&call.body),
        Route::Responses | Route::InputTokens => responses::request(&call.body),
        Route::Generate | Route::GenerateStream | Route::CountContents => {
            gemini::read::chat(&call.body)
        }
        _ => Err(Failure::Internal),
    })
}

/// A request's members that a file gives, by their names in OpenAI's dialect.
pub fn read_defaults(body: &[u8]) -> Result<chat::Request, Failure> {
    openai::read::chat(body)
}

/// A whole answer to a call. `created` is the time of it, in seconds since 1970.
pub fn write(call: &Call, answer: &chat::Answer, created: u64) -> Bytes {
    match call.route {
        Route::Completions => openai::write::completion(call, answer, created),
        Route::Messages => anthropic::message(call, answer),
        Route::CountTokens => anthropic::count(answer),
        Route::Responses => responses::response(call, answer, created),
        Route::InputTokens => responses::count(answer),
        Route::Generate | Route::GenerateStream => {
            gemini::write::chat(call.name(), id(call), answer).into()
        }
        Route::CountContents => gemini::write::count(answer.usage.as_ref()).into(),
        _ => openai::write::chat(call, answer, created),
    }
}

fn id(call: &Call) -> &str {
    call.id.to_str().unwrap_or_default()
}

/// An error as those who speak the dialect read it.
pub fn error_body(dialect: Dialect, failure: &Failure) -> Vec<u8> {
    match dialect {
        Dialect::Gemini => gemini::error_body(failure),
        Dialect::Anthropic => anthropic::error_body(failure),
        Dialect::OpenAi | Dialect::Responses | Dialect::Cohere => {
            crate::error::openai_body(failure)
        }
    }
}

/// The last event of a stream that broke.
pub fn push_error(dialect: Dialect, failure: &Failure, out: &mut BytesMut) {
    if dialect == Dialect::Anthropic {
        out.extend_from_slice(b"event: error\n");
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&error_body(dialect, failure));
    out.extend_from_slice(b"\n\n");
}

/// Writes a stream.
#[derive(Debug)]
pub enum Encoder {
    /// Chunks of chat or of text.
    OpenAi(openai::Encoder),
    /// Events of a message.
    Anthropic(anthropic::Encoder),
    /// Answers of Gemini's that each hold what is new.
    Gemini(Box<gemini::Encoder>),
    /// Events of a response.
    Responses(Box<responses::Encoder>),
}

impl Encoder {
    /// Writes the stream that answers a call. `created` is the time of it, in seconds since 1970;
    /// `usage` says whether the caller is told what it took, where its dialect leaves the choice.
    pub fn new(call: &Call, created: u64, usage: bool) -> Self {
        match call.route.dialect() {
            Dialect::Anthropic => Self::Anthropic(anthropic::Encoder::new(call)),
            Dialect::Gemini => {
                let (model, id) = (call.name().to_owned(), id(call).to_owned());
                let encoder = gemini::Encoder::new(model, id, call.as_list);
                Self::Gemini(Box::new(encoder))
            }
            Dialect::Responses => Self::Responses(Box::new(responses::Encoder::new(call, created))),
            _ => Self::OpenAi(openai::Encoder::new(call, created, usage)),
        }
    }

    /// Writes on the stream of a call that broke where the caller has `shown` of it.
    pub fn resumed(call: &Call, shown: &Shown, created: u64, usage: bool) -> Self {
        match call.route.dialect() {
            Dialect::Anthropic => Self::Anthropic(anthropic::Encoder::resumed(call, shown)),
            _ => Self::OpenAi(openai::Encoder::resumed(call, shown, created, usage)),
        }
    }

    /// What the caller has, but for the words; `None` if nobody else can write it on.
    pub fn shown(&self) -> Option<Shown> {
        match self {
            Self::OpenAi(encoder) => encoder.shown(),
            Self::Anthropic(encoder) => encoder.shown(),
            Self::Gemini(_) | Self::Responses(_) => None,
        }
    }

    /// Writes what happened.
    pub fn push(&mut self, event: &chat::Event, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.push(event, out),
            Self::Anthropic(encoder) => encoder.push(event, out),
            Self::Gemini(encoder) => encoder.push(event, out),
            Self::Responses(encoder) => encoder.push(event, out),
        }
    }

    /// Writes the end of a stream that is complete.
    pub fn finish(&mut self, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.finish(out),
            Self::Anthropic(encoder) => encoder.finish(out),
            Self::Responses(encoder) => encoder.finish(out),
            Self::Gemini(encoder) => encoder.finish(out),
        }
    }

    /// Writes an error as the last event of a stream that broke.
    pub fn fail(&mut self, failure: &Failure, out: &mut BytesMut) {
        match self {
            Self::OpenAi(_) => push_error(Dialect::OpenAi, failure, out),
            Self::Anthropic(_) => push_error(Dialect::Anthropic, failure, out),
            Self::Responses(encoder) => encoder.fail(failure, out),
            Self::Gemini(encoder) => encoder.fail(&gemini::error_body(failure), out),
        }
    }
}
