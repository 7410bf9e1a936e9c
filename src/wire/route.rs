//! What can be asked for, and in which dialect.

use pointsman_routes::table::Mode;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions, and what stands beside them.
    OpenAi,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Cohere's v2 API.
    Cohere,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/chat/completions`.
    Chat,
    /// `/completions`.
    Completions,
    /// `/embeddings`.
    Embeddings,
    /// `/rerank`.
    Rerank,
    /// `/moderations`.
    Moderations,
    /// `/images/generations`.
    Images,
    /// `/images/edits`.
    ImageEdits,
    /// `/images/variations`.
    ImageVariations,
    /// `/audio/speech`.
    Speech,
    /// `/audio/transcriptions`.
    Transcriptions,
    /// `/audio/translations`.
    Translations,
    /// Anthropic's `/messages`.
    Messages,
    /// Anthropic's `/messages/count_tokens`.
    CountTokens,
    /// Gemini's `generateContent`.
    Generate,
    /// Gemini's `streamGenerateContent`.
    GenerateStream,
    /// Gemini's `countTokens`.
    CountContents,
    /// Gemini's `embedContent`.
    EmbedContent,
    /// Gemini's `batchEmbedContents`.
    EmbedContents,
    /// `/responses`.
    Responses,
    /// `/responses/input_tokens`.
    InputTokens,
    /// `/responses/compact`.
    Compact,
    /// A response that its provider keeps: GET of `/responses/{response_id}`.
    Retrieve,
    /// What such a response answered: GET of `/responses/{response_id}/input_items`.
    InputItems,
    /// That such a response stops: POST to `/responses/{response_id}/cancel`.
    Cancel,
    /// The end of such a response: DELETE of `/responses/{response_id}`.
    Delete,
}

impl Route {
    /// Every route that asks a model for something.
    pub const ALL: [Self; 21] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Rerank,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::Messages,
        Self::CountTokens,
        Self::Generate,
        Self::GenerateStream,
        Self::CountContents,
        Self::EmbedContent,
        Self::EmbedContents,
        Self::Responses,
        Self::InputTokens,
        Self::Compact,
    ];

    /// What those speak who ask for it.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Rerank
            | Self::Moderations
            | Self::Images
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Generate
            | Self::GenerateStream
            | Self::CountContents
            | Self::EmbedContent
            | Self::EmbedContents => Dialect::Gemini,
            Self::Responses
            | Self::InputTokens
            | Self::Compact
            | Self::Retrieve
            | Self::InputItems
            | Self::Cancel
            | Self::Delete => Dialect::Responses,
        }
    }

    /// The model and the method of a path of Gemini's, as it stands behind the version:
    /// `/models/m:generateContent`, `/tunedModels/m:generateContent`. A model's name may hold slashes
    /// and colons.
    pub fn of_gemini(path: &str) -> Option<(&str, Self)> {
        let (rest, _) = path.rsplit_once(':')?;
        let model = match rest.strip_prefix("/models/") {
            Some(model) => model,
            None => rest
                .strip_prefix('/')
                .filter(|_| rest.starts_with("/tunedModels/"))?,
        };
        let method = &path[rest.len()..];
        let known = |route: &Self| route.dialect() == Dialect::Gemini && route.path() == method;
        let route = Self::ALL.into_iter().find(known)?;
        let named = !model.is_empty() && !model.starts_with('/') && !model.ends_with('/');
        named.then_some((model, route))
    }

    /// The same of a path of Vertex AI's, whose project and location say nothing here:
    /// `/projects/p/locations/l/publishers/google/models/m:generateContent`.
    pub fn of_vertex(path: &str) -> Option<(&str, Self)> {
        let (project, rest) = path.strip_prefix("/projects/")?.split_once('/')?;
        let (location, rest) = rest.strip_prefix("locations/")?.split_once('/')?;
        let rest = rest.strip_prefix("publishers/google")?;
        let named = !project.is_empty() && !location.is_empty();
        Self::of_gemini(rest).filter(|_| named)
    }

    /// Whether it asks for the next turn of a conversation, or how long that is.
    pub const fn is_chat(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Messages
                | Self::CountTokens
                | Self::Responses
                | Self::InputTokens
                | Self::Compact
                | Self::Generate
                | Self::GenerateStream
                | Self::CountContents
        )
    }

    /// Whether a model is asked to say something: answers of no other route have a length of their
    /// own.
    pub const fn speaks(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Completions
                | Self::Messages
                | Self::Responses
                | Self::Compact
                | Self::Generate
                | Self::GenerateStream
        )
    }

    /// Whether it asks how long a prompt is, which costs nothing.
    pub const fn counts(self) -> bool {
        matches!(
            self,
            Self::CountTokens | Self::CountContents | Self::InputTokens
        )
    }

    /// Whether it is about a response that its provider keeps.
    pub const fn is_kept(self) -> bool {
        matches!(
            self,
            Self::Retrieve | Self::InputItems | Self::Cancel | Self::Delete
        )
    }

    /// Whether only those can be asked who have OpenAI's responses of their own.
    pub const fn wants_keeper(self) -> bool {
        matches!(self, Self::Compact) || self.is_kept()
    }

    /// Whether it costs nothing: what is only counted or looked up.
    pub const fn is_free(self) -> bool {
        self.counts() || self.is_kept()
    }

    /// Whether it asks for embeddings.
    pub const fn embeds(self) -> bool {
        matches!(
            self,
            Self::Embeddings | Self::EmbedContent | Self::EmbedContents
        )
    }

    /// Whether its answer is audio or images, or is made of some: what comes, whole or a stream, is
    /// as the provider pleases, and whoever asked reads which it is.
    pub const fn is_media(self) -> bool {
        matches!(
            self,
            Self::Images
                | Self::ImageEdits
                | Self::ImageVariations
                | Self::Speech
                | Self::Transcriptions
                | Self::Translations
        )
    }

    /// Whether images are made.
    pub const fn draws(self) -> bool {
        matches!(
            self,
            Self::Images | Self::ImageEdits | Self::ImageVariations
        )
    }

    /// The file that a request must bring; such requests are forms.
    pub const fn file(self) -> Option<&'static str> {
        match self {
            Self::ImageVariations => Some("image"),
            Self::Transcriptions | Self::Translations => Some("file"),
            _ => None,
        }
    }

    /// Whether a request may be a form.
    pub const fn takes_form(self) -> bool {
        self.file().is_some() || matches!(self, Self::ImageEdits)
    }

    /// The path below `/v1`; of Gemini's, what stands behind the model's name.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Rerank => "/rerank",
            Self::Moderations => "/moderations",
            Self::Images => "/images/generations",
            Self::ImageEdits => "/images/edits",
            Self::ImageVariations => "/images/variations",
            Self::Speech => "/audio/speech",
            Self::Transcriptions => "/audio/transcriptions",
            Self::Translations => "/audio/translations",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
            Self::Generate => ":generateContent",
            Self::GenerateStream => ":streamGenerateContent",
            Self::CountContents => ":countTokens",
            Self::EmbedContent => ":embedContent",
            Self::EmbedContents => ":batchEmbedContents",
            Self::Responses => "/responses",
            Self::InputTokens => "/responses/input_tokens",
            Self::Compact => "/responses/compact",
            Self::Retrieve | Self::Delete => "/responses/{response_id}",
            Self::InputItems => "/responses/{response_id}/input_items",
            Self::Cancel => "/responses/{response_id}/cancel",
        }
    }

    /// LiteLLM's `call_type`.
    pub const fn call_type(self) -> &'static str {
        match self {
            Self::Chat => "acompletion",
            Self::Completions => "atext_completion",
            Self::Embeddings | Self::EmbedContent | Self::EmbedContents => "aembedding",
            Self::Rerank => "arerank",
            Self::Moderations => "amoderation",
            Self::Images => "aimage_generation",
            Self::ImageEdits => "aimage_edit",
            Self::ImageVariations => "aimage_variation",
            Self::Speech => "aspeech",
            Self::Transcriptions => "atranscription",
            Self::Translations => "atranslation",
            Self::Messages => "anthropic_messages",
            Self::CountTokens | Self::CountContents | Self::InputTokens => "acount_tokens",
            Self::Responses => "aresponses",
            Self::Compact => "acompact_responses",
            Self::Retrieve => "aget_responses",
            Self::InputItems => "alist_input_items",
            Self::Cancel => "acancel_responses",
            Self::Delete => "adelete_responses",
            Self::Generate => "agenerate_content",
            Self::GenerateStream => "agenerate_content_stream",
        }
    }

    /// Whether a model of this kind can be asked for it, as far as is known: a kind that sells
    /// itself for something else may do it as well, unless it is sure that it does not.
    pub const fn suits(self, mode: Mode) -> bool {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::InputTokens
            | Self::Compact
            | Self::Retrieve
            | Self::InputItems
            | Self::Cancel
            | Self::Delete
            | Self::Generate
            | Self::GenerateStream
            | Self::CountContents => !matches!(mode, Mode::Embedding | Mode::Rerank),
            Self::Embeddings | Self::EmbedContent | Self::EmbedContents => {
                !matches!(mode, Mode::Chat | Mode::Rerank)
            }
            Self::Rerank | Self::Moderations => !matches!(mode, Mode::Chat | Mode::Embedding),
            Self::Images | Self::ImageEdits | Self::ImageVariations => {
                !matches!(mode, Mode::Embedding | Mode::Rerank)
            }
            Self::Speech => !matches!(
                mode,
                Mode::Chat | Mode::Embedding | Mode::Rerank | Mode::AudioTranscription
            ),
            Self::Transcriptions | Self::Translations => !matches!(
                mode,
                Mode::Chat | Mode::Embedding | Mode::Rerank | Mode::AudioSpeech
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_geminis_names_model_and_method() {
        for (path, found) in [
            ("/models/m:generateContent", Some(("m", Route::Generate))),
            (
                "/models/a/b:1:streamGenerateContent",
                Some(("a/b:1", Route::GenerateStream)),
            ),
            (
                "/tunedModels/m:countTokens",
                Some(("tunedModels/m", Route::CountContents)),
            ),
            ("/models/m:embedContent", Some(("m", Route::EmbedContent))),
            (
                "/models/m:batchEmbedContents",
                Some(("m", Route::EmbedContents)),
            ),
            ("/models/llama3:latest", None),
            ("/models/:generateContent", None),
            ("/tunedModels/:generateContent", None),
            ("/engines/m:generateContent", None),
            ("/models/m/chat/completions", None),
        ] {
            assert_eq!(Route::of_gemini(path), found, "{path}");
        }
    }
}
