//! Turns as Anthropic's blocks.
//!
//! Lost on the way, because Anthropic has no place for it: speakers' names, thought without its
//! signature, sources of what the model said before, `detail` of images.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::call::Dialect;
use crate::call::chat::{Media, Part, Source, ToolResult};
use crate::upstream::protocol::Unfit;
use crate::upstream::turns::{self, Piece, Turns, unfit};
use crate::wire::anthropic::{self, Block, Turn};

/// Writes blocks, and remembers what else they need.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Whether there are files that are at Anthropic.
    pub(super) files: bool,
}

/// Whether a part goes on.
pub(super) fn has_place(part: &Part) -> bool {
    match part {
        Part::Thinking(thinking) => thinking.redacted.is_some() || thinking.signature.is_some(),
        Part::Other { dialect, .. } => *dialect == Dialect::Anthropic,
        _ => true,
    }
}

/// Instructions.
pub(super) fn system<'a>(said: &Turns<'a>) -> Vec<Block<'a>> {
    let block = |text: &&'a crate::call::chat::Text| Block::Text {
        text: &text.text,
        cache_control: text.cache.as_ref(),
    };
    said.system.iter().map(block).collect()
}

impl Blocks {
    /// The turns.
    pub(super) fn turns<'a>(&mut self, said: &Turns<'a>) -> Result<Vec<Turn<'a>>, Unfit> {
        let turn = |turn: &turns::Turn<'a>| {
            let blocks = turn.pieces.iter().map(|piece| self.piece(*piece));
            Ok(Turn {
                role: if turn.model { "assistant" } else { "user" },
                content: blocks.collect::<Result<_, Unfit>>()?,
            })
        };
        said.list.iter().map(turn).collect()
    }

    fn piece<'a>(&mut self, piece: Piece<'a>) -> Result<Block<'a>, Unfit> {
        match piece {
            Piece::Words(text, cache_control) => Ok(Block::Text {
                text,
                cache_control,
            }),
            Piece::NoResult(id, text) => Ok(Block::ToolResult {
                tool_use_id: call_id(id),
                content: vec![Block::Text {
                    text,
                    cache_control: None,
                }],
                is_error: true,
                cache_control: None,
            }),
            Piece::Part(part) => self.part(part),
        }
    }

    fn part<'a>(&mut self, part: &'a Part) -> Result<Block<'a>, Unfit> {
        Ok(match part {
            Part::Thinking(thinking) => match (&thinking.redacted, &thinking.signature) {
                (Some(data), _) => Block::RedactedThinking { data },
                (None, signature) => Block::Thinking {
                    thinking: &thinking.text,
                    signature: signature.as_deref().unwrap_or_default(),
                },
            },
            Part::Text(text) => Block::Text {
                text: &text.text,
                cache_control: text.cache.as_ref(),
            },
            Part::Refusal(text) => Block::Text {
                text,
                cache_control: None,
            },
            Part::Image(media) => self.image(media)?,
            Part::Document(media) => self.document(media)?,
            Part::Audio(_) => return Err(unfit("takes no audio")),
            Part::Video(_) => return Err(unfit("takes no video")),
            Part::Call(call) => Block::ToolUse {
                id: call_id(&call.id),
                name: &call.name,
                input: turns::arguments(&call.arguments)?,
                cache_control: call.cache.as_ref(),
            },
            Part::Result(result) => self.result(result)?,
            Part::Other { value, .. } => Block::Other(value),
        })
    }

    fn image<'a>(&mut self, media: &'a Media) -> Result<Block<'a>, Unfit> {
        let source = match &media.source {
            Source::Base64(data) => anthropic::Source::Base64 {
                media_type: turns::kind(media.mime.as_deref(), data).unwrap_or("image/jpeg"),
                data,
            },
            Source::Url(url) => anthropic::Source::Url { url },
            Source::File(file_id) => self.file(file_id),
            Source::Text(_) => return Err(unfit("takes no image of text")),
        };
        Ok(Block::Image {
            source,
            cache_control: media.cache.as_ref(),
        })
    }

    fn document<'a>(&mut self, media: &'a Media) -> Result<Block<'a>, Unfit> {
        let source = match &media.source {
            Source::Base64(data) => match turns::kind(media.mime.as_deref(), data) {
                Some(kind) if kind.starts_with("image/") => return self.image(media),
                Some(kind) if is_text(kind) => plain(Cow::Owned(decode(data)?)),
                Some("application/pdf") | None => anthropic::Source::Base64 {
                    media_type: "application/pdf",
                    data,
                },
                Some(_) => return Err(unfit("takes no documents but PDF and text")),
            },
            Source::Url(url) => anthropic::Source::Url { url },
            Source::File(file_id) => self.file(file_id),
            Source::Text(text) => plain(Cow::Borrowed(text)),
        };
        Ok(Block::Document {
            source,
            title: media.name.as_deref(),
            cache_control: media.cache.as_ref(),
        })
    }

    fn file<'a>(&mut self, file_id: &'a str) -> anthropic::Source<'a> {
        self.files = true;
        anthropic::Source::File { file_id }
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
            is_error: result.error,
            cache_control: result.cache.as_ref(),
        })
    }
}

fn call_id(id: &str) -> Cow<'_, str> {
    turns::id(id, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || kind == "application/json"
}

fn plain(data: Cow<'_, str>) -> anthropic::Source<'_> {
    anthropic::Source::Text {
        media_type: "text/plain",
        data,
    }
}

fn decode(data: &str) -> Result<String, Unfit> {
    let bytes = STANDARD.decode(data).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| unfit("cannot read a document of text"))
}
