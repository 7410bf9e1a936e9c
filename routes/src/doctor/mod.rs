//! What becomes of each key of a file, for people who come from LiteLLM.
//!
//! The table of keys says what a key means; here its value is looked at, too, because the same key
//! can be right in one file and misread in another: `alerting_threshold: 300` is fine and `1000` is
//! somebody's dollars.

mod rules;
mod show;
mod table;

pub use table::routes_table;

use std::collections::HashMap;

use serde::Serialize;

use crate::Outcome;
use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::{GroupPlan, worst_cases};
use crate::schema::{Key, Verdict};

/// The report on one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the compiler found, sorted by place; notes that only repeat what
    /// [`keys`](Self::keys) say are left out.
    pub diagnostics: Vec<Found>,
    /// Every key that the file uses, in the order of the file.
    pub keys: Vec<KeyReport>,
    /// The worst case of every model group; none if the file has errors.
    pub groups: Vec<GroupPlan>,
}

/// A [`Diagnostic`] as it is written to JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// The file that it stands in.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Path in the file.
    pub path: String,
    /// What is wrong. Holds no secret.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
    /// As it is printed, with the line of the file and a caret under it.
    pub shown: String,
}

/// What becomes of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// Path in the file, such as `router_settings.num_retries`.
    pub path: String,
    /// The file that it stands in.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// In a word.
    pub standing: Standing,
    /// Whether its feature is still to come: it is read and kept, and does nothing here yet.
    pub later: bool,
    /// What there is to know, if anything.
    pub what: Option<String>,
    /// What to do about it, if anything.
    pub fix: Option<String>,
    /// The row of the compatibility contract, or `-`.
    pub row: &'static str,
}

/// What becomes of a key, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Does what it does in LiteLLM.
    Honoured,
    /// Read, checked and kept, and does nothing here yet.
    Later,
    /// Does more here than in LiteLLM, or does it right.
    Better,
    /// LiteLLM passes over it; here it does what was meant.
    WithoutEffectInLitellm,
    /// Means something else than many think.
    Misread,
    /// Has no effect, here as there.
    WithoutEffect,
    /// Is not taken.
    Refused,
}

impl Standing {
    const ALL: [Self; 7] = [
        Self::Honoured,
        Self::Later,
        Self::Better,
        Self::WithoutEffectInLitellm,
        Self::Misread,
        Self::WithoutEffect,
        Self::Refused,
    ];

    /// As it is printed.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Later => "kept for later",
            Self::Better => "better here",
            Self::WithoutEffectInLitellm => "without effect in LiteLLM",
            Self::Misread => "misread by many",
            Self::WithoutEffect => "without effect",
            Self::Refused => "refused",
        }
    }
}

/// Looks at every key of a compiled file.
///
/// A file with errors is looked at as far as it was read, without what its values say.
#[must_use]
pub fn examine(outcome: &Outcome) -> Report {
    let routes = outcome.loaded.as_ref().map(|loaded| &loaded.routes);
    let known: HashMap<&str, &'static Key> = outcome
        .used
        .iter()
        .map(|used| (used.path.as_str(), used.key))
        .collect();
    let told: Vec<&Diagnostic> = outcome
        .diagnostics
        .iter()
        .filter(|found| !repeats(found, &known))
        .collect();
    let remarks = remarks(&told, &known);
    let keys = outcome.used.iter().map(|used| {
        let said = remarks
            .get(used.path.as_str())
            .map_or(&[][..], Vec::as_slice);
        let judgement = routes
            .and_then(|routes| rules::judge(used, routes))
            .or_else(|| rules::sister(used.key).map(|judgement| with_remarks(judgement, said)))
            .unwrap_or_else(|| with_remarks(by_verdict(used.key.verdict), said));
        let file = outcome.files.get(usize::from(used.file));
        KeyReport {
            path: used.path.clone(),
            file: file.map_or_else(String::new, |file| file.display().to_string()),
            line: used.line,
            column: used.column,
            standing: judgement.standing,
            later: used.key.verdict == Verdict::Later,
            what: judgement.what,
            fix: judgement.fix,
            row: used.key.row,
        }
    });
    Report {
        keys: keys.collect(),
        groups: routes.map(worst_cases).unwrap_or_default(),
        diagnostics: told.into_iter().map(Found::of).collect(),
    }
}

/// What there is to say of a key.
#[derive(Debug)]
struct Judgement {
    standing: Standing,
    what: Option<String>,
    fix: Option<String>,
}

impl Judgement {
    fn bare(standing: Standing) -> Self {
        Self {
            standing,
            what: None,
            fix: None,
        }
    }

    fn new(standing: Standing, what: &str) -> Self {
        Self {
            standing,
            what: Some(what.to_owned()),
            fix: None,
        }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }
}

/// What the table of keys says by itself.
fn by_verdict(verdict: Verdict) -> Judgement {
    match verdict {
        Verdict::Honoured => Judgement::bare(Standing::Honoured),
        Verdict::Later => Judgement::bare(Standing::Later),
        Verdict::Differs(why) => Judgement::new(Standing::Misread, why),
        Verdict::Better(why) => Judgement::new(Standing::Better, why),
        Verdict::Ignored(why) => Judgement::new(Standing::WithoutEffect, why).fix("remove it"),
        Verdict::Rejected(instead) => {
            Judgement::new(Standing::Refused, "is not supported").fix(instead)
        }
    }
}

/// How the check says that a fallback leads to its own group (A3-04).
const TO_ITSELF: &str = "falls back to itself";
/// How the check says that an entry refers to another group (A2-04); its help is the reason.
const A_GROUP: &str = "is a group of this file";

/// Adds what the check found at this key, where its value has no rule of its own.
fn with_remarks(judgement: Judgement, said: &[&Diagnostic]) -> Judgement {
    let says = |phrase: &str| said.iter().any(|one| one.what.contains(phrase));
    let standing = if says(TO_ITSELF) {
        Standing::WithoutEffectInLitellm
    } else if says(A_GROUP) {
        Standing::Better
    } else {
        judgement.standing
    };
    let (mut what, mut fix) = (
        Vec::from_iter(judgement.what),
        Vec::from_iter(judgement.fix),
    );
    for one in said {
        what.push(one.what.clone());
        let reason = one.what.contains(A_GROUP);
        if reason { &mut what } else { &mut fix }.extend(one.help.clone());
    }
    Judgement {
        standing,
        what: joined(what),
        fix: joined(fix),
    }
}

/// Whether a note is the one that the key's verdict makes, which the key's own line says better.
fn repeats(found: &Diagnostic, known: &HashMap<&str, &'static Key>) -> bool {
    let Some(key) = known
        .get(found.path.as_str())
        .filter(|_| found.severity == Severity::Note)
    else {
        return false;
    };
    let Some(rest) = found.what.strip_prefix(&format!("`{}`", key.name)) else {
        return false;
    };
    match key.verdict {
        Verdict::Later => rest.starts_with(" is read and kept"),
        Verdict::Differs(why) => rest.starts_with(&format!(": {why}")),
        Verdict::Ignored(why) => rest.starts_with(&format!(" has no effect: {why}")),
        Verdict::Honoured | Verdict::Better(_) | Verdict::Rejected(_) => false,
    }
}

/// What the check found at each key or inside its value, by the innermost key's path.
fn remarks<'a>(
    told: &[&'a Diagnostic],
    known: &HashMap<&'a str, &'static Key>,
) -> HashMap<&'a str, Vec<&'a Diagnostic>> {
    let mut all: HashMap<&str, Vec<&Diagnostic>> = HashMap::new();
    for found in told.iter().filter(|found| found.severity < Severity::Error) {
        if let Some(owner) = outward(&found.path).find(|path| known.contains_key(path)) {
            all.entry(owner).or_default().push(found);
        }
    }
    all
}

/// A path, then what it stands in, step by step.
fn outward(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.rfind(['.', '[']).map(|at| &path[..at])
    })
}

fn joined(texts: Vec<String>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

impl Found {
    fn of(found: &Diagnostic) -> Self {
        Self {
            severity: found.severity.word(),
            file: found.file.clone(),
            line: found.line,
            column: found.column,
            path: found.path.clone(),
            what: found.what.clone(),
            help: found.help.clone(),
            shown: found.to_string(),
        }
    }
}
