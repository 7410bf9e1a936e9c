//! What becomes of each key of a file, for people who come from LiteLLM.
//!
//! The table of keys says what a key means; here its value is looked at, too, because the same key
//! can be right in one file and misread in another: `alerting_threshold: 300` is fine and `1000` is
//! somebody's dollars.

mod rules;
mod table;

pub use table::routes_table;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::Outcome;
use crate::diagnostic::{Diagnostic, Severity};
use crate::schema::Verdict;

/// The report on one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every key that the file uses, in the order of the file.
    pub keys: Vec<KeyReport>,
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
    let remarks = remarks(outcome);
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

/// Adds what the check found at this key, where its value has no rule of its own.
fn with_remarks(judgement: Judgement, said: &[&Diagnostic]) -> Judgement {
    let Judgement {
        standing,
        what,
        fix,
    } = judgement;
    let nothing = said.iter().any(|one| one.what.contains(TO_ITSELF));
    Judgement {
        standing: if nothing {
            Standing::WithoutEffectInLitellm
        } else {
            standing
        },
        what: joined(
            what.into_iter()
                .chain(said.iter().map(|one| one.what.clone())),
        ),
        fix: joined(
            fix.into_iter()
                .chain(said.iter().filter_map(|one| one.help.clone())),
        ),
    }
}

/// What the check found at each key or inside its value, by the innermost key's path. Notes at a key
/// itself are left out: they say no more than its verdict.
fn remarks(outcome: &Outcome) -> HashMap<&str, Vec<&Diagnostic>> {
    let known: HashSet<&str> = outcome.used.iter().map(|used| used.path.as_str()).collect();
    let mut all: HashMap<&str, Vec<&Diagnostic>> = HashMap::new();
    for found in &outcome.diagnostics {
        let owner = outward(&found.path).find(|path| known.contains(path));
        let Some(owner) = owner else { continue };
        let tells = match found.severity {
            Severity::Error => false,
            Severity::Warning => true,
            Severity::Note => found.path != owner,
        };
        if tells {
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

fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

impl fmt::Display for Report {
    /// How many keys stand how; then a line for each, the same things of the same key on one line,
    /// with what is to know and to do below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Standing::ALL.iter().filter_map(|standing| {
            let n = self
                .keys
                .iter()
                .filter(|key| key.standing == *standing)
                .count();
            (n > 0).then(|| format!("{n} {}", standing.words()))
        });
        let counts: Vec<String> = counts.collect();
        let later = self.keys.iter().filter(|key| key.later).count();
        write!(f, "{} keys", self.keys.len())?;
        if !counts.is_empty() {
            write!(f, ": {}", counts.join(", "))?;
        }
        if later > 0 {
            write!(
                f,
                "; {later} in all wait for a feature that is still to come"
            )?;
        }
        let lines: Vec<(String, &KeyReport, Vec<String>)> = self.grouped();
        let width = lines
            .iter()
            .map(|(path, ..)| path.chars().count())
            .max()
            .unwrap_or(0)
            .min(56);
        let several = self.keys.iter().any(|key| key.file != self.keys[0].file);
        for (path, key, places) in &lines {
            let later = if key.later && key.standing != Standing::Later {
                ", later"
            } else {
                ""
            };
            write!(f, "\n{path:width$}  {}{later}  ", key.standing.words())?;
            let word = if places.len() == 1 { "line" } else { "lines" };
            write!(f, "({word} {}", places.join(", "))?;
            if several {
                write!(f, " of {}", key.file)?;
            }
            f.write_str(")")?;
            if let Some(what) = &key.what {
                write!(f, "\n    {what}")?;
            }
            if let Some(fix) = &key.fix {
                write!(f, "\n    fix: {fix}")?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// Keys of which the same is to be said, with all their lines, in the order of the first.
    fn grouped(&self) -> Vec<(String, &KeyReport, Vec<String>)> {
        let mut groups: Vec<(String, &KeyReport, Vec<String>)> = Vec::new();
        let mut known = BTreeMap::new();
        for key in &self.keys {
            let path = without_positions(&key.path);
            let same = (
                path.clone(),
                &key.file,
                key.standing,
                key.later,
                &key.what,
                &key.fix,
            );
            let at = *known.entry(same).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, _, lines)) => lines.push(key.line.to_string()),
                None => groups.push((path, key, vec![key.line.to_string()])),
            }
        }
        groups
    }
}

/// `model_list[3].model_name` as `model_list[].model_name`.
fn without_positions(path: &str) -> String {
    let mut parts = path.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('[');
        out.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    }
    out
}
