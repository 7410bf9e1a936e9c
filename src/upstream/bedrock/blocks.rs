//! Turns as Converse's blocks.
//!
//! Lost on the way, because Converse has no place for it: speakers' names, thought without its
//! signature, sources of what the model said before, `detail` of images.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::call::chat::{Media, Part, Source, Text, ToolResult};
use crate::upstream::protocol::Unfit;
use crate::upstream::turns::{self, Piece, Turns, unfit};
use crate::wire::converse::{self, Block, CachePoint, Reasoning, Turn};

/// Kinds of documents, and Bedrock's words for them.
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/vnd.ms-excel", "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
];

/// Whether a part goes on.
pub(super) fn has_place(part: &Part) -> bool {
    match part {
        Part::Thinking(thinking) => thinking.redacted.is_some() || thinking.signature.is_some(),
        Part::Other { .. } => false,
        _ => true,
    }
}

/// The mark behind what is to be cached, made of Anthropic's `cache_control`.
pub(super) fn cache_point(control: Option<&Value>) -> Option<CachePoint<'_>> {
    control.map(|control| CachePoint {
        r#type: "default",
        ttl: control["ttl"].as_str().filter(|ttl| *ttl == "1h"),
    })
}

/// Writes blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Names of documents so far: no two may be alike.
    names: HashSet<String>,
}

impl Blocks {
    /// Instructions.
    pub(super) fn system<'a>(said: &Turns<'a>) -> Vec<Block<'a>> {
        let mut blocks = Vec::new();
        for text in &said.system {
            let text: &'a Text = text;
            blocks.push(Block::Text(&text.text));
            blocks.extend(cache_point(text.cache.as_ref()).map(Block::CachePoint));
        }
        blocks
    }

    /// The turns.
    pub(super) fn turns<'a>(&mut self, said: &Turns<'a>) -> Result<Vec<Turn<'a>>, Unfit> {
        let mut turns = Vec::with_capacity(said.list.len());
        for turn in &said.list {
            let mut content = Vec::with_capacity(turn.pieces.len());
            for piece in &turn.pieces {
                self.piece(*piece, &mut content)?;
            }
            let role = if turn.model { "assistant" } else { "user" };
            turns.push(Turn { role, content });
        }
        Ok(turns)
    }

    fn piece<'a>(&mut self, piece: Piece<'a>, out: &mut Vec<Block<'a>>) -> Result<(), Unfit> {
        let cache = match piece {
            Piece::Words(text, cache) => {
                out.push(Block::Text(text));
                cache
            }
            Piece::NoResult(id, text) => {
                out.push(Block::ToolResult {
                    tool_use_id: call_id(id),
                    content: vec![Block::Text(text)],
                    status: Some("error"),
                });
                None
            }
            Piece::Part(part) => {
                out.push(self.part(part)?);
                match part {
                    Part::Image(media) | Part::Document(media) => media.cache.as_ref(),
                    Part::Call(call) => call.cache.as_ref(),
                    Part::Result(result) => result.cache.as_ref(),
                    _ => None,
                }
            }
        };
        out.extend(cache_point(cache).map(Block::CachePoint));
        Ok(())
    }

    fn part<'a>(&mut self, part: &'a Part) -> Result<Block<'a>, Unfit> {
        Ok(match part {
            Part::Text(text) => Block::Text(&text.text),
            Part::Refusal(text) => Block::Text(text),
            Part::Thinking(thinking) => Block::ReasoningContent(match &thinking.redacted {
                Some(data) => Reasoning::RedactedContent(data),
                None => Reasoning::ReasoningText {
                    text: &thinking.text,
                    signature: thinking.signature.as_deref(),
                },
            }),
            Part::Image(media) => Block::Image {
                format: format(media, "image/", Some("png"))?,
                source: source(media, "an image")?,
            },
            Part::Video(media) => Block::Video {
                format: format(media, "video/", Some("mp4"))?,
                source: source(media, "a video")?,
            },
            Part::Audio(media) => Block::Audio {
                format: format(media, "audio/", Some("wav"))?,
                source: source(media, "audio")?,
            },
            Part::Document(media) => self.document(media)?,
            Part::Call(call) => Block::ToolUse {
                tool_use_id: call_id(&call.id),
                name: &call.name,
                input: turns::arguments(&call.arguments)?,
            },
            Part::Result(result) => self.result(result)?,
            Part::Other { .. } => return Err(unfit("has no place for this")),
        })
    }

    fn result<'a>(&mut self, result: &'a ToolResult) -> Result<Block<'a>, Unfit> {
        let mut content = Vec::with_capacity(result.parts.len());
        for part in &result.parts {
            let blank = matches!(part, Part::Text(text) if text.text.trim().is_empty());
            if !blank && has_place(part) {
                content.push(self.part(part)?);
            }
        }
        Ok(Block::ToolResult {
            tool_use_id: call_id(&result.id),
            content,
            status: result.error.then_some("error"),
        })
    }

    fn document<'a>(&mut self, media: &'a Media) -> Result<Block<'a>, Unfit> {
        let kind = match &media.source {
            Source::Text(_) => Some("text/plain"),
            Source::Base64(data) => turns::kind(media.mime.as_deref(), data),
            _ => media.mime.as_deref(),
        };
        if kind.is_some_and(|kind| kind.starts_with("image/")) {
            return Ok(Block::Image {
                format: format(media, "image/", None)?,
                source: source(media, "an image")?,
            });
        }
        let format = DOCUMENTS.iter().find(|(known, _)| kind == Some(known));
        let named = media.name.as_deref().and_then(|name| {
            let (_, end) = name.rsplit_once('.')?;
            DOCUMENTS.iter().find(|(_, format)| *format == end)
        });
        let Some((_, format)) = format.or(named) else {
            return Err(unfit("takes no documents of this kind"));
        };
        Ok(Block::Document {
            format,
            name: self.name(media.name.as_deref()),
            source: source(media, "a document")?,
        })
    }

    /// A name that Bedrock takes: it allows few characters, and none twice.
    fn name(&mut self, given: Option<&str>) -> String {
        let stem = given.map_or("document", |name| {
            name.rsplit_once('.').map_or(name, |(stem, _)| stem)
        });
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let mut name: String = stem
            .chars()
            .map(|c| if allowed(c) { c } else { '-' })
            .take(180)
            .collect();
        if name.is_empty() {
            "document".clone_into(&mut name);
        }
        let mut unique = name.clone();
        let mut number = 1;
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}-{number}");
        }
        unique
    }
}

fn format<'a>(
    media: &'a Media,
    family: &str,
    usual: Option<&'static str>,
) -> Result<Cow<'a, str>, Unfit> {
    let data = match &media.source {
        Source::Base64(data) => data.as_str(),
        _ => "",
    };
    let kind = turns::kind(media.mime.as_deref(), data);
    let format = kind.and_then(|kind| kind.strip_prefix(family)).or(usual);
    Ok(match format {
        Some("jpg") => "jpeg".into(),
        Some("3gpp") => "three_gp".into(),
        Some("quicktime") => "mov".into(),
        Some("x-wav" | "wave") => "wav".into(),
        Some(format) => format.into(),
        None => return Err(unfit("takes no media of this kind")),
    })
}

fn source<'a>(media: &'a Media, what: &'static str) -> Result<converse::Source<'a>, Unfit> {
    Ok(match &media.source {
        Source::Base64(data) => converse::Source::Bytes(Cow::Borrowed(data)),
        Source::Text(text) => converse::Source::Bytes(Cow::Owned(STANDARD.encode(text))),
        Source::Url(uri) | Source::File(uri) if uri.starts_with("s3://") => {
            converse::Source::S3Location { uri }
        }
        Source::Url(_) | Source::File(_) => {
            let what = format!("takes {what} only as bytes or from S3");
            return Err(Unfit::new(Some("messages"), what));
        }
    })
}

fn call_id(id: &str) -> Cow<'_, str> {
    // Bedrock's longest.
    let id = id.char_indices().nth(64).map_or(id, |(at, _)| &id[..at]);
    turns::id(id, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')
    })
}
