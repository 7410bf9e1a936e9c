//! The values that travel: a [`Call`] on the way in, an [`Attempt`] at each deployment, an
//! [`Answer`] on the way back.

mod about;
pub mod chat;
pub mod controls;
mod ends;
pub mod length;
pub mod means;
pub mod models;
pub mod peek;
mod principal;
mod said;
mod schema;
mod spoken;
mod tab;
pub mod tokens;
mod trail;
pub mod vectors;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pointsman_routes::table::{DeploymentId, GroupId, Target};
use pointsman_routes::usd::Usd;

pub use self::about::{About, Notes, Peer, name_end_user};
pub use self::controls::{Controls, Hop};
pub use self::ends::{
    Again, AnswerEnd, Broke, Ends, GoingOn, OnEnd, OnLast, Piece, Resumed, StreamEnd, StreamOutcome,
};
pub use self::peek::{Field, Peek};
pub use self::principal::Principal;
pub use self::said::{Said, Shown};
pub use self::spoken::Spoken;
pub use self::tab::Tab;
pub use self::trail::{Left, Lost, Reached, Trail};
use crate::live::{Issued, Live};
use crate::wire::form::File;
pub use crate::wire::route::{Dialect, Route};

impl Field {
    /// The member that a request of this route must have; `None` if that is a
    /// [file](Route::file).
    pub const fn required_by(route: Route) -> Option<Self> {
        match route {
            Route::Chat | Route::Messages | Route::CountTokens => Some(Self::Messages),
            Route::Completions | Route::Images | Route::ImageEdits => Some(Self::Prompt),
            Route::Embeddings
            | Route::Moderations
            | Route::Speech
            | Route::Responses
            | Route::InputTokens
            | Route::Compact => Some(Self::Input),
            Route::Rerank => Some(Self::Query),
            Route::Generate | Route::GenerateStream | Route::CountContents => Some(Self::Contents),
            Route::EmbedContent => Some(Self::Content),
            Route::EmbedContents => Some(Self::Requests),
            Route::ImageVariations
            | Route::Transcriptions
            | Route::Translations
            | Route::Retrieve
            | Route::InputItems
            | Route::Cancel
            | Route::Delete => None,
        }
    }

    /// The members that bound the length of an answer, the newer name first.
    pub const fn bounds(route: Route) -> &'static [Self] {
        match route {
            Route::Responses => &[Self::MaxOutputTokens],
            _ => &[Self::MaxCompletionTokens, Self::MaxTokens],
        }
    }

    /// Whether only OpenAI's responses have it; elsewhere it is a member like any other.
    pub const fn is_of_responses(self) -> bool {
        matches!(
            self,
            Self::MaxOutputTokens
                | Self::PreviousResponseId
                | Self::Conversation
                | Self::Background
        )
    }
}

/// A request, read once.
#[derive(Clone, Debug)]
pub struct Call {
    /// `x-litellm-call-id`.
    pub id: HeaderValue,
    /// The table in force when it came; it holds to the end.
    pub live: Arc<Live>,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// What is asked for.
    pub route: Route,
    /// The model, as the caller wrote it.
    pub asked: Arc<str>,
    /// What that name stands for, or the fallback that stands in for it.
    pub target: Target,
    /// The fallback, if the call is at one.
    pub fallback: Option<Fallback>,
    /// The body as it came; of a form, its plain fields as a JSON object.
    pub body: Bytes,
    /// The files of a body that was a form.
    pub files: Option<Arc<[File]>>,
    /// What is known of the body.
    pub peek: Peek,
    /// The body in the one form, once it was read so.
    pub spoken: Spoken,
    /// What the caller has of a stream that broke, if this is to go on with one.
    pub resumed: Option<Arc<Shown>>,
    /// The response that it is about, if it is about one that is kept.
    pub kept: Option<Box<KeptAt>>,
    /// The caller wants usage at the end of its stream.
    pub wants_usage: bool,
    /// Its stream is to be one JSON list, as Gemini's is without `alt=sse`.
    pub as_list: bool,
    /// Deadline of an attempt, if the caller set one.
    pub timeout: Option<Duration>,
    /// Deadline of the first chunk, if the caller set one.
    pub stream_timeout: Option<Duration>,
    /// What it says of retries and fallbacks, if it does.
    pub controls: Option<Box<Controls>>,
    /// Headers of the caller's that go on to a provider of its own dialect.
    pub passed: Vec<(HeaderName, HeaderValue)>,
    /// What its headers say to whoever chooses, if that matters by the file.
    pub hints: Option<Box<Hints>>,
    /// What it says of itself for the spend log.
    pub about: About,
    /// What it took, when that is known.
    pub tab: Arc<Tab>,
    /// When its head had been read.
    pub arrived: Instant,
}

/// Where a call is that was not answered by the group it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The group that was asked for.
    pub from: GroupId,
    /// The name of what stands in for it; the answer bears it.
    pub name: Arc<str>,
}

/// A response that a provider keeps, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAt {
    /// What the id says that the caller has.
    pub issued: Issued,
    /// The caller's query, without its question mark.
    pub query: String,
}

/// What the headers of a request say to whoever chooses.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// `x-litellm-tags`: words with commas between.
    pub tags: Option<HeaderValue>,
    /// `user-agent`.
    pub agent: Option<HeaderValue>,
    /// `x-litellm-session-id`.
    pub session: Option<HeaderValue>,
}

impl Call {
    /// Whether its answer goes on when the request has ended: OpenAI's `background`.
    pub fn in_background(&self) -> bool {
        self.route == Route::Responses
            && self.peek.value(&self.body, Field::Background) == Some(b"true")
    }

    /// The group that answers, or that holds the deployment that does.
    pub fn group(&self) -> GroupId {
        match self.target {
            Target::Group(group) => group,
            Target::Deployment(deployment) => self.live.deployment(deployment).group,
        }
    }

    /// A deployment's model as its provider knows it, `*` filled with what the caller's name
    /// matched; that of a health check, if this is one that has a model of its own.
    pub fn model_of(&self, deployment: DeploymentId) -> Cow<'_, str> {
        let controls = self.controls.as_deref();
        if let Some(model) = controls.and_then(|controls| controls.model.as_deref()) {
            return Cow::Borrowed(model);
        }
        let model = &*self.live.deployment(deployment).model;
        if !model.contains('*') {
            return Cow::Borrowed(model);
        }
        self.live
            .table()
            .resolve(self.name())
            .map_or(Cow::Borrowed(model), |name| name.fill(model))
    }

    /// The public name of [`group`](Self::group).
    pub fn group_name(&self) -> &str {
        self.name_of(self.group())
    }

    /// The group that was asked for, whoever answers.
    pub fn requested(&self) -> GroupId {
        match &self.fallback {
            Some(fallback) => fallback.from,
            None => self.group(),
        }
    }

    /// The public name of a group of its table.
    pub fn name_of(&self, group: GroupId) -> &str {
        &self.live.routes().groups[usize::from(group.0)].name
    }

    /// The name that its spend is counted under: the group that was asked for, or for a pattern what
    /// the caller wrote. It stays the same at fallbacks, so that what was reserved for a model is
    /// what is settled for it.
    pub fn counted_as(&self) -> &str {
        let group = self.name_of(self.requested());
        if group.contains('*') {
            &self.asked
        } else {
            group
        }
    }

    /// The name that the answer bears: as the caller wrote it, or the fallback's.
    pub fn name(&self) -> &str {
        match &self.fallback {
            Some(fallback) => &fallback.name,
            None => &self.asked,
        }
    }

    /// The call at a fallback. `None` if the changes that the caller wants there make no request.
    pub fn at(&self, hop: &Hop) -> Option<Self> {
        let fallback = Some(Fallback {
            from: self.requested(),
            name: Arc::clone(&hop.name),
        });
        let (body, peek) = match &hop.changes {
            None => (self.body.clone(), self.peek.clone()),
            Some(changes) => {
                let body = controls::merge(&self.body, changes)?;
                let peek = peek::peek(&body).ok()?.on(self.route);
                (body, peek)
            }
        };
        // What is reserved, and until when, was settled when it came.
        let background = |body, peek: &Peek| peek.value(body, Field::Background) == Some(b"true");
        if self.route == Route::Responses
            && background(&body, &peek) != background(&self.body, &self.peek)
        {
            return None;
        }
        Some(Self {
            target: hop.target,
            fallback,
            body,
            peek,
            spoken: Spoken::default(),
            ..self.clone()
        })
    }
}

/// One send to one deployment.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is asked.
    pub call: Arc<Call>,
    /// Who is asked.
    pub deployment: DeploymentId,
    /// When somebody else is to be asked if a stream has no first event by then.
    pub first_token: Option<Duration>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer<S> {
    /// Who answered.
    pub deployment: DeploymentId,
    /// The provider's status, a success.
    pub status: StatusCode,
    /// The provider's headers.
    pub headers: HeaderMap,
    /// From the send to the provider's head.
    pub latency: Duration,
    /// Parameters of the request that the provider did not get.
    pub dropped: Vec<Cow<'static, str>>,
    /// What it says.
    pub body: AnswerBody<S>,
}

/// The body of an [`Answer`].
#[derive(Debug)]
pub enum AnswerBody<S> {
    /// All of it.
    Whole {
        /// As the caller gets it.
        bytes: Bytes,
        /// What it took, if the provider says.
        usage: Option<Usage>,
    },
    /// Events to come.
    Stream(S),
}

/// What a call took, in units; each provider's figures end in this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones among them.
    pub prompt: u64,
    /// Tokens of the answer, reasoning ones among them.
    pub completion: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// Of [`cache_write`](Self::cache_write): to be kept for an hour, which costs more.
    pub cache_write_hour: u64,
    /// Answer tokens that were thought, not said.
    pub reasoning: u64,
    /// Prompt tokens that were heard.
    pub audio_input: u64,
    /// Answer tokens that were spoken.
    pub audio_output: u64,
    /// Prompt tokens that were seen in images.
    pub image_input: u64,
    /// Answer tokens of images.
    pub image_output: u64,
    /// Searches of the web that the provider made.
    pub searches: u64,
    /// Queries, of providers that sell rankings by those.
    pub queries: u64,
    /// Images that were made, of models that are sold by those and not by tokens.
    pub images: u64,
    /// Milliseconds of audio that were heard, of models that are sold by those.
    pub audio_millis: u64,
    /// Characters that were spoken, of models that are sold by those.
    pub characters: u64,
    /// What it cost, if the provider says so itself.
    pub cost: Option<Usd>,
}

impl Usage {
    /// Both, of two pieces of one answer.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_hour: self.cache_write_hour.saturating_add(other.cache_write_hour),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            image_input: self.image_input.saturating_add(other.image_input),
            image_output: self.image_output.saturating_add(other.image_output),
            searches: self.searches.saturating_add(other.searches),
            queries: self.queries.saturating_add(other.queries),
            images: self.images.saturating_add(other.images),
            audio_millis: self.audio_millis.saturating_add(other.audio_millis),
            characters: self.characters.saturating_add(other.characters),
            // What only one of them tells is not the cost of both.
            cost: self
                .cost
                .zip(other.cost)
                .map(|(one, other)| one.plus(other)),
        }
    }

    /// Prompt and answer together.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

impl From<crate::wire::openai::Usage> for Usage {
    fn from(usage: crate::wire::openai::Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
            cache_read: usage.cached_tokens,
            reasoning: usage.reasoning_tokens,
            audio_input: usage.prompt_audio_tokens,
            audio_output: usage.completion_audio_tokens,
            image_input: usage.prompt_image_tokens,
            image_output: usage.completion_image_tokens,
            audio_millis: usage.audio_millis,
            ..Self::default()
        }
    }
}

#[cfg(test)]
pub(crate) mod example {
    //! Calls for unit tests.

    use pointsman_routes::Table;

    use super::*;

    /// A call of `body` against a config, with `KEY` and every other variable set to `sk-secret`.
    pub(crate) fn call(config: &str, route: Route, body: &str) -> Call {
        let outcome = pointsman_routes::load("test.yaml", config);
        let Some(loaded) = outcome.loaded else {
            panic!(
                "{}",
                outcome
                    .diagnostics
                    .iter()
                    .map(ToString::to_string)
                    .collect::<String>()
            )
        };
        let addresses = ["BASE", "ENDPOINT", "REGION"];
        let is_address = |name: &str| addresses.iter().any(|word| name.contains(word));
        let env = |name: &str| (!is_address(name)).then(|| "sk-secret".to_owned());
        let table = Table::loaded(loaded.routes);
        let live = Live::bind(table, &loaded.literals, &env, "test.yaml".to_owned()).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let peek = peek::peek(&body).unwrap().on(route);
        let asked = peek.text(&body, Field::Model).unwrap().into_owned();
        let target = live.table().resolve(&asked).unwrap().target;
        Call {
            id: HeaderValue::from_static("test"),
            principal: Arc::new(Principal::master()),
            route,
            asked: asked.into(),
            target,
            fallback: None,
            wants_usage: peek.stream && peek.wants_usage(&body),
            as_list: false,
            body,
            peek,
            files: None,
            spoken: Spoken::default(),
            resumed: None,
            kept: None,
            passed: Vec::new(),
            timeout: None,
            stream_timeout: None,
            controls: None,
            hints: None,
            about: About::default(),
            tab: Arc::new(Tab::new(0)),
            arrived: Instant::now(),
            live: Arc::new(live),
        }
    }

    /// The attempt of a call at its first deployment.
    pub(crate) fn attempt(config: &str, route: Route, body: &str) -> Attempt {
        let call = call(config, route, body);
        let group = &call.live.routes().groups[usize::from(call.group().0)];
        let deployment = group.members[0].deployment;
        Attempt {
            call: Arc::new(call),
            deployment,
            first_token: None,
        }
    }
}
