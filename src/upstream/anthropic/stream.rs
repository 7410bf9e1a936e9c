//! A message as it comes.
//!
//! Source: Anthropic's API reference, "Streaming messages": `message_start`, then each block by
//! `content_block_start`, `_delta`s and `_stop`, then `message_delta` and `message_stop`; `ping` and
//! unknown events anywhere, `error` in place of any.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::JSON_TOOL;
use super::response::{annotation, fault, finish, keep, usage};
use crate::call::Dialect;
use crate::call::chat::{self, Delta};
use crate::upstream::protocol::{self, Broken};
use crate::wire::anthropic::{self, Content, Event};
use crate::wire::sse::{self, Splitter, TooLong};

/// Longest event, and longest arguments of a tool of Anthropic's own.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Reads the events of a message. At most one event is held, and one block of a kind that only
/// Anthropic knows.
#[derive(Debug)]
pub struct Decoder {
    splitter: Splitter,
    reader: Reader,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            reader: Reader::default(),
        }
    }
}

impl protocol::Decoder for Decoder {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            if let Some(data) = event.data() {
                self.reader.take(&data, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        if let Some(data) = self.splitter.finish().as_ref().and_then(sse::Event::data) {
            self.reader.take(&data, events)?;
        }
        self.reader.finish()
    }
}

/// Reads the data of events, however they come framed.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    usage: anthropic::Usage,
    /// The block that is open.
    open: Option<Block>,
    /// Calls so far.
    calls: u32,
    /// Characters of text so far.
    length: usize,
    /// Whether the answer came by way of the tool that gives it its form.
    formed: bool,
    /// Whether it was said why the message ends.
    ended: bool,
    /// Whether the message is complete.
    done: bool,
}

/// A block that is open.
#[derive(Debug)]
enum Block {
    Text {
        /// Characters before it.
        from: usize,
    },
    Thinking,
    /// A call; `input` are its arguments if no pieces of them come.
    Call {
        index: u32,
        input: Option<String>,
    },
    /// The answer, by way of the tool that gives it its form.
    Formed {
        input: Option<String>,
    },
    /// One that only Anthropic knows, and the pieces of its arguments.
    Other {
        value: Value,
        input: String,
    },
}

impl Reader {
    /// Takes the data of one event.
    pub(crate) fn take(&mut self, data: &[u8], out: &mut Vec<chat::Event>) -> Result<(), Broken> {
        let event: Event<'_> = serde_json::from_slice(data)
            .map_err(|_| Broken::Malformed("An event cannot be read.".into()))?;
        match &*event.r#type {
            "message_start" => self.start(event.message, out),
            "content_block_start" => {
                let raw = event.content_block.ok_or_else(incomplete)?;
                self.close(out);
                self.open(raw, out)?;
            }
            "content_block_delta" => self.delta(event.delta.ok_or_else(incomplete)?, out)?,
            "content_block_stop" => self.close(out),
            "message_delta" => self.end(event, out),
            "message_stop" => self.done = true,
            "error" => {
                let error = event.error.unwrap_or_default();
                return Err(Broken::Told(fault(error)));
            }
            _ => {}
        }
        Ok(())
    }

    /// The events have ended.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        if self.done || self.ended {
            Ok(())
        } else {
            Err(Broken::Cut)
        }
    }

    fn start(&mut self, message: Option<anthropic::Started>, out: &mut Vec<chat::Event>) {
        let Some(message) = message else { return };
        self.usage = message.usage.unwrap_or_default();
        out.push(chat::Event::Start {
            id: message.id,
            model: message.model,
            usage: message.usage.as_ref().map(usage),
        });
    }

    fn open(&mut self, raw: &RawValue, out: &mut Vec<chat::Event>) -> Result<(), Broken> {
        let mut content = serde_json::from_str::<Content<'_>>(raw.get()).ok();
        let kind = content
            .as_mut()
            .map(|content| std::mem::take(&mut content.r#type));
        self.open = Some(match (kind.as_deref().unwrap_or_default(), content) {
            ("text", Some(content)) => {
                let from = self.length;
                self.text(content.text.unwrap_or_default(), out);
                Block::Text { from }
            }
            ("thinking", Some(content)) => {
                push(
                    out,
                    content
                        .thinking
                        .filter(|text| !text.is_empty())
                        .map(Delta::Thinking),
                );
                push(
                    out,
                    content
                        .signature
                        .filter(|text| !text.is_empty())
                        .map(Delta::Signature),
                );
                Block::Thinking
            }
            ("redacted_thinking", Some(content)) => {
                push(out, content.data.map(Delta::Redacted));
                return Ok(());
            }
            ("tool_use", Some(content)) => {
                let input = Some(content.input.map_or("{}", |input| input.get()).to_owned());
                if content.name.as_deref() == Some(JSON_TOOL) {
                    self.formed = true;
                    Block::Formed { input }
                } else {
                    let index = self.calls;
                    self.calls += 1;
                    push(
                        out,
                        Some(Delta::Call {
                            index,
                            id: content.id.unwrap_or_default(),
                            name: content.name.unwrap_or_default(),
                            signature: None,
                        }),
                    );
                    Block::Call { index, input }
                }
            }
            _ => Block::Other {
                value: serde_json::from_str(raw.get()).map_err(|_| incomplete())?,
                input: String::new(),
            },
        });
        Ok(())
    }

    fn delta(&mut self, delta: anthropic::Delta, out: &mut Vec<chat::Event>) -> Result<(), Broken> {
        match delta.r#type.as_str() {
            "text_delta" => self.text(delta.text.unwrap_or_default(), out),
            "thinking_delta" => push(out, delta.thinking.map(Delta::Thinking)),
            "signature_delta" => push(out, delta.signature.map(Delta::Signature)),
            "input_json_delta" => return self.json(delta.partial_json.unwrap_or_default(), out),
            "citations_delta" => self.citation(delta.citation, out),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: String, out: &mut Vec<chat::Event>) {
        self.length += text.chars().count();
        push(out, (!text.is_empty()).then_some(Delta::Text(text)));
    }

    fn json(&mut self, text: String, out: &mut Vec<chat::Event>) -> Result<(), Broken> {
        if text.is_empty() {
            return Ok(());
        }
        match &mut self.open {
            Some(Block::Call { index, input }) => {
                *input = None;
                let index = *index;
                push(out, Some(Delta::Arguments { index, text }));
            }
            Some(Block::Formed { input }) => {
                *input = None;
                self.text(text, out);
            }
            Some(Block::Other { input, .. }) => {
                if input.len() + text.len() > MAX_EVENT_BYTES {
                    return Err(Broken::TooLong);
                }
                input.push_str(&text);
            }
            Some(Block::Text { .. } | Block::Thinking) | None => {}
        }
        Ok(())
    }

    fn citation(&mut self, source: Option<Value>, out: &mut Vec<chat::Event>) {
        let (Some(source), Some(Block::Text { from })) = (source, &self.open) else {
            return;
        };
        push(
            out,
            annotation(&source, *from, self.length).map(Delta::Annotation),
        );
        let mut rest = Map::new();
        rest.insert("citation".to_owned(), source);
        push(out, Some(Delta::Rest(rest)));
    }

    /// Ends the block that is open, with what is known of it only now.
    fn close(&mut self, out: &mut Vec<chat::Event>) {
        match self.open.take() {
            Some(Block::Call {
                index,
                input: Some(text),
            }) => push(out, Some(Delta::Arguments { index, text })),
            Some(Block::Formed { input: Some(text) }) => self.text(text, out),
            Some(Block::Other { mut value, input }) => {
                if let (Ok(input), Some(members)) =
                    (serde_json::from_str::<Value>(&input), value.as_object_mut())
                {
                    members.insert("input".to_owned(), input);
                }
                let dialect = Dialect::Anthropic;
                push(out, Some(Delta::Other { dialect, value }));
            }
            _ => {}
        }
    }

    fn end(&mut self, event: Event<'_>, out: &mut Vec<chat::Event>) {
        self.close(out);
        if let Some(later) = event.usage {
            self.usage.and_then(later);
            out.push(chat::Event::Usage(usage(&self.usage)));
        }
        let delta = event.delta.unwrap_or_default();
        let mut rest = Map::new();
        keep(&mut rest, "container", delta.container);
        keep(&mut rest, "context_management", event.context_management);
        if !rest.is_empty() {
            out.push(chat::Event::Rest(rest));
        }
        if let Some(why) = delta.stop_reason {
            self.ended = true;
            out.push(chat::Event::Finish {
                choice: 0,
                finish: finish(&why, self.formed && self.calls == 0),
                stop_sequence: delta.stop_sequence,
            });
        }
    }
}

fn push(out: &mut Vec<chat::Event>, delta: Option<Delta>) {
    out.extend(delta.map(|delta| chat::Event::Delta { choice: 0, delta }));
}

fn incomplete() -> Broken {
    Broken::Malformed("An event lacks what it is about.".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::protocol::Decoder as _;

    /// Every kind of event and block, as Anthropic sends them.
    const STREAM: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":4,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,\"ephemeral_1h_input_tokens\":3},\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"sig\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"xyz\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"srv\",\"name\":\"web_search\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"q\\\":1}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"text\",\"text\":\"\",\"citations\":[]}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"text_delta\",\"text\":\"Gr\u{fc}n\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_search_result_location\",\"url\":\"https://a.example\",\"title\":\"A\"}}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":4,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":4,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":4}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":5,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"g\",\"input\":{}}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":5}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":30,\"server_tool_use\":{\"web_search_requests\":2}}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    fn events(stream: &str, cuts: &[usize]) -> (Vec<chat::Event>, Result<(), Broken>) {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            let piece = Bytes::copy_from_slice(&stream.as_bytes()[from..to]);
            if let Err(broken) = decoder.push(piece, &mut out) {
                return (out, Err(broken));
            }
            from = to;
        }
        let end = decoder.finish(&mut out);
        (out, end)
    }

    fn deltas(events: Vec<chat::Event>) -> Vec<Delta> {
        let delta = |event| match event {
            chat::Event::Delta { delta, .. } => Some(delta),
            _ => None,
        };
        events.into_iter().filter_map(delta).collect()
    }

    #[test]
    fn every_kind_of_block_is_read() {
        let (events, end) = events(STREAM, &[]);
        assert_eq!(end, Ok(()));
        let chat::Event::Start {
            id,
            usage: Some(at_first),
            ..
        } = &events[0]
        else {
            panic!("{events:?}")
        };
        assert_eq!(id.as_deref(), Some("msg_1"));
        assert_eq!((at_first.prompt, at_first.cache_write_hour), (19, 3));
        let [
            ..,
            chat::Event::Usage(usage),
            chat::Event::Finish { finish, .. },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(*finish, chat::Finish::ToolCalls);
        assert_eq!((usage.prompt, usage.completion), (19, 30));
        assert_eq!(
            (usage.cache_read, usage.cache_write, usage.searches),
            (5, 4, 2)
        );
        let call = |index, id: &str, name: &str| Delta::Call {
            index,
            id: id.into(),
            name: name.into(),
            signature: None,
        };
        let arguments = |index, text: &str| Delta::Arguments {
            index,
            text: text.into(),
        };
        let source = serde_json::json!({"type": "web_search_result_location",
            "url": "https://a.example", "title": "A"});
        let deltas = deltas(events);
        assert_eq!(
            deltas,
            [
                Delta::Thinking("hm".into()),
                Delta::Signature("sig".into()),
                Delta::Redacted("xyz".into()),
                Delta::Other {
                    dialect: Dialect::Anthropic,
                    value: serde_json::json!({"type": "server_tool_use", "id": "srv",
                        "name": "web_search", "input": {"q": 1}}),
                },
                Delta::Text("Gr\u{fc}n".into()),
                Delta::Annotation(annotation(&source, 0, 4).unwrap()),
                Delta::Rest(Map::from_iter([("citation".to_owned(), source)])),
                call(0, "toolu_1", "f"),
                arguments(0, "{\"a\""),
                arguments(0, ":1}"),
                call(1, "toolu_2", "g"),
                arguments(1, "{}"),
            ]
        );
    }

    #[test]
    fn every_cut_in_two_gives_the_same() {
        let whole = events(STREAM, &[]);
        for cut in 1..STREAM.len() {
            assert_eq!(events(STREAM, &[cut]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_without_its_end_is_cut() {
        let end = STREAM.find("event: message_delta").unwrap();
        assert_eq!(events(&STREAM[..end], &[]).1, Err(Broken::Cut));
        assert_eq!(events("", &[]).1, Err(Broken::Cut));
    }

    #[test]
    fn an_error_in_the_stream_is_told_with_its_status() {
        let stream = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        let Err(Broken::Told(told)) = events(stream, &[]).1 else {
            panic!("no error")
        };
        assert_eq!(told.status.unwrap().as_u16(), 529);
        assert_eq!(told.message.as_deref(), Some("Overloaded"));
    }

    #[test]
    fn the_tool_of_the_form_is_the_answer() {
        let stream = STREAM
            .replace("\"name\":\"f\"", "\"name\":\"json_tool_call\"")
            .replace("\"index\":5", "\"index\":6");
        let start = stream
            .find("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":6")
            .unwrap();
        let end = stream.find("event: message_delta").unwrap();
        let (events, _) = events(&format!("{}{}", &stream[..start], &stream[end..]), &[]);
        assert!(matches!(
            events.last(),
            Some(chat::Event::Finish {
                finish: chat::Finish::Stop,
                ..
            })
        ));
        let text: String = deltas(events)
            .into_iter()
            .filter_map(|delta| match delta {
                Delta::Text(text) => Some(text),
                _ => None,
            })
            .collect();
        assert_eq!(text, "Gr\u{fc}n{\"a\":1}");
    }
}
