//! What the compiler has to say about a file.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but likely not as meant.
    Warning,
    /// Cannot be compiled.
    Error,
}

impl Severity {
    /// The word that is printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters the caret marks; at least 1.
    pub width: u32,
    /// Path in the file, such as `router_settings.fallbacks[1]`.
    pub path: String,
    /// What is wrong. Holds no secret.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line of the file, with every secret on it masked.
    pub source: String,
}

impl fmt::Display for Diagnostic {
    /// `routes.yaml:6:5: error: fallbacks[1]: no model group "claude"`, the line with a caret
    /// under it, and a help line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            path,
            what,
            source,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {}: ", self.severity.word())?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{what}")?;
        if !source.trim().is_empty() {
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            let indent = " ".repeat(*column as usize - 1);
            let carets = "^".repeat(self.width.max(1) as usize);
            write!(
                f,
                "\n{margin} |\n{number} | {source}\n{margin} | {indent}{carets}"
            )?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}
