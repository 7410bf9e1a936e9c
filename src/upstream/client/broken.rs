//! Why an exchange broke off.

use std::error::Error;
use std::{fmt, io};

use pointsman_layers::BoxError;

/// Why an exchange broke off. Says nothing of what was sent or of where it went.
#[derive(Debug)]
pub enum Broken {
    /// The connection failed.
    Io(io::Error),
    /// The server closed the connection too early.
    Closed,
    /// What came is no HTTP/1.1.
    Malformed(&'static str),
    /// The body of the request broke off.
    Body(BoxError),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection failed: {}", error.kind()),
            Self::Closed => f.write_str("the connection was closed too early"),
            Self::Malformed(what) => write!(f, "the answer has {what}"),
            Self::Body(_) => f.write_str("the request's body broke off"),
        }
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Body(error) => Some(&**error),
            Self::Closed | Self::Malformed(_) => None,
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
impl PartialEq for Broken {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
