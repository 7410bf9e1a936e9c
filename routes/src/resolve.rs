//! References to the environment: how they are written, and what they stand for.

use std::borrow::Cow;
use std::fmt;

use crate::literal::Literals;
use crate::table::{Credential, KeyRef, Piece, Secret, Text, Value};

/// A variable that is named but not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingVariable {
    /// Its name.
    pub name: String,
}

impl fmt::Display for MissingVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is not set", self.name)
    }
}

impl std::error::Error for MissingVariable {}

/// A reference that is not written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadReference {
    pub(crate) what: String,
    pub(crate) help: &'static str,
}

impl Value {
    /// Reads what a file has: `os.environ/NAME`, `${NAME}`, text with `${NAME}` in it, or text.
    /// `$${` stands for `${`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadReference> {
        if let Some(name) = text.strip_prefix("os.environ/") {
            return match variable(name) {
                Some(name) => Ok(Self::Env(name)),
                None => Err(bad(name)),
            };
        }
        if text.starts_with("os.environ") || text.starts_with("os.env/") {
            return Err(BadReference {
                what: "a reference to the environment is written otherwise".into(),
                help: "write `os.environ/NAME`",
            });
        }
        if !text.contains("${") {
            return Ok(Self::Plain(Cow::Owned(text.to_owned())));
        }
        let mut pieces = pieces(text)?;
        Ok(match (pieces.pop(), pieces.is_empty()) {
            (Some(Piece::Env(name)), true) => Self::Env(name),
            (Some(Piece::Plain(text)), true) => Self::Plain(text),
            (Some(last), _) => {
                pieces.push(last);
                Self::Template(Cow::Owned(pieces))
            }
            (None, _) => Self::Plain(Cow::Borrowed("")),
        })
    }

    /// The text with every variable put in.
    pub fn resolve(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        match self {
            Self::Plain(text) => Ok(text.to_string()),
            Self::Env(name) => get(name, lookup),
            Self::Template(pieces) => put_in(pieces, lookup),
        }
    }

    /// The variables that it names.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::Plain(_) => (None, &[][..]),
            Self::Env(name) => (Some(&**name), &[][..]),
            Self::Template(pieces) => (None, &pieces[..]),
        };
        let many = many.iter().filter_map(|piece| match piece {
            Piece::Plain(_) => None,
            Piece::Env(name) => Some(&**name),
        });
        one.into_iter().chain(many)
    }
}

impl Secret {
    /// The secret itself. A literal that is not among `literals`, as in a compiled table, is
    /// missing under the name of its place.
    pub fn resolve(
        &self,
        literals: &Literals,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        match self {
            Self::Env(name) => get(name, lookup),
            Self::Template(pieces) => put_in(pieces, lookup),
            Self::Literal(id) => {
                let missing = || MissingVariable {
                    name: format!("(clear text no. {})", id.0),
                };
                let text = literals.get(*id).ok_or_else(missing)?;
                Value::parse(text).map_err(|_| missing())?.resolve(lookup)
            }
        }
    }
}

fn put_in(
    pieces: &[Piece],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, MissingVariable> {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Plain(text) => Ok(text.to_string()),
        Piece::Env(name) => get(name, lookup),
    });
    texts.collect()
}

impl Credential {
    /// The text itself; see [`Secret::resolve`].
    pub fn resolve(
        &self,
        literals: &Literals,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        match self {
            Self::Plain(value) => value.resolve(lookup),
            Self::Secret(secret) => secret.resolve(literals, lookup),
        }
    }
}

impl KeyRef {
    /// SHA-256 of the key.
    pub fn digest(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<[u8; 32], MissingVariable> {
        match self {
            Self::Env(name) => Ok(digest(&get(name, lookup)?)),
            Self::Digest(digest) => Ok(*digest),
        }
    }
}

/// SHA-256 of a key, as LiteLLM keeps its tokens.
#[must_use]
pub fn digest(key: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(key.as_bytes()).into()
}

fn get(name: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, MissingVariable> {
    lookup(name).ok_or_else(|| MissingVariable {
        name: name.to_owned(),
    })
}

fn pieces(text: &str) -> Result<Vec<Piece>, BadReference> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(&rest[..at]);
        let (name, after) = rest[at + 2..]
            .split_once('}')
            .ok_or_else(|| bad(&rest[at..]))?;
        let name = variable(name).ok_or_else(|| bad(name))?;
        if !plain.is_empty() {
            pieces.push(Piece::Plain(Cow::Owned(std::mem::take(&mut plain))));
        }
        pieces.push(Piece::Env(name));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Plain(Cow::Owned(plain)));
    }
    Ok(pieces)
}

/// A name that can be a variable's: letters, digits, `_`, and what container platforms allow.
fn variable(name: &str) -> Option<Text> {
    let first = name.chars().next()?;
    let fine = (first.is_ascii_alphabetic() || first == '_')
        && name.len() <= 256
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    // `${NAME:-default}` and the like are a shell's.
    fine.then(|| Cow::Owned(name.to_owned()))
}

fn bad(name: &str) -> BadReference {
    BadReference {
        what: if name.is_empty() {
            "a reference without a name".into()
        } else {
            "a reference to what cannot be the name of a variable".into()
        },
        help: "write `os.environ/NAME` or `${NAME}`: letters, digits and `_`; there are no defaults",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "A").then(|| "1".to_owned())
    }

    #[test]
    fn every_form_of_a_reference_is_resolved() {
        for (text, expected) in [
            ("os.environ/A", "1"),
            ("${A}", "1"),
            ("x-${A}-${A}", "x-1-1"),
            ("$${A}", "${A}"),
            ("a$${A}${A}", "a${A}1"),
            ("plain $A", "plain $A"),
        ] {
            let value = Value::parse(text).unwrap();
            assert_eq!(value.resolve(&lookup).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_missing_variable_is_named() {
        let value = Value::parse("x${B}").unwrap();
        assert_eq!(value.resolve(&lookup).unwrap_err().name, "B");
        assert_eq!(value.variables().collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn a_reference_that_is_not_one_is_refused() {
        for text in [
            "os.environ/",
            "os.environ/A B",
            "${",
            "${}",
            "${A:-b}",
            "os.environ.A",
            "a${1}",
        ] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clear_text_is_resolved_from_beside_the_table() {
        let mut literals = Literals::default();
        let id = literals.add("key-${A}").unwrap();
        assert_eq!(
            Secret::Literal(id).resolve(&literals, &lookup).unwrap(),
            "key-1"
        );
        assert!(
            Secret::Literal(id)
                .resolve(&Literals::default(), &lookup)
                .is_err()
        );
        assert_eq!(format!("{literals:?}"), "[***]");
    }
}
