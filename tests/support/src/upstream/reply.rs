//! What a request gets from the fake upstream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One scripted answer. [`Reply::default`] answers as OpenAI would; each field bends one thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each bends one thing, and any two may meet"
)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside the usual ones; one of the same name replaces the usual one.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Content,
    /// Milliseconds before the head of the response.
    pub wait_head: u64,
    /// Milliseconds between head and first byte.
    pub wait_first_byte: u64,
    /// Milliseconds between two pieces of the body.
    pub wait_between: u64,
    /// Whether the head waits for [`Upstream::release`](super::Upstream::release).
    pub hold_head: bool,
    /// The byte of the body before which it waits for the release.
    pub hold_at: Option<usize>,
    /// Into which pieces the body is cut.
    pub pieces: Pieces,
    /// How lines of a stream end.
    pub line_end: LineEnd,
    /// Whether comment lines stand between the events of a stream.
    pub comments: bool,
    /// When a stream tells its usage.
    pub usage: Usage,
    /// Whether a stream ends with `[DONE]`.
    pub done: bool,
    /// How the body ends.
    pub ending: Ending,
    /// Whether the body is compressed.
    pub gzip: bool,
    /// Whether the credential comes back in the header `x-echo-credential`.
    pub echo_credential: bool,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content: Content::Usual,
            wait_head: 0,
            wait_first_byte: 0,
            wait_between: 0,
            hold_head: false,
            hold_at: None,
            pieces: Pieces::AsMade,
            line_end: LineEnd::Lf,
            comments: false,
            usage: Usage::IfAsked,
            done: true,
            ending: Ending::Clean,
            gzip: false,
            echo_credential: false,
        }
    }
}

/// A body.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// What OpenAI would answer to the request.
    #[default]
    Usual,
    /// An OpenAI error of the reply's status with this message.
    Error(String),
    /// This JSON.
    Json(Value),
    /// This text, whatever it is; its type is `application/json` unless a header says otherwise.
    Text(String),
    /// The data of these events, in order; with [`Reply::done`], `[DONE]` after them.
    Events(Vec<String>),
    /// An HTML page, as a load balancer sends.
    Html,
    /// A chat answer whose text has this many bytes.
    Long(usize),
    /// Nothing: the connection is closed in place of a response.
    HangUp,
}

/// How a body is cut. Each piece is a frame of its own on the wire.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pieces {
    /// One event, one piece; one piece for a body that is no stream.
    #[default]
    AsMade,
    /// All in one piece.
    Whole,
    /// A cut before each of these bytes.
    At(Vec<usize>),
    /// So many bytes each.
    Every(usize),
}

/// The end of a line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the name of its characters")]
pub enum LineEnd {
    #[default]
    Lf,
    CrLf,
    Cr,
}

impl LineEnd {
    /// The characters.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// When a stream tells its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// With `stream_options.include_usage`: `null` in each chunk, the figures in one of its own.
    #[default]
    IfAsked,
    /// Always, in a chunk of its own, as some servers do.
    Always,
    /// Always, in the last chunk that has a choice.
    InLastChoice,
    /// Never, asked or not.
    Never,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Whole.
    #[default]
    Clean,
    /// The connection breaks after so many bytes.
    CutAfter(usize),
    /// Nothing more comes after so many bytes, and the connection stays open.
    StallAfter(usize),
}

impl Reply {
    /// An OpenAI error.
    pub fn error(status: u16, message: &str) -> Self {
        Self {
            status,
            content: Content::Error(message.into()),
            ..Self::default()
        }
    }

    /// A 429 that says when to come back.
    pub fn rate_limited(retry_after: &str) -> Self {
        Self::error(429, "Rate limit reached for requests").header("retry-after", retry_after)
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        let content = Content::Text(String::new());
        Self {
            status,
            content,
            ..Self::default()
        }
        .header("location", location)
    }

    /// This text as the body of a 200.
    pub fn text(text: &str) -> Self {
        Self {
            content: Content::Text(text.into()),
            ..Self::default()
        }
    }

    /// These events as a stream.
    pub fn events<T: Into<String>>(events: impl IntoIterator<Item = T>) -> Self {
        let events = events.into_iter().map(Into::into).collect();
        Self {
            content: Content::Events(events),
            ..Self::default()
        }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}
