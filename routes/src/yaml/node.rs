//! The tree.

use std::fmt::Write;

use serde::de::DeserializeOwned;

use super::Mark;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) mark: Mark,
    /// What it is.
    pub(crate) content: Content,
    /// A scalar as written, quotes resolved; empty for lists and maps.
    pub(crate) text: Box<str>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string; it stands in [`Node::text`].
    Text,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl PartialEq for Content {
    /// Compares scalars; collections are never equal, because nothing asks.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Text, Self::Text) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) mark: Mark,
    /// The key.
    pub(crate) name: Box<str>,
    /// The value.
    pub(crate) value: Node,
    /// Whether it came in by a merge key.
    pub(crate) merged: bool,
}

impl Node {
    /// A map without entries, for a file that is empty.
    pub(crate) fn empty(mark: Mark) -> Self {
        Self {
            mark,
            content: Content::Map(Vec::new()),
            text: Box::default(),
        }
    }

    /// The entries of a map; nothing for other nodes.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; nothing for other nodes.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of this name, unless its value is `null`, which LiteLLM treats as absent.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries()
            .iter()
            .find(|entry| &*entry.name == name && !entry.value.is_null())
    }

    /// The value of this name, unless it is `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|entry| &entry.value)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.content, Content::List(_))
    }

    pub(crate) fn is_scalar(&self) -> bool {
        !self.is_map() && !self.is_list()
    }

    /// What it is, in words for people.
    pub(crate) fn word(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "true or false",
            Content::Int(_) => "a whole number",
            Content::Float(_) => "a number",
            Content::Text => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// Gives every node and key its position in the order of the tree, so that
    /// [`path`](Self::path) can find the way back.
    pub(crate) fn number(&mut self) {
        let mut next = 0;
        number(self, &mut next);
    }

    /// The path of the node or key with this number: `model_list[2].litellm_params.model`.
    pub(crate) fn path(&self, id: u32) -> String {
        let mut path = String::new();
        let mut node = self;
        loop {
            // Numbers ascend through the tree: the child on the way is the last that is not after.
            match &node.content {
                Content::Map(entries) if node.mark.id < id => {
                    let at = entries.partition_point(|entry| entry.mark.id <= id);
                    let Some(entry) = at.checked_sub(1).map(|at| &entries[at]) else {
                        break;
                    };
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.extend(entry.name.chars().take(80));
                    if entry.mark.id == id {
                        break;
                    }
                    node = &entry.value;
                }
                Content::List(items) if node.mark.id < id => {
                    let at = items.partition_point(|item| item.mark.id <= id);
                    let Some(at) = at.checked_sub(1) else { break };
                    let _ = write!(path, "[{at}]");
                    node = &items[at];
                }
                _ => break,
            }
        }
        path
    }

    /// Reads a sub-tree into a serde type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_yaml::from_value(self.to_value()).map_err(|error| error.to_string())
    }

    /// The sub-tree as serde's data.
    pub(crate) fn to_value(&self) -> serde_yaml::Value {
        use serde_yaml::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::Number((*value).into()),
            Content::Float(value) => Value::Number((*value).into()),
            Content::Text => Value::String(self.text.to_string()),
            Content::List(items) => Value::Sequence(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => Value::Mapping(
                entries
                    .iter()
                    .map(|entry| {
                        (
                            Value::String(entry.name.to_string()),
                            entry.value.to_value(),
                        )
                    })
                    .collect(),
            ),
        }
    }

    /// The sub-tree as JSON text; a number that JSON cannot hold becomes `null`.
    pub(crate) fn to_json(&self) -> String {
        self.to_json_value().to_string()
    }

    fn to_json_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::Text => Value::from(&*self.text),
            Content::List(items) => items.iter().map(Self::to_json_value).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|entry| (entry.name.to_string(), entry.value.to_json_value()))
                .collect(),
        }
    }
}

fn number(node: &mut Node, next: &mut u32) {
    node.mark.id = *next;
    *next += 1;
    match &mut node.content {
        Content::List(items) => {
            for item in items {
                number(item, next);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                entry.mark.id = *next;
                *next += 1;
                number(&mut entry.value, next);
            }
        }
        _ => {}
    }
}
