//! Values of the file that may stand elsewhere: in the environment, or beside the table.

use std::fmt;

use super::{List, LiteralId, Text};

/// A string of the file, which may stand in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As written.
    Plain(Text),
    /// `os.environ/NAME` or `${NAME}`.
    Env(Text),
    /// Text with `${NAME}` inside it.
    Template(List<Piece>),
}

/// A part of a [`Value::Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As written.
    Plain(Text),
    /// `${NAME}`.
    Env(Text),
}

/// Where a secret stands. The secret itself is never part of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(Text),
    /// In these environment variables, with text around them: `Token ${NAME}`.
    Template(List<Piece>),
    /// In the file, in clear; only a table loaded at run time has it, beside it.
    Literal(LiteralId),
}

/// A string that may or may not be secret, such as the value of a header or of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Not secret: a region, a project, a host.
    Plain(Value),
    /// Secret, by its name or its looks.
    Secret(Secret),
}

/// A key that callers present. Kept as a digest, because nothing needs the key itself.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// In this environment variable.
    Env(Text),
    /// SHA-256 of the key that the file gives in clear, or the digest that it gives.
    Digest([u8; 32]),
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::Digest(_) => f.write_str("Digest(***)"),
        }
    }
}
