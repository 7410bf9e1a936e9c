//! What the gateway looks at in a request body, and nothing else.
//!
//! One pass over the top level of the JSON object notes the members that routing, limits and the
//! contract know by name; everything else is stepped over and travels untouched. A known name
//! written twice is refused: two readers that disagree on which one counts are how a check is
//! got past.

use std::fmt;

use smallvec::SmallVec;

use crate::wire::json::{self, Fault, Member};
use crate::wire::route::{Dialect, Route};

/// What the gateway does with a member that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Read, and sent on.
    Read,
    /// Read, and kept from the provider: it speaks to the gateway.
    Control,
    /// Refused: it would redirect a credential or smuggle a setting.
    Refused,
    /// Refused unless `dangerously_allow_mock_testing_request_params` is on; never sent on.
    Rehearsal,
}

macro_rules! fields {
    ($($class:ident { $($field:ident = $name:literal,)* })*) => {
        /// A member that the gateway knows by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is the member of the same name")]
        pub enum Field { $($($field,)*)* }

        impl Field {
            /// The member's name.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$field => $name,)*)* }
            }

            /// What is done with it.
            pub const fn class(self) -> Class {
                match self { $($(Self::$field => Class::$class,)*)* }
            }

            pub(crate) fn named(name: &[u8]) -> Option<Self> {
                $($(const $field: &[u8] = $name.as_bytes();)*)*
                #[expect(non_upper_case_globals, reason = "one constant per variant")]
                match name {
                    $($($field => Some(Self::$field),)*)*
                    _ => None,
                }
            }
        }
    };
}

#[expect(non_upper_case_globals, reason = "one constant per variant")]
mod field {
    use super::Class;
    fields! {
        Read {
            Model = "model",
            Stream = "stream",
            StreamOptions = "stream_options",
            Messages = "messages",
            Prompt = "prompt",
            Input = "input",
            Query = "query",
            Contents = "contents",
            Content = "content",
            Requests = "requests",
            GenerateRequest = "generateContentRequest",
            GenerationConfig = "generationConfig",
            SnakeGenerationConfig = "generation_config",
            MaxTokens = "max_tokens",
            MaxCompletionTokens = "max_completion_tokens",
            MaxOutputTokens = "max_output_tokens",
            PreviousResponseId = "previous_response_id",
            Conversation = "conversation",
            Background = "background",
            N = "n",
            Store = "store",
            User = "user",
        }
        Control {
            Metadata = "metadata",
            LitellmMetadata = "litellm_metadata",
            UserId = "user_id",
            TeamId = "team_id",
            Tags = "tags",
            SessionId = "litellm_session_id",
            TraceId = "litellm_trace_id",
            Fallbacks = "fallbacks",
            ContextWindowFallbacks = "context_window_fallbacks",
            ContentPolicyFallbacks = "content_policy_fallbacks",
            DisableFallbacks = "disable_fallbacks",
            MaxFallbacks = "max_fallbacks",
            IncludeFallbackErrors = "include_fallback_errors",
            NumRetries = "num_retries",
            MaxRetries = "max_retries",
            Timeout = "timeout",
            RequestTimeout = "request_timeout",
            StreamTimeout = "stream_timeout",
            Cache = "cache",
            Caching = "caching",
            Guardrails = "guardrails",
            DropParams = "drop_params",
            AdditionalDropParams = "additional_drop_params",
            AllowedOpenaiParams = "allowed_openai_params",
            NoLog = "no-log",
            Priority = "priority",
            AllowedModelRegion = "allowed_model_region",
            MockResponse = "mock_response",
        }
        Refused {
            ApiBase = "api_base",
            BaseUrl = "base_url",
            ApiKey = "api_key",
            ApiVersion = "api_version",
            Organization = "organization",
            CustomLlmProvider = "custom_llm_provider",
            ExtraHeaders = "extra_headers",
            Headers = "headers",
            ModelList = "model_list",
            CredentialName = "litellm_credential_name",
            LitellmParams = "litellm_params",
            AzureAdToken = "azure_ad_token",
            VertexCredentials = "vertex_credentials",
            VertexProject = "vertex_project",
            VertexLocation = "vertex_location",
            AwsAccessKeyId = "aws_access_key_id",
            AwsSecretAccessKey = "aws_secret_access_key",
            AwsSessionToken = "aws_session_token",
            AwsRegionName = "aws_region_name",
            AwsRoleName = "aws_role_name",
            AwsProfileName = "aws_profile_name",
            AwsWebIdentityToken = "aws_web_identity_token",
            AwsStsEndpoint = "aws_sts_endpoint",
            AwsBedrockRuntimeEndpoint = "aws_bedrock_runtime_endpoint",
        }
        Rehearsal {
            MockTimeout = "mock_timeout",
            MockTestingFallbacks = "mock_testing_fallbacks",
            MockTestingContextFallbacks = "mock_testing_context_fallbacks",
            MockTestingContextWindowFallbacks = "mock_testing_context_window_fallbacks",
            MockTestingContentPolicyFallbacks = "mock_testing_content_policy_fallbacks",
            MockTestingRateLimitError = "mock_testing_rate_limit_error",
        }
    }
}
pub use field::Field;

/// Why a body was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a JSON object.
    Json(Fault),
    /// A known member stands there twice.
    Twice(Field),
    /// A member that no caller may set.
    Forbidden(Field),
    /// A member has a value of the wrong type.
    WrongType {
        /// Which.
        field: Field,
        /// What it must be.
        wanted: &'static str,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(fault) => write!(f, "Invalid JSON payload: {fault}"),
            Self::Twice(field) => {
                write!(f, "Invalid JSON payload: '{}' stands twice", field.name())
            }
            Self::Forbidden(field) => write!(
                f,
                "Rejected Request: {} is not allowed in request body. Credentials and addresses \
                 come from the gateway's configuration.",
                field.name()
            ),
            Self::WrongType { field, wanted } => {
                write!(
                    f,
                    "Invalid value for '{}': expected {wanted}.",
                    field.name()
                )
            }
        }
    }
}

/// What was found in a body.
#[derive(Clone, Debug, Default)]
pub struct Peek {
    members: SmallVec<[(Field, Member); 8]>,
    /// One past the opening brace.
    pub(crate) open: usize,
    /// Whether the object has no member.
    pub(crate) empty: bool,
    /// `stream` is true.
    pub stream: bool,
}

/// Looks a body over.
///
/// Costs one pass, at `memchr` speed inside strings. Allocates only if a name is written with
/// escapes.
pub fn peek(body: &[u8]) -> Result<Peek, Refusal> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(Refusal::Json(Fault::NotUtf8(error.valid_up_to())));
    }
    let mut members = SmallVec::new();
    let mut open = None;
    let mut refused = None;
    json::members(body, |member| {
        open.get_or_insert(member.before);
        let Some(field) = known(body, &member) else {
            return;
        };
        if members.iter().any(|(seen, _)| *seen == field) {
            refused.get_or_insert(Refusal::Twice(field));
        } else if field.class() == Class::Refused {
            refused.get_or_insert(Refusal::Forbidden(field));
        }
        members.push((field, member));
    })
    .map_err(Refusal::Json)?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    let empty = open.is_none();
    let open = open.unwrap_or_else(|| body.iter().position(|b| *b == b'{').map_or(0, |at| at + 1));
    let mut peek = Peek {
        members,
        open,
        empty,
        stream: false,
    };
    peek.check_types(body)?;
    Ok(peek)
}

fn known(body: &[u8], member: &Member) -> Option<Field> {
    if !member.escaped {
        return Field::named(member.raw_name(body));
    }
    let name = json::string(&body[member.start..member.name_end])?;
    Field::named(name.as_bytes())
}

impl Peek {
    /// The same for a request of this route: of Gemini's, the path says whether a stream is wanted.
    #[must_use]
    pub fn on(mut self, route: Route) -> Self {
        if route.dialect() == Dialect::Gemini {
            self.stream = route == Route::GenerateStream;
        }
        self
    }

    /// Where a member stands.
    pub fn get(&self, field: Field) -> Option<&Member> {
        self.members
            .iter()
            .find(|(found, _)| *found == field)
            .map(|(_, member)| member)
    }

    /// A member's value, unless it is absent or null.
    pub fn value<'a>(&self, body: &'a [u8], field: Field) -> Option<&'a [u8]> {
        self.get(field)
            .map(|member| member.value(body))
            .filter(|value| *value != b"null")
    }

    /// A member's value as text.
    pub fn text<'a>(&self, body: &'a [u8], field: Field) -> Option<std::borrow::Cow<'a, str>> {
        self.value(body, field).and_then(json::string)
    }

    /// A member's value as a number of seconds.
    pub fn seconds(&self, body: &[u8], field: Field) -> Option<std::time::Duration> {
        let text = std::str::from_utf8(self.value(body, field)?).ok()?;
        std::time::Duration::try_from_secs_f64(text.parse().ok()?).ok()
    }

    /// Every known member, in the order of the body.
    pub fn members(&self) -> impl Iterator<Item = (Field, &Member)> {
        self.members.iter().map(|(field, member)| (*field, member))
    }

    /// Whether the caller asked for usage in the stream.
    pub fn wants_usage(&self, body: &[u8]) -> bool {
        let Some(options) = self.value(body, Field::StreamOptions) else {
            return false;
        };
        let mut wanted = false;
        let read = json::members(options, |member| {
            if member.raw_name(options) == b"include_usage" {
                wanted = member.value(options) == b"true";
            }
        });
        read.is_ok() && wanted
    }

    fn check_types(&mut self, body: &[u8]) -> Result<(), Refusal> {
        for (field, member) in &self.members {
            let value = member.value(body);
            let wanted = match field {
                Field::Model if value[0] != b'"' => "a string",
                Field::Messages if value[0] != b'[' => "a list",
                Field::StreamOptions if value[0] != b'{' && value != b"null" => "an object",
                Field::Stream => match value {
                    b"true" => {
                        self.stream = true;
                        continue;
                    }
                    b"false" | b"null" => continue,
                    _ => "a boolean",
                },
                Field::Timeout | Field::RequestTimeout | Field::StreamTimeout
                    if !matches!(value[0], b'0'..=b'9' | b'n') =>
                {
                    "a number of seconds"
                }
                _ => continue,
            };
            return Err(Refusal::WrongType {
                field: *field,
                wanted,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_members_are_found_and_others_passed_over() {
        let body = br#"{"model":"gpt-4o","x":{"model":"no"},"stream":true,"messages":[],
            "stream_options":{"include_usage":true}}"#;
        let peek = peek(body).unwrap();
        assert_eq!(peek.text(body, Field::Model).as_deref(), Some("gpt-4o"));
        assert!(peek.stream);
        assert!(peek.wants_usage(body));
        assert_eq!(peek.value(body, Field::User), None);
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        let body = br#"{"mod\u0065l":"a","messages":[]}"#;
        assert_eq!(
            peek(body).unwrap().text(body, Field::Model).as_deref(),
            Some("a")
        );
        let body = br#"{"api_b\u0061se":"http://evil"}"#;
        assert_eq!(peek(body).unwrap_err(), Refusal::Forbidden(Field::ApiBase));
    }

    #[test]
    fn a_known_name_written_twice_is_refused() {
        let twice = peek(br#"{"model":"a","mod\u0065l":"b"}"#);
        assert_eq!(twice.unwrap_err(), Refusal::Twice(Field::Model));
    }

    #[test]
    fn values_of_the_wrong_type_are_refused() {
        for (body, field) in [
            (r#"{"model":3}"#, Field::Model),
            (r#"{"messages":"hi"}"#, Field::Messages),
            (r#"{"stream":"yes"}"#, Field::Stream),
            (r#"{"stream_options":[]}"#, Field::StreamOptions),
            (r#"{"timeout":"soon"}"#, Field::Timeout),
        ] {
            let refusal = peek(body.as_bytes()).unwrap_err();
            assert!(matches!(refusal, Refusal::WrongType { field: found, .. } if found == field));
        }
    }

    #[test]
    fn a_malformed_value_is_refused() {
        let nested = peek(br#"{"model":"a","messages":[{]}"#);
        assert_eq!(nested.unwrap_err(), Refusal::Json(Fault::Unexpected(26)));
        assert!(matches!(
            peek(b"{\"model\":\"\xff\"}"),
            Err(Refusal::Json(Fault::NotUtf8(10)))
        ));
    }
}
