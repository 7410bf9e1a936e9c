//! Reads of a call what decisions about it need to know.

use pointsman_routes::table::DeploymentId;

use super::board::{Board, Row};
use super::facts::{Facts, Prompt};
use crate::call::{Call, Field};

/// Bytes of a prompt per token, where it is only estimated. English has four, code and other
/// languages fewer.
const BYTES_PER_TOKEN: u64 = 3;

/// What was read of a call, once for all of its attempts in one row.
#[derive(Clone, Debug)]
pub struct Asked {
    prompt: Prompt,
    max_output: Option<u64>,
}

impl Asked {
    /// Reads what choosing from `row` needs.
    pub fn read(call: &Call, board: &Board, row: &Row) -> Self {
        let _ = (board, row);
        let number = |field| {
            let text = std::str::from_utf8(call.peek.value(&call.body, field)?).ok()?;
            text.parse::<u64>().ok()
        };
        let prompt = call.peek.value(&call.body, call.route.required());
        Self {
            prompt: Prompt {
                tokens: prompt.map_or(0, |prompt| prompt.len() as u64 / BYTES_PER_TOKEN),
                exact: false,
            },
            max_output: number(Field::MaxCompletionTokens).or_else(|| number(Field::MaxTokens)),
        }
    }

    /// The facts of one attempt.
    pub fn facts<'a>(
        &'a self,
        call: &'a Call,
        tried: &'a [DeploymentId],
        again: bool,
    ) -> Facts<'a> {
        Facts {
            route: call.route,
            stream: call.peek.stream,
            prompt: self.prompt,
            max_output: self.max_output,
            tried,
            again,
            ..Facts::PLAIN
        }
    }
}
