//! What a decision knows of the request.

use pointsman_routes::table::{Capabilities, DeploymentId};

use super::tokens::Vocabulary;
use crate::call::Route;

/// What a decision knows of the request: nothing of what it says.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is asked for.
    pub route: Route,
    /// It wants a stream.
    pub stream: bool,
    /// Tokens of its prompt.
    pub prompt: Prompt,
    /// Longest answer that it takes, in tokens, if it says.
    pub max_output: Option<u64>,
    /// What it cannot do without.
    pub needs: Capabilities,
    /// Words of the file's own (`metadata.capabilities`) that it asks for.
    pub words: &'a [&'a str],
    /// Its tags.
    pub tags: &'a [&'a str],
    /// Its `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// Where it may be answered (`allowed_model_region`).
    pub region: Option<&'a str>,
    /// The caller's team.
    pub team: Option<&'a str>,
    /// A digest of its session, if requests of a session are to stay together.
    pub session: Option<u64>,
    /// Deployments that were tried for it.
    pub tried: &'a [DeploymentId],
    /// Whether a deployment may be tried again when all others are out.
    pub again: bool,
    /// Who is asked as long as one of them can be; empty is nobody in particular.
    pub preferred: &'a [DeploymentId],
    /// Whether those may be asked whom a health check found down.
    pub unhealthy: bool,
}

/// How many tokens a prompt has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// About so many.
    pub tokens: u64,
    /// Not more than so many.
    pub most: u64,
    /// Exactly so many in each of these vocabularies, where that was worth counting.
    pub exact: [Option<u64>; Vocabulary::ALL.len()],
}

impl Prompt {
    /// An estimate that may not be exceeded.
    pub const fn at_most(tokens: u64) -> Self {
        Self {
            tokens,
            most: tokens,
            exact: [None; Vocabulary::ALL.len()],
        }
    }

    /// Whether it is longer than a window of a model with this vocabulary: surely where it was
    /// counted, else by the estimate.
    pub fn exceeds(&self, window: u64, vocabulary: Option<Vocabulary>) -> bool {
        if self.most <= window {
            return false;
        }
        let exact = vocabulary.and_then(|vocabulary| self.exact[vocabulary as usize]);
        exact.unwrap_or(self.tokens) > window
    }
}

impl Facts<'_> {
    /// Whether nobody was tried and nobody is preferred.
    pub fn is_first_choice(&self) -> bool {
        self.tried.is_empty() && self.preferred.is_empty()
    }

    /// Tokens to be reserved at a deployment: the prompt, and the longest answer that the request
    /// takes, or `answer`, which the deployment's answers may well take.
    pub fn reserve(&self, answer: u32) -> u64 {
        let answer = if self.route.speaks() {
            self.max_output.unwrap_or(answer.into())
        } else {
            0
        };
        self.prompt.tokens.saturating_add(answer)
    }

    /// Of a plain request.
    pub const PLAIN: Self = Self {
        route: Route::Chat,
        stream: false,
        prompt: Prompt::at_most(0),
        max_output: None,
        needs: Capabilities::NONE,
        words: &[],
        tags: &[],
        user_agent: None,
        region: None,
        team: None,
        session: None,
        tried: &[],
        again: false,
        preferred: &[],
        unhealthy: false,
    };
}
