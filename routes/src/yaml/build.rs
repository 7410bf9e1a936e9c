//! Events → tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::scalar;
use super::{Content, Entry, Fault, MAX_BYTES, MAX_DEPTH, MAX_NODES, Mark, Node};

/// Reads one text. There is a tree unless the syntax is broken; there may be faults beside it.
pub(crate) fn parse(file: u16, text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        file,
        anchors: HashMap::new(),
        nodes: 0,
        faults: Vec::new(),
    };
    if text.len() > MAX_BYTES {
        let start = Mark {
            file,
            line: 1,
            column: 1,
            width: 1,
            id: 0,
        };
        builder.fault(
            start,
            format!("the file is larger than {} MiB", MAX_BYTES >> 20),
            None,
        );
        return (None, builder.faults);
    }
    let root = builder.document();
    (root.ok(), builder.faults)
}

/// Reading cannot go on; the reason is among the faults.
struct Stop;

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    file: u16,
    anchors: HashMap<usize, Built>,
    nodes: usize,
    faults: Vec<Fault>,
}

/// A finished node with its size.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    height: usize,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(_) if root.is_none() => {}
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    let mark = self.mark(span);
                    let help = "split the documents into files and name them under `include:`";
                    self.fault(
                        mark,
                        "a second document in one file".into(),
                        Some(help.into()),
                    );
                    return Err(Stop);
                }
                event => root = Some(self.node(event, span, 0)?.node),
            }
        }
        let start = Mark {
            file: self.file,
            line: 1,
            column: 1,
            width: 1,
            id: 0,
        };
        Ok(root
            .filter(|root| !root.is_null())
            .unwrap_or_else(|| Node::empty(start)))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = *error.marker();
                let mark = self.mark(Span::empty(at));
                self.fault(mark, format!("not YAML: {}", error.info()), None);
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Built, Stop> {
        let mark = self.mark(span);
        if depth >= MAX_DEPTH {
            self.fault(mark, format!("nested deeper than {MAX_DEPTH} levels"), None);
            return Err(Stop);
        }
        self.count(1, mark)?;
        let before = self.nodes;
        let (anchor, height, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = self.scalar(&text, style, tag.as_deref(), mark);
                (
                    anchor,
                    1,
                    Node {
                        mark,
                        content,
                        text: text.into(),
                    },
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", mark);
                let (items, height) = self.sequence(depth)?;
                (
                    anchor,
                    height,
                    Node {
                        mark,
                        content: Content::List(items),
                        text: "".into(),
                    },
                )
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", mark);
                let (entries, height) = self.mapping(depth)?;
                (
                    anchor,
                    height,
                    Node {
                        mark,
                        content: Content::Map(entries),
                        text: "".into(),
                    },
                )
            }
            Event::Alias(anchor) => return self.alias(anchor, mark, depth),
            _ => return Err(Stop),
        };
        let nodes = self.nodes - before + 1;
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Built {
                    node: node.clone(),
                    nodes,
                    height,
                },
            );
        }
        Ok(Built {
            node,
            nodes,
            height,
        })
    }

    fn alias(&mut self, anchor: usize, mark: Mark, depth: usize) -> Result<Built, Stop> {
        let Some((nodes, height)) = self
            .anchors
            .get(&anchor)
            .map(|built| (built.nodes, built.height))
        else {
            self.fault(mark, "an alias inside the value that it names".into(), None);
            return Err(Stop);
        };
        if depth + height > MAX_DEPTH {
            self.fault(
                mark,
                format!("aliases nest deeper than {MAX_DEPTH} levels"),
                None,
            );
            return Err(Stop);
        }
        // Counted before they are copied.
        self.count(nodes - 1, mark)?;
        Ok(self.anchors[&anchor].clone())
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            self.fault(
                mark,
                format!("more than {MAX_NODES} values, aliases unfolded"),
                None,
            );
            return Err(Stop);
        }
        Ok(())
    }

    fn sequence(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Stop> {
        let mut items = Vec::new();
        let mut height = 0;
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((items, height + 1));
            }
            let built = self.node(event, span, depth + 1)?;
            height = height.max(built.height);
            items.push(built.node);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<Entry>, usize), Stop> {
        let mut own = Entries::default();
        let mut merges = Vec::new();
        let mut height = 0;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, 0, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            height = height.max(value.height).max(key.height);
            if merge {
                merges.push(value.node);
            } else {
                self.insert(&mut own, key.node, value.node);
            }
        }
        for merge in merges {
            self.merge(&mut own, merge);
        }
        Ok((own.entries, height + 1))
    }

    fn insert(&mut self, own: &mut Entries, key: Node, value: Node) {
        if !key.is_scalar() {
            self.fault(
                key.mark,
                format!("a key must be text, not {}", key.word()),
                None,
            );
            return;
        }
        if let Some(first) = own.find(&key.text) {
            let what = format!("the key `{}` stands twice", short(&key.text));
            let help = format!(
                "it stands in line {} already, and LiteLLM would silently take the last one: keep one",
                first.mark.line
            );
            self.fault(key.mark, what, Some(help));
            return;
        }
        own.push(Entry {
            mark: key.mark,
            name: key.text,
            value,
            merged: false,
        });
    }

    /// `<<`: what the map itself has wins, then the first of a list.
    fn merge(&mut self, own: &mut Entries, value: Node) {
        match value.content {
            Content::Map(entries) => {
                for entry in entries {
                    if own.find(&entry.name).is_none() {
                        own.push(Entry {
                            merged: true,
                            ..entry
                        });
                    }
                }
            }
            Content::List(items) if items.iter().all(Node::is_map) => {
                for item in items {
                    self.merge(own, item);
                }
            }
            _ => self.fault(
                value.mark,
                format!("`<<` merges a map or a list of maps, not {}", value.word()),
                None,
            ),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Content {
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain {
                scalar::resolve(text)
            } else {
                Content::Text
            };
        };
        let resolved = scalar::resolve(text);
        let fits = match core_tag(tag) {
            Some("str") => return Content::Text,
            Some("int") => matches!(resolved, Content::Int(_)),
            Some("float") => {
                if let Some(number) = scalar::decimal(text) {
                    return Content::Float(number);
                }
                matches!(resolved, Content::Float(_))
            }
            Some("bool") => matches!(resolved, Content::Bool(_)),
            Some("null") => return Content::Null,
            _ => {
                self.unknown_tag(tag, mark);
                return Content::Text;
            }
        };
        if !fits {
            self.fault(
                mark,
                format!("the value does not fit its tag `{}`", shown(tag)),
                None,
            );
        }
        resolved
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, mark: Mark) {
        if let Some(tag) = tag
            && core_tag(tag) != Some(expected)
        {
            self.unknown_tag(tag, mark);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, mark: Mark) {
        let help = "only the tags of plain data are read: !!str, !!int, !!float, !!bool, !!null, !!seq, !!map";
        self.fault(
            mark,
            format!("the tag `{}` is not supported", shown(tag)),
            Some(help.into()),
        );
    }

    fn mark(&self, span: Span) -> Mark {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line {
            span.end.col().saturating_sub(span.start.col())
        } else {
            0
        };
        Mark {
            id: 0,
            file: self.file,
            line: clip(span.start.line().max(1)),
            column: clip(span.start.col() + 1),
            width: clip(width.max(1)),
        }
    }

    fn fault(&mut self, mark: Mark, what: String, help: Option<String>) {
        if self.faults.len() < 1000 {
            self.faults.push(Fault { mark, what, help });
        }
    }
}

/// The entries of a map while it is read, with an index once it is large.
#[derive(Default)]
struct Entries {
    entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
}

impl Entries {
    fn find(&self, name: &str) -> Option<&Entry> {
        if self.index.is_empty() {
            self.entries.iter().find(|entry| &*entry.name == name)
        } else {
            self.index.get(name).map(|at| &self.entries[*at])
        }
    }

    fn push(&mut self, entry: Entry) {
        if !self.index.is_empty() {
            self.index.insert(entry.name.clone(), self.entries.len());
        }
        self.entries.push(entry);
        if self.index.is_empty() && self.entries.len() > 32 {
            let names = self.entries.iter().enumerate();
            self.index = names.map(|(at, entry)| (entry.name.clone(), at)).collect();
        }
    }
}

fn core_tag(tag: &Tag) -> Option<&str> {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("tag:yaml.org,2002:", suffix) => Some(suffix),
        // The non-specific tag `!` says "no guessing": text.
        ("!", "") | ("", "!") => Some("str"),
        ("", suffix) => suffix.strip_prefix("tag:yaml.org,2002:"),
        _ => None,
    }
}

fn shown(tag: &Tag) -> String {
    let text = match core_tag(tag) {
        Some(suffix) => format!("!!{suffix}"),
        None => tag.to_string(),
    };
    short(&text)
}

/// A name that may be long or hold control characters, fit for a message.
fn short(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn clip(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        let (root, faults) = parse(0, text);
        assert_eq!(faults, []);
        root.expect("no faults")
    }

    fn faults(text: &str) -> Vec<(u32, u32, String)> {
        let faults = parse(0, text).1.into_iter();
        faults
            .map(|fault| (fault.mark.line, fault.mark.column, fault.what))
            .collect()
    }

    #[test]
    fn every_node_and_key_knows_its_place() {
        let mut root = read("a:\n  - ü: \"x y\"\n    b: [1, {c: zz}]\n");
        root.number();
        let item = &root.get("a").unwrap().items()[0];
        let entry = item.entry("ü").unwrap();
        assert_eq!(
            (entry.mark.line, entry.mark.column, entry.mark.width),
            (2, 5, 1)
        );
        let Mark {
            line,
            column,
            width,
            id,
            ..
        } = entry.value.mark;
        assert_eq!((line, column, width), (2, 8, 5));
        assert_eq!(root.path(id), "a[0].ü");
        let inner = item.get("b").unwrap().items()[1].get("c").unwrap();
        assert_eq!((inner.mark.line, inner.mark.column), (3, 16));
        assert_eq!(root.path(inner.mark.id), "a[0].b[1].c");
    }

    #[test]
    fn merge_keys_give_way_to_what_is_written_and_to_earlier_ones() {
        let root = read(
            "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\nw: {<<: *y}\n",
        );
        let z = root.get("z").unwrap();
        let value = |name: &str| z.get(name).unwrap().content.clone();
        assert_eq!(value("a"), Content::Int(3));
        assert_eq!(value("b"), Content::Int(1));
        assert_eq!(value("c"), Content::Int(2));
        assert_eq!(root.get("w").unwrap().entries().len(), 2);
        // In quotes it is a key like any other.
        assert!(read("{\"<<\": 1}").get("<<").is_some());
    }

    #[test]
    fn a_key_may_stand_once() {
        assert_eq!(
            faults("a: 1\nb: 2\na: 3\n"),
            [(3, 1, "the key `a` stands twice".into())]
        );
        assert_eq!(faults("{a: 1, 'a': 2}").len(), 1);
        // A large map finds its keys by an index.
        let names: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
        assert_eq!(faults(&format!("{{{}, k7}}", names.join(", "))).len(), 1);
    }

    #[test]
    fn an_empty_text_is_an_empty_map() {
        for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "\u{feff}"] {
            assert!(read(text).is_map(), "{text:?}");
        }
    }

    #[test]
    fn quotes_and_tags_settle_what_a_scalar_is() {
        let root = read("a: '5'\nb: !!str 5\nc: !!int '5'\nd: !!float 5\ne: ! 5\nf: |\n  5\n");
        let value = |name: &str| root.get(name).unwrap().content.clone();
        for name in ["a", "b", "e", "f"] {
            assert_eq!(value(name), Content::Text, "{name}");
        }
        assert_eq!(value("c"), Content::Int(5));
        assert_eq!(value("d"), Content::Float(5.0));
    }

    /// A second parser, of YAML 1.2, must see the same lists, maps and texts.
    #[test]
    fn another_parser_sees_the_same_structure() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/config/seeds"
        );
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let other: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
            same(&read(&text), &other);
        }
    }

    fn same(node: &Node, other: &serde_yaml::Value) {
        use serde_yaml::Value;
        match (&node.content, other) {
            (Content::List(items), Value::Sequence(others)) => {
                assert_eq!(items.len(), others.len());
                items
                    .iter()
                    .zip(others)
                    .for_each(|(item, other)| same(item, other));
            }
            (Content::Map(entries), Value::Mapping(others)) => {
                assert_eq!(entries.len(), others.len());
                for (entry, (name, other)) in entries.iter().zip(others) {
                    assert_eq!(name.as_str(), Some(&*entry.name));
                    same(&entry.value, other);
                }
            }
            (Content::Text, other) => assert_eq!(other.as_str(), Some(&*node.text)),
            // YAML 1.2 knows no `200_000`.
            (Content::Int(value), Value::String(text)) => {
                assert_eq!(value.to_string(), text.replace('_', ""));
            }
            (Content::Int(value), other) => assert_eq!(other.as_i64(), Some(*value)),
            (Content::Float(value), other) => assert_eq!(other.as_f64(), Some(*value)),
            (Content::Bool(value), other) => assert_eq!(other.as_bool(), Some(*value)),
            (content, other) => panic!("{content:?} is not {other:?}"),
        }
    }
}
