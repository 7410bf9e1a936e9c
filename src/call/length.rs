//! What a request says of the length of its answer.

use super::{Dialect, Field, Peek, Route};
use crate::wire::json::{self, Member};

/// What a caller allows an answer to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Tokens of each choice, at most, if the caller says so.
    pub most: Option<u64>,
    /// How many choices.
    pub choices: u64,
}

impl Length {
    /// Reads what a body asks for. Of several words on the same, that which allows most counts.
    pub fn asked(route: Route, body: &[u8], peek: &Peek) -> Self {
        let mut most = None;
        let mut choices = None;
        if route.dialect() == Dialect::Gemini {
            for field in [Field::GenerationConfig, Field::SnakeGenerationConfig] {
                if let Some(config) = peek.value(body, field) {
                    of_config(config, &mut most, &mut choices);
                }
            }
        } else {
            let value = |field| number(peek.value(body, field)?);
            let bounds = Field::bounds(route).iter();
            most = bounds.filter_map(|field| value(*field)).max();
            choices = value(Field::N);
        }
        Self {
            most,
            choices: choices.unwrap_or(1).max(1),
        }
    }

    /// What a fallback changes of a request may ask for more.
    pub fn widen(&mut self, changes: &[u8]) {
        let (mut most, mut choices) = (None, None);
        let read = json::members(changes, |member| {
            let value = member.value(changes);
            match &*name(changes, &member) {
                "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                    most = most.max(number(value));
                }
                "n" => choices = choices.max(number(value)),
                "generationConfig" | "generation_config" => {
                    of_config(value, &mut most, &mut choices);
                }
                _ => {}
            }
        });
        if read.is_ok() {
            self.most = self.most.map(|own| own.max(most.unwrap_or(own)));
            self.choices = self.choices.max(choices.unwrap_or(1));
        }
    }
}

/// Gemini's, whose parser takes either form of a name. What is no object says nothing.
fn of_config(config: &[u8], most: &mut Option<u64>, choices: &mut Option<u64>) {
    let _ = json::members(config, |member| {
        let value = number(member.value(config));
        match &*name(config, &member) {
            "maxOutputTokens" | "max_output_tokens" => *most = (*most).max(value),
            "candidateCount" | "candidate_count" => *choices = (*choices).max(value),
            _ => {}
        }
    });
}

fn name<'a>(text: &'a [u8], member: &Member) -> std::borrow::Cow<'a, str> {
    json::string(&text[member.start..member.name_end]).unwrap_or_default()
}

/// A whole number that is not negative.
fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::peek::peek;

    fn asked(route: Route, body: &str) -> (Option<u64>, u64) {
        let found = peek(body.as_bytes()).unwrap();
        let length = Length::asked(route, body.as_bytes(), &found);
        (length.most, length.choices)
    }

    #[test]
    fn the_word_that_allows_most_counts() {
        for (route, body, expected) in [
            (Route::Chat, "{}", (None, 1)),
            (
                Route::Chat,
                r#"{"max_tokens":5,"max_completion_tokens":9,"n":2}"#,
                (Some(9), 2),
            ),
            (
                Route::Generate,
                r#"{"generationConfig":{"maxOutputTokens":5,"candidateCount":3}}"#,
                (Some(5), 3),
            ),
            (
                Route::GenerateStream,
                r#"{"generation_config":{"max_output_tokens":5,"max\u004futputTokens":7}}"#,
                (Some(7), 1),
            ),
            (Route::Generate, r#"{"max_tokens":5}"#, (None, 1)),
            (Route::Generate, r#"{"generationConfig":[]}"#, (None, 1)),
        ] {
            assert_eq!(asked(route, body), expected, "{body}");
        }
    }

    #[test]
    fn a_fallback_may_ask_for_more_and_not_for_less() {
        let mut length = Length {
            most: Some(5),
            choices: 2,
        };
        length.widen(br#"{"max_tokens":3,"n":1}"#);
        assert_eq!((length.most, length.choices), (Some(5), 2));
        length.widen(br#"{"generationConfig":{"maxOutputTokens":8,"candidateCount":4}}"#);
        assert_eq!((length.most, length.choices), (Some(8), 4));
    }
}
