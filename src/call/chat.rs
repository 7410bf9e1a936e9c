//! The one form in which a conversation passes between dialects.
//!
//! Every front door reads its dialect into a [`Request`] and writes its dialect from an [`Answer`]
//! or from [`Event`]s; every provider protocol does the reverse. So there are as many translations
//! as there are dialects and protocols together, and none for each pair. A request whose dialect is
//! its provider's own never takes this form.
//!
//! The form is shaped like OpenAI's chat completions, with what others have besides: the parts of a
//! message stand in the order in which they were said, thinking is a part with its signature, and
//! what has no place of its own is kept in `rest` under the name that it came by.

use serde_json::{Map, Number, Value};

use super::Usage;
pub use super::schema::Schema;

/// A conversation that asks for the next turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// What was said so far, instructions among it.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must call one.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// The form of what it says.
    pub format: Option<Format>,
    /// Most tokens of the answer, thinking among them.
    pub max_tokens: Option<u64>,
    /// Sampling, 0 to 2.
    pub temperature: Option<Number>,
    /// Sampling, 0 to 1.
    pub top_p: Option<Number>,
    /// Sampling: the likeliest so many.
    pub top_k: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Answers wanted.
    pub n: Option<u64>,
    /// Makes sampling repeatable, where the provider can.
    pub seed: Option<i64>,
    /// −2 to 2.
    pub presence_penalty: Option<Number>,
    /// −2 to 2.
    pub frequency_penalty: Option<Number>,
    /// Whether likelihoods of the tokens are wanted.
    pub logprobs: Option<bool>,
    /// Of how many tokens at each place.
    pub top_logprobs: Option<u64>,
    /// How long to think.
    pub reasoning: Option<Reasoning>,
    /// The caller's own user, for the provider's abuse control.
    pub user: Option<String>,
    /// The caller's choice of capacity.
    pub service_tier: Option<String>,
    /// Members that no other field holds, by their name in the dialect that they came in.
    pub rest: Map<String, Value>,
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The speaker's name, if several share a role.
    pub name: Option<String>,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions, `developer` ones too.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
    /// Results of functions: the parts are [`Part::Result`]s.
    Tool,
    /// One that this form does not know.
    Other(String),
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Said in words.
    Text(Text),
    /// Thought before it was said.
    Thinking(Thinking),
    /// An image.
    Image(Media),
    /// A document, such as a PDF.
    Document(Media),
    /// Sound.
    Audio(Media),
    /// Moving pictures.
    Video(Media),
    /// A call of a function.
    Call(ToolCall),
    /// What a function gave.
    Result(ToolResult),
    /// The model's words where it refuses.
    Refusal(String),
    /// A part that only the dialect it came in knows, such as a call of a provider's own tool. It
    /// goes on only to a provider of that dialect.
    Other {
        /// Whose it is.
        dialect: super::Dialect,
        /// As it came.
        value: Value,
    },
}

/// Words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    /// The words.
    pub text: String,
    /// `cache_control`, as Anthropic writes it.
    pub cache: Option<Value>,
    /// Sources, as OpenAI's `annotations`.
    pub annotations: Vec<Value>,
    /// What a provider wants back with these words in the next turn (Gemini's `thoughtSignature`).
    pub signature: Option<String>,
}

/// Thought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thinking {
    /// What was thought, or a summary; empty if it is hidden.
    pub text: String,
    /// The provider's proof that it thought so; it wants it back unchanged.
    pub signature: Option<String>,
    /// Thought that only the provider can read.
    pub redacted: Option<String>,
}

/// An image, a document or sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// Where the bytes are.
    pub source: Source,
    /// Its kind, such as `image/png`, if it is known.
    pub mime: Option<String>,
    /// A file's name or a document's title.
    pub name: Option<String>,
    /// How closely to look (`low`, `high`, `auto`).
    pub detail: Option<String>,
    /// `cache_control`, as Anthropic writes it.
    pub cache: Option<Value>,
}

/// Where the bytes of a [`Media`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Here, in base64 as they came.
    Base64(String),
    /// At an address.
    Url(String),
    /// At the provider, under this id.
    File(String),
    /// A document of plain text.
    Text(String),
}

impl Default for Source {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// By which its result names it.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments: the text of a JSON object, as the model wrote it.
    pub arguments: String,
    /// What the provider wants back with it in the next turn (Gemini's `thoughtSignature`).
    pub signature: Option<String>,
    /// `cache_control`, as Anthropic writes it.
    pub cache: Option<Value>,
}

/// What a function gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// The call that it answers.
    pub id: String,
    /// The function, if the dialect names it.
    pub name: Option<String>,
    /// Words and images.
    pub parts: Vec<Part>,
    /// Whether it failed.
    pub error: bool,
    /// `cache_control`, as Anthropic writes it.
    pub cache: Option<Value>,
}

/// What a model may call.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// A function of the caller's.
    Function(Function),
    /// A tool of the provider's own, such as web search, in the dialect it came in.
    Builtin {
        /// Whose it is.
        dialect: super::Dialect,
        /// As it came.
        value: Value,
    },
}

/// A function of the caller's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments, if there is one.
    pub parameters: Option<Schema>,
    /// Whether arguments must match it exactly.
    pub strict: Option<bool>,
    /// `cache_control`, as Anthropic writes it.
    pub cache: Option<Value>,
}

/// Whether a model must call a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// It must not.
    None,
    /// It must call one or more.
    Required,
    /// It must call this one.
    Function(String),
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any text.
    Text,
    /// A JSON object.
    Object,
    /// JSON of a schema.
    Schema {
        /// The schema's name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Whether the answer must match it exactly.
        strict: Option<bool>,
    },
}

/// How long to think, in the two ways that there are to say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// In a word.
    pub effort: Option<Effort>,
    /// In tokens; zero is not at all.
    pub budget: Option<u64>,
    /// The model is to choose itself (Anthropic's `adaptive`, Gemini's budget of −1).
    pub adaptive: bool,
    /// Whether thoughts are wanted in the answer.
    pub shown: Option<bool>,
}

/// How long to think, in a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    None,
    /// Next to nothing.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as there is (`xhigh`, `max`).
    Max,
    /// One that this form does not know.
    Other(String),
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The provider's id, if it gives one.
    pub id: Option<String>,
    /// The provider's name of the model.
    pub model: Option<String>,
    /// The turns it offers; all but OpenAI's dialect know only one.
    pub choices: Vec<Choice>,
    /// What it took.
    pub usage: Option<Usage>,
    /// Members that OpenAI's answers have besides (`system_fingerprint`, `service_tier`,
    /// `citations`), or that go into `provider_specific_fields`.
    pub rest: Map<String, Value>,
}

/// A turn that a model offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Why it ends.
    pub finish: Option<Finish>,
    /// The text that ended it, if one of [`Request::stop`] did.
    pub stop_sequence: Option<String>,
    /// Likelihoods in OpenAI's form.
    pub logprobs: Option<Value>,
    /// What goes into `provider_specific_fields` of the message.
    pub rest: Map<String, Value>,
}

/// Why a turn ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Stop,
    /// A text of [`Request::stop`] came.
    StopSequence,
    /// [`Request::max_tokens`] or the window is used up.
    Length,
    /// Functions are to be called.
    ToolCalls,
    /// The provider's filter stopped it.
    ContentFilter,
    /// The model refuses.
    Refusal,
    /// It pauses a long turn (Anthropic's `pause_turn`).
    Pause,
    /// One that this form does not know.
    Other(String),
}

/// What happens in a stream, in order. An [`Event`] says what is new; whoever writes a dialect with
/// blocks opens and closes them where the kind of what is said changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins: its id, the provider's name of the model, and what the prompt took, if
    /// that is known by now. At most once, and first.
    Start {
        /// The provider's id.
        id: Option<String>,
        /// The provider's name of the model.
        model: Option<String>,
        /// What is known of the usage.
        usage: Option<Usage>,
    },
    /// More of a turn.
    Delta {
        /// Which of [`Answer::choices`].
        choice: u32,
        /// What is new.
        delta: Delta,
    },
    /// A turn ends.
    Finish {
        /// Which of [`Answer::choices`].
        choice: u32,
        /// Why.
        finish: Finish,
        /// The text that ended it, if one of [`Request::stop`] did.
        stop_sequence: Option<String>,
    },
    /// What it took, all of it up to now; the last one counts.
    Usage(Usage),
    /// As [`Answer::rest`].
    Rest(Map<String, Value>),
}

/// What is new in a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Words.
    Text(String),
    /// Thought.
    Thinking(String),
    /// The proof of the thought before it, which ends it.
    Signature(String),
    /// Thought that only the provider can read, whole.
    Redacted(String),
    /// A call begins. The calls of a turn are counted from 0, and their pieces do not mix.
    Call {
        /// Which call of the turn.
        index: u32,
        /// By which its result names it.
        id: String,
        /// The function.
        name: String,
        /// As [`ToolCall::signature`].
        signature: Option<String>,
    },
    /// More of the arguments of a call that has begun.
    Arguments {
        /// Which call of the turn.
        index: u32,
        /// A piece of the JSON text.
        text: String,
    },
    /// Words of a refusal.
    Refusal(String),
    /// A source of the words before it, as one of OpenAI's `annotations`.
    Annotation(Value),
    /// Likelihoods in OpenAI's form.
    Logprobs(Value),
    /// An image or sound, whole.
    Media(Part),
    /// As [`Part::Other`], whole.
    Other {
        /// Whose it is.
        dialect: super::Dialect,
        /// As it came.
        value: Value,
    },
    /// As [`Choice::rest`].
    Rest(Map<String, Value>),
}

impl Request {
    /// Takes what it lacks from `other`: what is asked for, not what is said.
    pub fn fill(&mut self, other: Self) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(other.$field);)* };
        }
        fill! {
            tool_choice parallel_tool_calls format max_tokens temperature top_p top_k n seed
            presence_penalty frequency_penalty logprobs top_logprobs reasoning user service_tier
        }
        if self.tools.is_empty() {
            self.tools = other.tools;
        }
        if self.stop.is_empty() {
            self.stop = other.stop;
        }
        for (name, value) in other.rest {
            self.rest.entry(name).or_insert(value);
        }
    }
}

impl Message {
    /// A turn of words.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            parts: vec![Part::text(text)],
            name: None,
        }
    }
}

impl Part {
    /// Words without anything about them.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text {
            text: text.into(),
            ..Text::default()
        })
    }
}
