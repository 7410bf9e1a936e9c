//! Where the table comes from.

use std::path::PathBuf;

use pointsman_routes::diagnostic::{Diagnostic, Severity};
use pointsman_routes::{Literals, More, Outcome, Table};

use super::{Live, Registered};

/// Where the table comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Compiled in.
    Compiled,
    /// A file, and those that it includes.
    File(PathBuf),
    /// The text of a file, and what it is called.
    Text(&'static str, String),
}

/// A table that was read and bound.
#[derive(Debug)]
pub struct Read {
    /// The table.
    pub live: Live,
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
}

impl Source {
    /// Reads and binds the table, with more of it from elsewhere, to the process's environment.
    /// Diagnostics go to the log; on an error, the reasons come back.
    pub fn read(&self, more: Option<More<'_>>) -> Result<Read, Vec<String>> {
        self.read_for(&Registered::default(), more)
    }

    /// The same in a program that has registered providers of its own.
    pub fn read_for(
        &self,
        registered: &Registered,
        more: Option<More<'_>>,
    ) -> Result<Read, Vec<String>> {
        let (table, literals, origin, files) = match self {
            Self::Compiled if more.is_some() => {
                let why =
                    "models can be added where a config file is served, not a compiled-in one";
                return Err(vec![why.to_owned()]);
            }
            Self::Compiled => {
                let table = Table::compiled(&crate::compiled::COMPILED);
                (
                    table,
                    Literals::default(),
                    "the compiled-in routes.yaml".to_owned(),
                    Vec::new(),
                )
            }
            Self::File(file) => {
                let outcome = pointsman_routes::load_file_with(file, more);
                let files = outcome.files.clone();
                let (table, literals) = told(outcome, more)?;
                (table, literals, file.display().to_string(), files)
            }
            Self::Text(name, text) => {
                let outcome = pointsman_routes::load_with(name, text, more);
                let (table, literals) = told(outcome, more)?;
                (table, literals, (*name).to_owned(), Vec::new())
            }
        };
        let env = |name: &str| std::env::var(name).ok();
        match Live::bind_for(registered, table, &literals, &env, origin) {
            Ok(live) => Ok(Read { live, files }),
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Tells what the compiler found; gives the table unless one of it is an error.
fn told(outcome: Outcome, more: Option<More<'_>>) -> Result<(Table, Literals), Vec<String>> {
    for diagnostic in &outcome.diagnostics {
        match diagnostic.severity {
            Severity::Error => {}
            Severity::Warning => tracing::warn!("{}", shown(diagnostic, more)),
            Severity::Note => tracing::debug!("{}", shown(diagnostic, more)),
        }
    }
    match outcome.loaded {
        Some(loaded) => Ok((Table::loaded(loaded.routes), loaded.literals)),
        None => Err(outcome
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(|diagnostic| shown(diagnostic, more))
            .collect()),
    }
}

/// With its line and a caret, or, where nobody has seen the line, by its path alone.
fn shown(diagnostic: &Diagnostic, more: Option<More<'_>>) -> String {
    if more.is_none_or(|more| more.name != diagnostic.file) {
        return diagnostic.to_string();
    }
    let Diagnostic { path, what, .. } = diagnostic;
    match &diagnostic.help {
        Some(help) => format!("{path}: {what}; {help}"),
        None => format!("{path}: {what}"),
    }
}
