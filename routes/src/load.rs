//! Text or file → table and diagnostics.

use std::path::{Path, PathBuf};

use crate::check::check;
use crate::diagnostic::Diagnostic;
use crate::include::{self, More};
use crate::literal::Literals;
use crate::locate::{Findings, Used};
use crate::schema;
use crate::table::Routes;
use crate::yaml::Node;

/// What came of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The plan; none if there is an error among the diagnostics.
    pub loaded: Option<Loaded>,
    /// Everything that was found, sorted by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Every key that the file uses, in its order.
    pub used: Vec<Used>,
    /// The file and those that it includes, in the order in which they were read.
    pub files: Vec<PathBuf>,
}

/// A table with the secrets that its file gives in clear.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The table.
    pub routes: Routes,
    /// The secrets that [`Secret::Literal`](crate::table::Secret::Literal) points to.
    pub literals: Literals,
}

/// Compiles a text. `name` is what diagnostics call it. `include:` is refused, because a text has
/// no place from which a path could start: see [`load_file`].
#[must_use]
pub fn load(name: &str, text: &str) -> Outcome {
    load_with(name, text, None)
}

/// The same with more from elsewhere.
#[must_use]
pub fn load_with(name: &str, text: &str, more: Option<More<'_>>) -> Outcome {
    let mut findings = Findings::default();
    let root = include::text(name, text, more, &mut findings);
    compile(root, findings, vec![PathBuf::from(name)])
}

/// Compiles a file and what it includes.
#[must_use]
pub fn load_file(path: &Path) -> Outcome {
    load_file_with(path, None)
}

/// The same with more from elsewhere.
#[must_use]
pub fn load_file_with(path: &Path, more: Option<More<'_>>) -> Outcome {
    let mut findings = Findings::default();
    let (root, files) = include::file(path, more, &mut findings);
    compile(root, findings, files)
}

fn compile(root: Option<Node>, mut findings: Findings, files: Vec<PathBuf>) -> Outcome {
    let Some(root) = root else {
        return Outcome {
            loaded: None,
            diagnostics: findings.finish(None),
            used: Vec::new(),
            files,
        };
    };
    let used = schema::walk(&root, &mut findings);
    let (routes, literals) = check(&root, &mut findings);
    let loaded = (!findings.has_errors()).then_some(Loaded { routes, literals });
    Outcome {
        loaded,
        diagnostics: findings.finish(Some(&root)),
        used,
        files,
    }
}
