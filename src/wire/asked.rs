//! What a request to somebody's API asks for, as far as money and models are concerned, in any
//! provider's shape.
//!
//! Sources: OpenAI's API reference (chat completions, responses, embeddings), Anthropic's (messages),
//! Gemini's and Vertex AI's (`generateContent`: the model stands in the path), Cohere's, Amazon Bedrock's (`converse`,
//! `invoke`), Azure OpenAI's (`deployments`).

use super::json::{self, Member};

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The model, if it names one.
    pub model: Option<String>,
    /// The most tokens of an answer, if it says so.
    pub most: Option<u64>,
    /// How many answers, if it says so.
    pub choices: Option<u64>,
}

/// A body that names a model twice: two readers that disagree are how a check is got past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice;

impl Asked {
    /// Reads path and body; a path that names a model is believed before a body. What is no JSON object
    /// says nothing.
    pub fn read(path: &str, body: &[u8]) -> Result<Self, Twice> {
        let mut asked = Self::default();
        let mut models = 0;
        // What breaks off in the middle is the provider's to refuse.
        let _ = json::members(body, |member| {
            models += u32::from(asked.member(body, &member, 0));
        });
        if models > 1 {
            return Err(Twice);
        }
        asked.model = of_path(path).or(asked.model);
        Ok(asked)
    }

    /// Whether it is the model.
    fn member(&mut self, text: &[u8], member: &Member, depth: u8) -> bool {
        let quoted = &text[member.start..member.name_end];
        let Some(name) = json::string(quoted) else {
            return false;
        };
        let value = member.value(text);
        let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        match &*name {
            "model" if depth == 0 => {
                self.model = json::string(value).map(std::borrow::Cow::into_owned);
                return true;
            }
            "max_tokens"
            | "max_completion_tokens"
            | "max_output_tokens"
            | "max_tokens_to_sample"
            | "maxTokens"
            | "maxOutputTokens" => self.most = self.most.max(number()),
            "n" | "candidateCount" => self.choices = self.choices.max(number()),
            "generationConfig" | "generation_config" | "inferenceConfig" if depth == 0 => {
                let _ = json::members(value, |inner| {
                    self.member(value, &inner, 1);
                });
            }
            _ => {}
        }
        false
    }
}

/// The model of a path such as `/v1beta/models/NAME:generateContent`,
/// `/openai/deployments/NAME/chat/completions` or `/model/NAME/converse`.
fn of_path(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let steps: Vec<&str> = decoded.split('/').collect();
    // Vertex AI's name the maker before it.
    let of_maker = steps.windows(4).find_map(|steps| match steps {
        ["publishers", _, "models", name] => {
            let model = name.split_once(':').map_or(*name, |(model, _)| model);
            (!model.is_empty()).then(|| model.to_owned())
        }
        _ => None,
    });
    of_maker.or_else(|| {
        steps.windows(3).find_map(|steps| match steps {
            [.., "deployments" | "model", name] if !name.is_empty() => Some((*name).to_owned()),
            [before, "models", name] if before.starts_with('v') => {
                let (model, verb) = name.split_once(':')?;
                (!model.is_empty() && !verb.is_empty()).then(|| model.to_owned())
            }
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, body: &str) -> (Option<String>, Option<u64>, Option<u64>) {
        let asked = Asked::read(path, body.as_bytes()).unwrap();
        (asked.model, asked.most, asked.choices)
    }

    #[test]
    fn every_shape_says_what_it_asks_for() {
        for (path, body, model, most, choices) in [
            (
                "/openai/v1/chat/completions",
                r#"{"model":"m","max_tokens":5,"max_completion_tokens":9,"n":2}"#,
                Some("m"),
                Some(9),
                Some(2),
            ),
            (
                "/openai/v1/responses",
                r#"{"mod\u0065l":"m","max_output_tokens":7}"#,
                Some("m"),
                Some(7),
                None,
            ),
            (
                "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent",
                r#"{"generationConfig":{"maxOutputTokens":3,"candidateCount":4}}"#,
                Some("gemini-2.5-flash"),
                Some(3),
                Some(4),
            ),
            (
                "/azure/openai/deployments/my-gpt/chat/completions",
                r#"{"model":"else"}"#,
                Some("my-gpt"),
                None,
                None,
            ),
            (
                "/bedrock/model/eu.anthropic.claude%3A0/converse",
                r#"{"inferenceConfig":{"maxTokens":8}}"#,
                Some("eu.anthropic.claude:0"),
                Some(8),
                None,
            ),
            (
                "/vertex_ai/v1/projects/p/locations/l/publishers/google/models/gemini-x:predict",
                "",
                Some("gemini-x"),
                None,
                None,
            ),
            ("/gemini/v1beta/models/x", "", None, None, None),
            ("/openai/v1/files", "no json", None, None, None),
            (
                "/openai/v1/x",
                r#"{"inner":{"model":"m"}}"#,
                None,
                None,
                None,
            ),
        ] {
            let expected = (model.map(str::to_owned), most, choices);
            assert_eq!(asked(path, body), expected, "{path} {body}");
        }
        let twice = br#"{"model":"a","\u006dodel":"b"}"#;
        assert_eq!(Asked::read("/openai/v1/x", twice), Err(Twice));
    }
}
