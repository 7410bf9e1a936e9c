//! What a file calls a model of Bedrock's: `[converse/|invoke/][REGION/]ID`, where the id may bear a
//! geography (`us.`, `global.`) or be an ARN.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands as it is in a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    /// Its id, geography and all, or its ARN.
    pub id: &'a str,
    /// Where it is asked, if the name says so.
    pub region: Option<&'a str>,
    /// Whether it is asked in its maker's own form, by `InvokeModel`.
    pub invoked: bool,
}

/// Who made a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Anthropic.
    Anthropic,
    /// Amazon, the Nova models.
    Nova,
    /// Amazon, the Titan embeddings.
    Titan,
    /// Cohere.
    Cohere,
    /// OpenAI.
    OpenAi,
    /// Somebody else, or an ARN that does not say.
    Other,
}

impl<'a> Model<'a> {
    /// Reads a name.
    pub fn of(name: &'a str) -> Self {
        let (invoked, rest) = match name.split_once('/') {
            Some(("converse", rest)) => (false, rest),
            Some(("invoke", rest)) => (true, rest),
            _ => (false, name),
        };
        if rest.starts_with("arn:") {
            // arn:PARTITION:bedrock:REGION:ACCOUNT:…
            let region = rest.split(':').nth(3).filter(|region| !region.is_empty());
            return Self {
                id: rest,
                region,
                invoked,
            };
        }
        let (region, id) = match rest.split_once('/') {
            Some((region, id)) => (Some(region), id),
            None => (None, rest),
        };
        Self {
            id,
            region,
            invoked,
        }
    }

    /// The id as a step of a path.
    pub fn in_path(&self) -> Cow<'a, str> {
        utf8_percent_encode(self.id, UNRESERVED).into()
    }

    /// Who made it.
    pub fn maker(&self) -> Maker {
        let has = |word: &str| self.id.contains(word);
        if has("anthropic.") || has("claude") {
            Maker::Anthropic
        } else if has("amazon.nova") {
            Maker::Nova
        } else if has("amazon.titan") {
            Maker::Titan
        } else if has("cohere.") {
            Maker::Cohere
        } else if has("openai.") {
            Maker::OpenAi
        } else {
            Maker::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> (&str, Option<&str>, bool, Maker) {
        let model = Model::of(name);
        (model.id, model.region, model.invoked, model.maker())
    }

    #[test]
    fn every_form_of_a_name_is_read() {
        let claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        for (name, invoked) in [("", false), ("converse/", false), ("invoke/", true)] {
            let name = format!("{name}{claude}");
            assert_eq!(read(&name), (claude, None, invoked, Maker::Anthropic));
        }
        let placed = read("invoke/eu-west-1/amazon.titan-embed-text-v2:0");
        assert_eq!(
            placed,
            (
                "amazon.titan-embed-text-v2:0",
                Some("eu-west-1"),
                true,
                Maker::Titan
            )
        );
        let arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc";
        assert_eq!(read(arn), (arn, Some("eu-central-1"), false, Maker::Other));
        let base =
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
        assert_eq!(
            read(&format!("converse/{base}")),
            (base, Some("us-east-1"), false, Maker::Anthropic)
        );
    }

    #[test]
    fn an_arn_is_one_step_of_a_path() {
        assert_eq!(
            Model::of("arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0").in_path(),
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x-v1%3A0"
        );
    }
}
