//! Conditional rules: whom a request prefers, by who asks and what for.

use pointsman_routes::table::{DeploymentId, List, Rule, Text};
use serde_json::Value;

use super::board::{Board, Row};
use super::shape::Shape;
use crate::call::{Field, Principal};
use crate::wire::json;

/// Most members of a request's metadata that are looked at.
const MOST_MEMBERS: usize = 64;

/// Whom the first rule that decides prefers; nobody if there is none. `tags` are those of the
/// request, in its body and its headers.
pub fn preferred<'b>(
    call: &Shape<'_>,
    board: &'b Board,
    row: &Row,
    tags: &[String],
) -> &'b [DeploymentId] {
    let mut metadata = None;
    for at in &row.rules {
        let rule = &board.table_rules()[usize::from(*at)];
        if holds(rule, call, tags, &mut metadata) {
            return &rule.prefer;
        }
        if !rule.otherwise.is_empty() {
            return &rule.otherwise;
        }
    }
    &[]
}

type Members = Vec<(String, String)>;

fn holds(rule: &Rule, call: &Shape<'_>, tags: &[String], metadata: &mut Option<Members>) -> bool {
    let who = Who::of(call.who);
    let tagged = rule.tags.is_empty() || tags.iter().any(|tag| names(&rule.tags, tag));
    tagged
        && any(&rule.keys, &who.keys)
        && any(&rule.teams, &who.teams)
        && (rule.users.is_empty()
            || any(&rule.users, &[who.user])
            || call
                .peek
                .text(call.body, Field::User)
                .is_some_and(|user| names(&rule.users, &user)))
        && (rule.metadata.is_empty() || {
            let members = metadata.get_or_insert_with(|| read(call));
            let says = |(name, value): &(Text, Text)| {
                let mut members = members.iter();
                members.any(|(known, said)| known == name && said == value)
            };
            rule.metadata.iter().all(says)
        })
}

/// Who asks, as rules know it.
struct Who<'a> {
    /// The key by its digest and by its alias.
    keys: [Option<&'a str>; 2],
    /// The team by its id and by its alias.
    teams: [Option<&'a str>; 2],
    user: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// The one place where rules learn of a principal.
    fn of(principal: Option<&'a Principal>) -> Self {
        let bearer = principal.and_then(|one| one.bearer.as_deref());
        let key = bearer.map(|bearer| &bearer.key);
        let team = bearer.and_then(|bearer| bearer.team.as_ref());
        Self {
            keys: [
                principal.map(|one| &*one.key),
                principal.and_then(|one| one.alias.as_deref()),
            ],
            teams: [
                key.and_then(|key| key.team_id.as_deref()),
                team.and_then(|team| team.team_alias.as_deref()),
            ],
            user: key.and_then(|key| key.user_id.as_deref()),
        }
    }
}

/// Whether one of the words is one of the wanted, or nothing is wanted.
fn any(wanted: &List<Text>, words: &[Option<&str>]) -> bool {
    wanted.is_empty() || words.iter().flatten().any(|word| names(wanted, word))
}

fn names(wanted: &List<Text>, word: &str) -> bool {
    wanted.iter().any(|one| one == word)
}

/// The texts, numbers and switches of a request's metadata.
fn read(call: &Shape<'_>) -> Members {
    let mut members = Vec::new();
    for field in [Field::Metadata, Field::LitellmMetadata] {
        let Some(metadata) = call.peek.value(call.body, field) else {
            continue;
        };
        // What is no object has no members.
        let _ = json::members(metadata, |member| {
            if members.len() >= MOST_MEMBERS {
                return;
            }
            let name = json::string(&metadata[member.start..member.name_end]);
            let value = match serde_json::from_slice(member.value(metadata)) {
                Ok(Value::String(text)) => Some(text),
                Ok(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.to_string()),
                _ => None,
            };
            members.extend(name.map(String::from).zip(value));
        });
    }
    members
}
