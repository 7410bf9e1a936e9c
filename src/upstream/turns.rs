//! What was said so far, for protocols that want it told in turns: instructions apart, the user
//! first, then model and user one after the other.
//!
//! Words that are only blank are left out: such protocols refuse them.

use std::collections::HashSet;

use serde_json::Value;
use smallvec::{SmallVec, smallvec};

use super::protocol::Unfit;
use crate::call::chat::{Message, Part, Role, Source, Text};

/// What a mended conversation begins with if it does not begin with the user, as LiteLLM writes it.
const BEGIN: &str = ".";
/// What a mended conversation says where the model may not go on with its own turn.
const GO_ON: &str = "Please continue.";
/// What a mended conversation says of a call whose result is missing.
const NO_RESULT: &str = "There is no result of this call.";

/// A conversation in turns.
#[derive(Debug, Default)]
pub(crate) struct Turns<'a> {
    /// Instructions, wherever they stood.
    pub(crate) system: SmallVec<[&'a Text; 1]>,
    /// The turns; none is empty.
    pub(crate) list: Vec<Turn<'a>>,
    /// Whether it calls functions or tells their results.
    pub(crate) calls: bool,
}

/// A turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose it is: the model's, or the user's.
    pub(crate) model: bool,
    /// What is said.
    pub(crate) pieces: SmallVec<[Piece<'a>; 2]>,
}

/// A piece of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    /// Words that are not blank, with their `cache_control`.
    Words(&'a str, Option<&'a Value>),
    /// Anything but words.
    Part(&'a Part),
    /// That the call of this id has no result.
    NoResult(&'a str, &'static str),
}

/// How to take a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What the provider would refuse is mended, where it can be (`modify_params`).
    pub(crate) mend: bool,
    /// The model goes on with a turn that the caller began for it.
    pub(crate) continues: bool,
    /// Whether the protocol has any place for a part; the others are left out.
    pub(crate) has_place: fn(&Part) -> bool,
}

impl<'a> Turns<'a> {
    /// Reads a conversation.
    pub(crate) fn read(messages: &'a [Message], manner: Manner) -> Result<Self, Unfit> {
        let mut read = Self::default();
        for message in messages {
            read.take(message, manner)?;
        }
        if manner.mend {
            read.match_results();
        }
        read.order(manner)?;
        Ok(read)
    }

    fn take(&mut self, message: &'a Message, manner: Manner) -> Result<(), Unfit> {
        let model = match &message.role {
            Role::System => {
                for part in &message.parts {
                    match part {
                        Part::Text(text) if is_blank(&text.text) => {}
                        Part::Text(text) => self.system.push(text),
                        _ => return Err(unfit("takes only text as instructions")),
                    }
                }
                return Ok(());
            }
            Role::User | Role::Tool => false,
            Role::Assistant => true,
            Role::Other(_) => return Err(unfit("has no such role")),
        };
        let mut pieces = SmallVec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::Text(text) => pieces.extend(words(&text.text, text.cache.as_ref())),
                Part::Refusal(text) => pieces.extend(words(text, None)),
                part if (manner.has_place)(part) => pieces.push(Piece::Part(part)),
                _ => {}
            }
            self.calls |= matches!(part, Part::Call(_) | Part::Result(_));
        }
        match self.list.last_mut() {
            Some(last) if last.model == model => last.pieces.append(&mut pieces),
            _ => self.list.push(Turn { model, pieces }),
        }
        Ok(())
    }

    /// Gives each call one result, and takes out results of no call.
    fn match_results(&mut self) {
        let mut open: Vec<&'a str> = Vec::new();
        let mut matched = Vec::with_capacity(self.list.len() + 1);
        for mut turn in self.list.drain(..) {
            if turn.model {
                if !open.is_empty() {
                    matched.push(without_results(&open));
                }
                open = turn.called().collect();
            } else {
                let mut missing: Vec<_> = std::mem::take(&mut open);
                let mut seen = HashSet::new();
                turn.pieces.retain(|piece| {
                    let Some(id) = piece.answers() else {
                        return true;
                    };
                    missing.contains(&id) && seen.insert(id)
                });
                missing.retain(|id| !seen.contains(id));
                let added = without_results(&missing).pieces;
                turn.pieces.insert_many(0, added);
            }
            matched.push(turn);
        }
        if !open.is_empty() {
            matched.push(without_results(&open));
        }
        self.list = matched;
    }

    /// Leaves no turn empty, and lets the user begin.
    fn order(&mut self, manner: Manner) -> Result<(), Unfit> {
        let user = |text| Turn {
            model: false,
            pieces: smallvec![Piece::Words(text, None)],
        };
        // Two turns of one speaker meet only where one between them is empty.
        let mut turns = if self.list.iter().any(|turn| turn.pieces.is_empty()) {
            Vec::with_capacity(self.list.len() + 1)
        } else {
            std::mem::take(&mut self.list)
        };
        for mut turn in self.list.drain(..) {
            if turn.pieces.is_empty() {
                match turn.model {
                    true => continue,
                    false if manner.mend => turn = user(BEGIN),
                    false => return Err(mendable("takes no empty message of the user")),
                }
            }
            match turns.last_mut() {
                Some(last) if last.model == turn.model => last.pieces.append(&mut turn.pieces),
                _ => turns.push(turn),
            }
        }
        if turns.first().is_none_or(|turn| turn.model) {
            if !manner.mend {
                return Err(mendable("wants the user to speak first"));
            }
            turns.insert(0, user(BEGIN));
        }
        if let Some(last) = turns.last_mut().filter(|last| last.model) {
            // A turn that is to be gone on with may not end in a blank.
            if let Some(Piece::Words(text, _)) = last.pieces.last_mut() {
                *text = text.trim_end();
            }
            if manner.mend && !manner.continues {
                turns.push(user(GO_ON));
            }
        }
        self.list = turns;
        Ok(())
    }

    /// About how many bytes it takes to tell it.
    pub(crate) fn length(&self) -> usize {
        let system = self.system.iter().map(|text| text.text.len());
        let pieces = self.list.iter().flat_map(|turn| &turn.pieces);
        let said = pieces.map(|piece| match piece {
            Piece::Words(text, _) | Piece::NoResult(_, text) => text.len(),
            Piece::Part(part) => length(part),
        });
        system.chain(said).map(|length| length + 64).sum()
    }

    /// Whether the model's last turn calls functions without having thought before, so that the
    /// model may not think now.
    pub(crate) fn calls_without_thought(&self) -> bool {
        let last = self.list.iter().rev().find(|turn| turn.model);
        last.is_some_and(|turn| turn.called().next().is_some() && !turn.thinks())
    }
}

impl<'a> Turn<'a> {
    fn called(&self) -> impl Iterator<Item = &'a str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Part(Part::Call(call)) => Some(call.id.as_str()),
            _ => None,
        })
    }

    fn thinks(&self) -> bool {
        let thinks = |piece: &Piece<'_>| matches!(piece, Piece::Part(Part::Thinking(_)));
        self.pieces.iter().any(thinks)
    }
}

impl<'a> Piece<'a> {
    fn answers(&self) -> Option<&'a str> {
        match self {
            Self::Part(Part::Result(result)) => Some(&result.id),
            _ => None,
        }
    }
}

fn length(part: &Part) -> usize {
    match part {
        Part::Text(text) => text.text.len(),
        Part::Thinking(thought) => thought.text.len(),
        Part::Image(media) | Part::Document(media) => match &media.source {
            Source::Base64(data) | Source::Text(data) => data.len(),
            Source::Url(_) | Source::File(_) => 64,
        },
        Part::Call(call) => call.arguments.len(),
        Part::Result(result) => result.parts.iter().map(length).sum(),
        _ => 0,
    }
}

fn without_results<'a>(ids: &[&'a str]) -> Turn<'a> {
    let pieces = ids.iter().map(|id| Piece::NoResult(id, NO_RESULT));
    Turn {
        model: false,
        pieces: pieces.collect(),
    }
}

fn words<'a>(text: &'a str, cache: Option<&'a Value>) -> Option<Piece<'a>> {
    (!is_blank(text)).then_some(Piece::Words(text, cache))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Something in the messages that cannot be said.
pub(crate) fn unfit(what: &'static str) -> Unfit {
    Unfit::new(Some("messages"), what)
}

fn mendable(what: &'static str) -> Unfit {
    let what = format!("{what}; `modify_params: true` in `litellm_settings` mends that");
    Unfit::new(Some("messages"), what)
}

/// A call's id with the characters that `allowed` lets through, for other providers' have others.
pub(crate) fn id(id: &str, allowed: fn(char) -> bool) -> std::borrow::Cow<'_, str> {
    if id.chars().all(allowed) {
        return id.into();
    }
    id.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// The arguments of a call, which some models leave empty if there are none.
pub(crate) fn arguments(text: &str) -> Result<&serde_json::value::RawValue, Unfit> {
    let text = text.trim();
    let text = if text.is_empty() { "{}" } else { text };
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') => Ok(raw),
        _ => Err(unfit("wants the arguments of a call to be a JSON object")),
    }
}

/// What bytes in base64 are: as stated, else by how they begin.
pub(crate) fn kind<'a>(stated: Option<&'a str>, data: &str) -> Option<&'a str> {
    const BEGINNINGS: &[(&str, &str)] = &[
        ("iVBOR", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    let begins = |(start, kind): &(&str, &'static str)| data.starts_with(start).then_some(*kind);
    match stated.map(|kind| kind.split(';').next().unwrap_or(kind).trim()) {
        Some("image/jpg") => Some("image/jpeg"),
        Some("" | "application/octet-stream") | None => BEGINNINGS.iter().find_map(begins),
        stated => stated,
    }
}
