//! `guardrails`, at the top level or under `litellm_settings`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::read::{Reader, flag, text};
use crate::mask;
use crate::schema::{self, Hold, Section};
use crate::table::{GuardMode, Guardrail, Setting, Text};
use crate::yaml::Node;

const MODES: &[(&str, GuardMode)] = &[
    ("pre_call", GuardMode::PreCall),
    ("during_call", GuardMode::DuringCall),
    ("post_call", GuardMode::PostCall),
    ("logging_only", GuardMode::LoggingOnly),
];

/// Reads both places. Guardrails of one name share the requests, as deployments of a group do.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Vec<Guardrail> {
    let places = [Some(root), root.get("litellm_settings")];
    let lists = places
        .into_iter()
        .flatten()
        .filter_map(|map| map.get("guardrails"));
    let mut found: Vec<Guardrail> = Vec::new();
    let mut seen: HashSet<Text> = HashSet::new();
    for item in lists.flat_map(Node::items).filter(|item| item.is_map()) {
        let Some(guardrail) = one(item, reader) else {
            continue;
        };
        if !seen.insert(guardrail.name.clone()) {
            let mark = item
                .get("guardrail_name")
                .map_or(item.mark, |node| node.mark);
            let what = format!(
                "{} stands twice: the checks share the requests",
                mask::quoted(&guardrail.name)
            );
            reader.findings.note(
                mark,
                what,
                Some("for two checks one after another, give them two names".into()),
            );
        }
        found.push(guardrail);
    }
    found
}

fn one(item: &Node, reader: &mut Reader<'_>) -> Option<Guardrail> {
    let missing = |what: &str, help: &str, reader: &mut Reader<'_>| {
        reader.findings.error(
            item.mark,
            format!("a guardrail without `{what}`"),
            Some(help.into()),
        );
    };
    let Some(name) = reader.plain(item, "guardrail_name") else {
        missing(
            "guardrail_name",
            "give it a name by which requests ask for it",
            reader,
        );
        return None;
    };
    let Some(params) = item.get("litellm_params").filter(|params| params.is_map()) else {
        missing(
            "litellm_params",
            "say which check: `litellm_params: {guardrail: openai_moderation, mode: pre_call}`",
            reader,
        );
        return None;
    };
    let Some(kind) = reader.plain(params, "guardrail") else {
        missing(
            "guardrail",
            "say which check, such as `guardrail: openai_moderation`",
            reader,
        );
        return None;
    };
    Some(Guardrail {
        name: text(name),
        kind: text(kind),
        modes: Cow::Owned(modes(params, reader)),
        default_on: flag(params, "default_on").unwrap_or(false),
        api_key: reader.secret(params, "api_key"),
        api_base: reader.value(params, "api_base"),
        options: Cow::Owned(options(params, reader)),
    })
}

/// One mode or several; without one, LiteLLM's `pre_call`.
fn modes(params: &Node, reader: &mut Reader<'_>) -> Vec<GuardMode> {
    let Some(node) = params.get("mode") else {
        return vec![GuardMode::PreCall];
    };
    let nodes = if node.is_list() {
        node.items()
    } else {
        std::slice::from_ref(node)
    };
    let mut found = Vec::new();
    for node in nodes {
        let known = MODES.iter().find(|(word, _)| *word == &*node.text);
        match known {
            Some((_, mode)) if !found.contains(mode) => found.push(*mode),
            Some(_) => {}
            None => {
                let near =
                    reader
                        .findings
                        .nearest(&node.text, MODES.iter().map(|(word, _)| *word), 1);
                reader.findings.error(
                    node.mark,
                    format!("no mode {} is known", mask::quoted(&node.text)),
                    Some(match near.first() {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "write pre_call, during_call, post_call or logging_only".into(),
                    }),
                );
            }
        }
    }
    found
}

fn options(params: &Node, reader: &mut Reader<'_>) -> Vec<(Text, Setting)> {
    let mut found: Vec<(Text, Setting)> = Vec::new();
    for entry in params.entries() {
        let key = schema::find(Section::GuardrailParams, &entry.name);
        if key.is_some_and(|key| key.hold != Hold::Carried) {
            continue;
        }
        let value = reader.setting(&entry.value, &entry.name, false);
        found.extend(value.map(|value| (text(&*entry.name), value)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
