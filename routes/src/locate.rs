//! Findings with their places: paths, lines, carets, masks.

use std::collections::HashSet;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity};
use crate::lookup::nearest;
use crate::mask;
use crate::schema::Key;
use crate::yaml::{Mark, Node};

/// The most findings that are kept; nobody reads more.
const MOST: usize = 1000;

/// A key that a file uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Path in the file, such as `router_settings.num_retries`.
    pub path: String,
    /// Which key.
    pub key: &'static Key,
    /// Position in [`Outcome::files`](crate::Outcome::files).
    pub file: u16,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Used {
    pub(crate) fn new(root: &Node, mark: Mark, key: &'static Key) -> Self {
        let Mark {
            id,
            file,
            line,
            column,
            ..
        } = mark;
        Self {
            path: root.path(id),
            key,
            file,
            line,
            column,
        }
    }
}

/// A text that is compiled.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(name: String, text: String) -> Self {
        let mut starts = vec![0];
        starts.extend(
            text.bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'\n')
                .map(|(at, _)| at + 1),
        );
        Self { name, text, starts }
    }

    /// A line, from 1, without its end.
    fn line(&self, number: u32) -> &str {
        let at = number as usize - 1;
        let Some(start) = self.starts.get(at) else {
            return "";
        };
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    sources: Vec<Source>,
    hidden: Vec<Hidden>,
    found: Vec<Finding>,
    errors: usize,
    left_out: usize,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    /// Said of the key as such; anything said of this use of it is stronger.
    general: bool,
    mark: Mark,
    what: String,
    help: Option<String>,
}

/// A stretch of a line that is not shown; up to the line's end if the width is 0.
#[derive(Debug)]
struct Hidden {
    file: u16,
    line: u32,
    column: u32,
    width: u32,
}

impl Findings {
    /// Adds a text; its position is the `file` of its marks.
    pub(crate) fn add_source(&mut self, name: String, text: String) -> u16 {
        self.sources.push(Source::new(name, text));
        u16::try_from(self.sources.len() - 1).unwrap_or(u16::MAX)
    }

    pub(crate) fn error(&mut self, mark: Mark, what: impl Into<String>, help: Option<String>) {
        self.push(Finding {
            severity: Severity::Error,
            general: false,
            mark,
            what: what.into(),
            help,
        });
    }

    pub(crate) fn warning(&mut self, mark: Mark, what: impl Into<String>, help: Option<String>) {
        self.push(Finding {
            severity: Severity::Warning,
            general: false,
            mark,
            what: what.into(),
            help,
        });
    }

    pub(crate) fn note(&mut self, mark: Mark, what: impl Into<String>, help: Option<String>) {
        self.push(Finding {
            severity: Severity::Note,
            general: false,
            mark,
            what: what.into(),
            help,
        });
    }

    /// A note on a key as such, which is left out where something is said of its value.
    pub(crate) fn remark(&mut self, mark: Mark, what: String) {
        self.push(Finding {
            severity: Severity::Note,
            general: true,
            mark,
            what,
            help: None,
        });
    }

    fn push(&mut self, finding: Finding) {
        let error = finding.severity == Severity::Error;
        self.errors += usize::from(error);
        if self.found.len() < MOST || (error && self.errors <= MOST) {
            self.found.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether anything was found that cannot be compiled.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Names near a mistyped one. None once many errors were found, because looking takes time and
    /// nobody reads so far.
    pub(crate) fn nearest<'n>(
        &self,
        word: &str,
        names: impl Iterator<Item = &'n str>,
        count: usize,
    ) -> Vec<&'n str> {
        if self.errors > 100 {
            Vec::new()
        } else {
            nearest(word, names, count)
        }
    }

    /// A place as people write it: `routes.yaml:6`, or `line 6` in the first file.
    pub(crate) fn place(&self, mark: Mark) -> String {
        match self.sources.get(mark.file as usize) {
            Some(source) if mark.file > 0 => format!("{}:{}", source.name, mark.line),
            _ => format!("line {}", mark.line),
        }
    }

    /// Never shows this scalar.
    pub(crate) fn hide(&mut self, node: &Node) {
        let reference = node.text.starts_with("os.environ/");
        if !node.is_scalar() || node.is_null() || reference {
            return;
        }
        let Mark {
            file,
            line,
            column,
            width,
            ..
        } = node.mark;
        // A scalar over several lines has no width of its own.
        let width = if width == 1 && node.text.chars().count() > 1 {
            0
        } else {
            width
        };
        self.hidden.push(Hidden {
            file,
            line,
            column,
            width,
        });
    }

    /// Every finding with path, line and caret, sorted by place.
    pub(crate) fn finish(mut self, root: Option<&Node>) -> Vec<Diagnostic> {
        let special = self.found.iter().filter(|one| !one.general);
        // A value's number follows its key's.
        let special: HashSet<u32> = special
            .flat_map(|one| [one.mark.id, one.mark.id.saturating_sub(1)])
            .collect();
        self.found
            .retain(|one| !one.general || !special.contains(&one.mark.id));
        self.found.sort_by_key(|one| {
            let Mark {
                file, line, column, ..
            } = one.mark;
            (file, line, column, std::cmp::Reverse(one.severity))
        });
        self.found.dedup_by(|a, b| {
            (a.mark.file, a.mark.line, a.mark.column, &a.what)
                == (b.mark.file, b.mark.line, b.mark.column, &b.what)
        });
        self.hidden
            .sort_by_key(|one| (one.file, one.line, one.column));
        let found = std::mem::take(&mut self.found);
        let mut all: Vec<Diagnostic> = found
            .into_iter()
            .map(|one| self.diagnostic(one, root))
            .collect();
        if self.left_out > 0
            && let Some(last) = all.last()
        {
            let what = format!("{} further findings are not listed", self.left_out);
            let more = Diagnostic {
                severity: Severity::Note,
                path: String::new(),
                what,
                help: None,
                source: String::new(),
                ..last.clone()
            };
            all.push(more);
        }
        all
    }

    fn diagnostic(&self, one: Finding, root: Option<&Node>) -> Diagnostic {
        let Finding {
            severity,
            mark,
            what,
            help,
            ..
        } = one;
        let source = self.sources.get(mark.file as usize);
        let line = source.map_or("", |source| source.line(mark.line));
        let shown = self.shown(line, mark);
        Diagnostic {
            severity,
            file: source.map_or_else(String::new, |source| source.name.clone()),
            line: mark.line.max(1),
            column: shown.column,
            width: shown.width,
            path: root.map_or_else(String::new, |root| root.path(mark.id)),
            what,
            help,
            source: shown.line,
        }
    }

    fn shown(&self, line: &str, mark: Mark) -> Shown {
        let length = line.chars().count();
        let at = self
            .hidden
            .partition_point(|one| (one.file, one.line) < (mark.file, mark.line));
        let mut ranges: Vec<Range<usize>> = self.hidden[at..]
            .iter()
            .take_while(|one| (one.file, one.line) == (mark.file, mark.line))
            .map(|one| {
                let start = one.column as usize - 1;
                start..if one.width == 0 {
                    length
                } else {
                    start + one.width as usize
                }
            })
            .collect();
        ranges.extend(mask::ranges(line));
        let ranges = mask::merge(ranges);
        cut(&mask::replace(line, &ranges), place(mark, &ranges), length)
    }
}

/// A line as it is shown.
struct Shown {
    line: String,
    column: u32,
    width: u32,
}

/// Where a mark comes to stand once the ranges before it are masked.
fn place(mark: Mark, ranges: &[Range<usize>]) -> (usize, usize) {
    let start = mark.column.max(1) as usize - 1;
    let end = start + mark.width.max(1) as usize;
    let move_to = |at: usize, is_end: bool| {
        let mut shift: isize = 0;
        for range in ranges {
            let change = mask::MASK.len().cast_signed() - range.len().cast_signed();
            if range.end <= at {
                shift += change;
            } else if range.start < at {
                let edge = if is_end {
                    range.start + mask::MASK.len()
                } else {
                    range.start
                };
                return edge
                    .cast_signed()
                    .saturating_add(shift)
                    .max(0)
                    .cast_unsigned();
            }
        }
        at.cast_signed()
            .saturating_add(shift)
            .max(0)
            .cast_unsigned()
    };
    let (start, end) = (move_to(start, false), move_to(end, true));
    (start, end.saturating_sub(start).max(1))
}

/// Cuts a very long line to what surrounds the mark.
fn cut(line: &str, (start, width): (usize, usize), length: usize) -> Shown {
    const MOST: usize = 160;
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let (skip, prefix) = if length > MOST && start > MOST / 2 {
        (start - MOST / 2, "…")
    } else {
        (0, "")
    };
    let mut shown: String = prefix.to_owned();
    shown.extend(line.chars().skip(skip).take(MOST).map(printable));
    if line.chars().count() > skip + MOST {
        shown.push('…');
    }
    let column = start - skip + prefix.chars().count();
    let width = width
        .min(shown.chars().count().saturating_sub(column))
        .max(1);
    Shown {
        line: shown,
        column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        width: u32::try_from(width).unwrap_or(u32::MAX),
    }
}
