//! What a provider's wire protocol is: a translation both ways, without sockets, clock or
//! environment.
//!
//! A protocol takes a request in the one form ([`chat`], [`vectors`](crate::call::vectors)) and
//! says what goes to the provider; it takes what the provider says and gives the one form back.
//! Where it goes, with which credential, how long to wait and when to ask somebody else is not its
//! business.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pointsman_routes::table::Deployment;

use crate::call::Dialect;
use crate::call::chat;
use crate::call::vectors::{EmbedAnswer, EmbedRequest, RerankAnswer, RerankRequest};
pub use crate::error::Special as Refusal;

/// A provider's wire protocol.
///
/// Every method is pure. What a protocol cannot say is an [`Unfit`], never dropped in silence.
pub trait Protocol: fmt::Debug + Send + Sync {
    /// The front door's dialect whose bytes this protocol takes as they are for this model, but for
    /// the model's name and what speaks to the gateway; `None` if there is no such.
    fn dialect(&self, _model: &str) -> Option<Dialect> {
        None
    }

    /// The path and query behind the base URL. `None` if the protocol has no such task.
    fn path(&self, task: Task, model: &str) -> Option<String>;

    /// Headers of every request, but for the credential.
    fn headers(&self, _ask: &Ask<'_>) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// A conversation, as the provider gets it.
    fn write_chat(&self, _ask: &Ask<'_>, _chat: &chat::Request) -> Result<Written, Unfit> {
        Err(Unfit::task("chat completions"))
    }

    /// A whole answer to a conversation. Of [`Task::CountTokens`], the count is the prompt of the
    /// answer's usage, and there is nothing else.
    fn read_chat(&self, _ask: &Ask<'_>, _body: &[u8]) -> Result<chat::Answer, Unreadable> {
        Err(Unreadable::new("The protocol has no chat completions."))
    }

    /// Whether the provider must be given the bytes of an image or a document at this address of the
    /// web, because it does not fetch it itself. The gateway does then, and
    /// [`write_chat`](Self::write_chat) sees the bytes in its place.
    fn wants_bytes(&self, _ask: &Ask<'_>, _part: &chat::Part, _url: &str) -> bool {
        false
    }

    /// Reads the answer to a conversation as it comes.
    fn decoder(&self, _ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(Silent)
    }

    /// The content type that promises a stream, without parameters.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// Whether the model gives speech, or images, as the turn of a conversation: OpenAI's requests for
    /// those are written as one.
    fn gives(&self, _media: Gives, _model: &str) -> bool {
        false
    }

    /// A request for embeddings, as the provider gets it.
    fn write_embed(&self, _ask: &Ask<'_>, _embed: &EmbedRequest) -> Result<Written, Unfit> {
        Err(Unfit::task("embeddings"))
    }

    /// Embeddings. `asked` is how many there must be.
    fn read_embed(
        &self,
        _ask: &Ask<'_>,
        _body: &[u8],
        _asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        Err(Unreadable::new("The protocol has no embeddings."))
    }

    /// A request for a ranking, as the provider gets it.
    fn write_rerank(&self, _ask: &Ask<'_>, _rerank: &RerankRequest) -> Result<Written, Unfit> {
        Err(Unfit::task("rerank"))
    }

    /// A ranking.
    fn read_rerank(&self, _ask: &Ask<'_>, _body: &[u8]) -> Result<RerankAnswer, Unreadable> {
        Err(Unreadable::new("The protocol has no ranking."))
    }

    /// What an answer without success says. The words are redacted by whoever passes them on.
    fn told(&self, status: StatusCode, body: &[u8]) -> Told;
}

/// What is no text and comes as the turn of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// What is said to it, spoken.
    Speech,
    /// Images of what is said to it.
    Images,
}

/// What a provider is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// The next turn of a conversation, whole.
    Chat,
    /// The next turn of a conversation, as it comes.
    Stream,
    /// Embeddings of words or images.
    Embed,
    /// A ranking of documents.
    Rerank,
    /// How many tokens a conversation has.
    CountTokens,
}

/// What a protocol is told about a request beside what is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is to be done.
    pub task: Task,
    /// The model as the provider knows it.
    pub model: &'a str,
    /// Who is asked, with the file's options for it.
    pub deployment: &'a Deployment,
    /// What becomes of parameters that the protocol lacks.
    pub params: Params<'a>,
}

/// What becomes of parameters that a protocol lacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// They are left out (`drop_params`), and do not make the request unfit.
    pub drop: bool,
    /// Conversations that the provider would refuse are mended (`modify_params`).
    pub mend: bool,
    /// Names that the file lets through untouched (`allowed_openai_params`).
    pub allowed: &'a [Cow<'static, str>],
}

impl Params<'_> {
    /// Says that the protocol lacks `name`, which the request has: an error, unless such names are
    /// left out, in which case `dropped` notes it.
    pub fn lacks(&self, name: &'static str, dropped: &mut Vec<&'static str>) -> Result<(), Unfit> {
        if !self.drop {
            return Err(Unfit::parameter(name));
        }
        dropped.push(name);
        Ok(())
    }
}

/// A request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// As the provider gets it.
    pub body: Bytes,
    /// Headers that this request needs beside [`Protocol::headers`], such as `anthropic-beta`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Parameters that were left out, for the caller to be told.
    pub dropped: Vec<&'static str>,
}

/// Why a request cannot be said in a protocol. The caller is told with status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The parameter of the request that it is about, if it is about one.
    pub param: Option<Cow<'static, str>>,
    /// What is wrong, as a sentence. Holds nothing of the conversation.
    pub what: Cow<'static, str>,
    /// Whether `drop_params` would help: LiteLLM's `UnsupportedParamsError`.
    pub droppable: bool,
}

impl Unfit {
    /// The protocol lacks a parameter.
    pub fn parameter(name: &'static str) -> Self {
        Self {
            param: Some(name.into()),
            what: format!("does not support parameters: ['{name}']").into(),
            droppable: true,
        }
    }

    /// The protocol lacks a whole task.
    pub fn task(name: &'static str) -> Self {
        Self::new(None, format!("does not offer {name}"))
    }

    /// Something in the request cannot be said, whatever is left out.
    pub fn new(param: Option<&'static str>, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            param: param.map(Cow::Borrowed),
            what: what.into(),
            droppable: false,
        }
    }
}

/// An answer that cannot be read. The words hold nothing of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub Cow<'static, str>);

impl Unreadable {
    /// What is wrong, as a sentence.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// What a provider says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// In its words.
    pub message: Option<String>,
    /// The parameter that it is about.
    pub param: Option<String>,
    /// The provider's code or type of the error.
    pub code: Option<String>,
    /// The status that it amounts to, where an error is told with another one, or within a stream.
    pub status: Option<StatusCode>,
    /// What kind of refusal it is, where the protocol can tell.
    pub kind: Option<Refusal>,
    /// How long to wait before the next try, where the body says so. A `retry-after` header wins.
    pub retry_after: Option<Duration>,
}

/// Reads a stream.
pub trait Decoder: fmt::Debug + Send {
    /// Takes bytes as they come, cut anywhere, and says what happened. What happened before an
    /// error is in `events`.
    fn push(&mut self, chunk: Bytes, events: &mut Vec<chat::Event>) -> Result<(), Broken>;

    /// The bytes have ended. An error if the stream is not complete.
    fn finish(&mut self, events: &mut Vec<chat::Event>) -> Result<(), Broken>;
}

/// Why a stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// An event is longer than the gateway holds.
    TooLong,
    /// An event cannot be read; the words hold nothing of it.
    Malformed(Cow<'static, str>),
    /// The bytes ended before the answer did.
    Cut,
    /// The provider told an error.
    Told(Told),
}

/// The stream of a protocol that has none: whatever comes cannot be read.
#[derive(Clone, Copy, Debug)]
struct Silent;

impl Decoder for Silent {
    fn push(&mut self, _chunk: Bytes, _events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        Err(Broken::Malformed("The protocol has no streams.".into()))
    }

    fn finish(&mut self, _events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        Err(Broken::Cut)
    }
}
