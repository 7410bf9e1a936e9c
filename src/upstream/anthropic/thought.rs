//! How long to think, in Anthropic's words.
//!
//! Older models take a budget of tokens, newer ones an effort; LiteLLM's figures stand between the
//! two: low is 1,024 tokens, medium 2,048, high 4,096.

use serde_json::Value;

use super::generation::Generation;
use crate::call::chat::{Effort, Reasoning};
use crate::wire::anthropic::Thought;

/// The smallest budget that Anthropic takes.
const LEAST: u64 = 1024;

/// How a request thinks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thinks<'a> {
    how: How<'a>,
    display: Option<&'static str>,
    /// For `output_config`.
    pub(crate) effort: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default)]
enum How<'a> {
    #[default]
    Unsaid,
    Off,
    Budget(u64),
    Adaptive,
    Given(&'a Value),
}

/// A request that says nothing of thinking, though it could.
pub(super) fn nothing() -> Reasoning {
    Reasoning {
        effort: Some(Effort::None),
        ..Reasoning::default()
    }
}

impl<'a> Thinks<'a> {
    /// Anthropic's own member, as it came.
    pub(crate) fn given(thinking: &'a Value) -> Self {
        Self {
            how: How::Given(thinking),
            ..Self::default()
        }
    }

    /// What was asked for, as far as this generation takes it. A budget made of an effort gives way
    /// to the length of the answer; where that leaves none, the model does not think.
    pub(crate) fn asked(
        reasoning: &Reasoning,
        generation: Generation,
        max_tokens: Option<u64>,
    ) -> Self {
        let mut thinks = Self {
            display: reasoning
                .shown
                .map(|shown| if shown { "summarized" } else { "omitted" }),
            ..Self::default()
        };
        thinks.how = match (reasoning.budget, &reasoning.effort) {
            (Some(0), _) => How::Off,
            (Some(budget), _) if generation.takes_budget() => How::Budget(budget),
            (Some(budget), effort) => {
                let effort = effort.as_ref().and_then(word);
                thinks.effort = Some(effort.unwrap_or(effort_of(budget)));
                How::Adaptive
            }
            (None, Some(Effort::None)) => How::Unsaid,
            (None, Some(effort)) if generation.adapts() => {
                thinks.effort = word(effort);
                How::Adaptive
            }
            (None, None) if reasoning.adaptive && generation.adapts() => How::Adaptive,
            (None, None) if !reasoning.adaptive => How::Unsaid,
            (None, effort) => {
                let most = max_tokens.map_or(u64::MAX, |tokens| tokens.saturating_sub(1));
                let budget = effort.as_ref().map_or(4096, budget_of).min(most);
                if budget >= LEAST {
                    How::Budget(budget)
                } else {
                    How::Unsaid
                }
            }
        };
        thinks
    }

    /// Whether the model thinks.
    pub(crate) fn on(&self) -> bool {
        match self.how {
            How::Unsaid | How::Off => false,
            How::Budget(_) | How::Adaptive => true,
            How::Given(value) => value["type"] != "disabled" && !value.is_null(),
        }
    }

    /// For how many tokens, if that is fixed.
    pub(crate) fn budget(&self) -> Option<u64> {
        match self.how {
            How::Budget(budget) => Some(budget),
            How::Given(value) => value["budget_tokens"].as_u64(),
            How::Unsaid | How::Off | How::Adaptive => None,
        }
    }

    /// As it is written.
    pub(crate) fn wire(&self) -> Option<Thought<'a>> {
        let display = self.display;
        match self.how {
            How::Unsaid => None,
            How::Off => Some(Thought::Disabled),
            How::Budget(budget_tokens) => Some(Thought::Enabled {
                budget_tokens,
                display,
            }),
            How::Adaptive => Some(Thought::Adaptive { display }),
            How::Given(value) => (!value.is_null()).then_some(Thought::Given(value)),
        }
    }
}

fn word(effort: &Effort) -> Option<&'static str> {
    match effort {
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::Max => Some("max"),
        Effort::None | Effort::Other(_) => None,
    }
}

fn budget_of(effort: &Effort) -> u64 {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => 1024,
        Effort::Medium => 2048,
        Effort::High | Effort::Max | Effort::Other(_) => 4096,
    }
}

/// The effort that a budget amounts to, by LiteLLM's bounds of the way back.
fn effort_of(budget: u64) -> &'static str {
    match budget {
        ..=4_999 => "low",
        5_000..=9_999 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(model: &str, reasoning: &Reasoning, max_tokens: Option<u64>) -> Value {
        let thinks = Thinks::asked(reasoning, Generation::of(model), max_tokens);
        json!([thinks.wire(), thinks.effort])
    }

    fn effort(effort: Effort) -> Reasoning {
        Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        }
    }

    #[test]
    fn an_effort_is_a_budget_where_the_model_knows_no_efforts() {
        let old = "claude-sonnet-4-5";
        for (word, budget) in [
            (Effort::Minimal, 1024),
            (Effort::Low, 1024),
            (Effort::Medium, 2048),
            (Effort::High, 4096),
        ] {
            let expected = json!([{"type": "enabled", "budget_tokens": budget}, null]);
            assert_eq!(asked(old, &effort(word), None), expected);
        }
        let short = asked(old, &effort(Effort::High), Some(2000));
        assert_eq!(short[0]["budget_tokens"], 1999);
        assert_eq!(
            asked(old, &effort(Effort::High), Some(500)),
            json!([null, null])
        );
    }

    #[test]
    fn a_newer_model_gets_an_effort() {
        let new = "claude-opus-4-7";
        assert_eq!(
            asked(new, &effort(Effort::Max), Some(10)),
            json!([{"type": "adaptive"}, "max"])
        );
        let budget = Reasoning {
            budget: Some(16_000),
            shown: Some(true),
            ..Reasoning::default()
        };
        assert_eq!(
            asked(new, &budget, None),
            json!([{"type": "adaptive", "display": "summarized"}, "high"])
        );
        assert_eq!(
            asked("claude-opus-4-6", &budget, None)[0]["budget_tokens"],
            16_000
        );
        assert_eq!(asked(new, &effort(Effort::None), None), json!([null, null]));
    }

    #[test]
    fn a_budget_of_nothing_is_no_thought() {
        let off = Reasoning {
            budget: Some(0),
            ..Reasoning::default()
        };
        assert_eq!(
            asked("claude-opus-4-1", &off, None)[0],
            json!({"type": "disabled"})
        );
    }
}
