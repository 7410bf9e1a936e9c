//! `include:`: other files, spliced into the one that names them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::locate::Findings;
use crate::mask;
use crate::yaml::{Content, Entry, MAX_BYTES, Mark, Node, parse};

/// The most files that one configuration may consist of.
const MOST_FILES: usize = 1000;

/// More of a config, from a place that is no file; it is joined as an included file is.
#[derive(Clone, Copy, Debug)]
pub struct More<'a> {
    /// What diagnostics call it.
    pub name: &'a str,
    /// A config of its own, as YAML or JSON.
    pub text: &'a str,
}

/// Reads a text that may not include others.
pub(crate) fn text(
    name: &str,
    text: &str,
    more: Option<More<'_>>,
    findings: &mut Findings,
) -> Option<Node> {
    let mut root = read(name.to_owned(), text, findings)?;
    if let Some(entry) = root.entry("include") {
        findings.error(
            entry.mark,
            "`include` needs a file on disk, whose place its paths start from",
            Some("name the file itself".into()),
        );
    }
    Splice::new(findings).more(&mut root, more);
    root.number();
    Some(root)
}

/// Reads a file and what it includes; gives every file that was tried, too.
pub(crate) fn file(
    path: &Path,
    more: Option<More<'_>>,
    findings: &mut Findings,
) -> (Option<Node>, Vec<PathBuf>) {
    let mut splice = Splice::new(findings);
    let mut root = splice.file(path, None);
    if let Some(root) = &mut root {
        splice.more(root, more);
        root.number();
    }
    (root, splice.files)
}

fn read(name: String, text: &str, findings: &mut Findings) -> Option<Node> {
    let file = findings.add_source(name, text.to_owned());
    let (root, faults) = parse(file, text);
    for fault in faults {
        findings.error(fault.mark, fault.what, fault.help);
    }
    let root = root?;
    if !root.is_map() {
        findings.error(
            root.mark,
            format!("a config is a map, not {}", root.word()),
            Some("begin with `model_list:`".into()),
        );
        return None;
    }
    Some(root)
}

struct Splice<'f> {
    findings: &'f mut Findings,
    files: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
    /// The files that include each other, down to the one that is read.
    open: Vec<PathBuf>,
}

impl<'f> Splice<'f> {
    fn new(findings: &'f mut Findings) -> Self {
        Self {
            findings,
            files: Vec::new(),
            seen: HashSet::new(),
            open: Vec::new(),
        }
    }

    /// Joins what comes from elsewhere.
    fn more(&mut self, root: &mut Node, more: Option<More<'_>>) {
        if let Some(More { name, text }) = more
            && let Some(more) = read(name.to_owned(), text, self.findings)
        {
            self.splice(root, more, 0);
        }
    }

    fn file(&mut self, path: &Path, asked: Option<Mark>) -> Option<Node> {
        let name = path.display().to_string();
        self.files.push(path.to_owned());
        let text = match text_of(path) {
            Ok(text) => text,
            Err(why) => {
                let mark = asked.unwrap_or_else(|| {
                    let file = self.findings.add_source(name.clone(), String::new());
                    Mark {
                        file,
                        line: 1,
                        column: 1,
                        width: 1,
                        id: 0,
                    }
                });
                self.findings.error(
                    mark,
                    format!("cannot read {}: {why}", mask::quoted(&name)),
                    None,
                );
                return None;
            }
        };
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.seen.insert(canonical.clone());
        let mut root = read(name, &text, self.findings)?;
        self.open.push(canonical);
        self.includes(&mut root, path);
        self.open.pop();
        Some(root)
    }

    fn includes(&mut self, root: &mut Node, path: &Path) {
        let Some(list) = root.get("include").cloned() else {
            return;
        };
        let nodes = if list.is_list() {
            list.items()
        } else {
            std::slice::from_ref(&list)
        };
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        for node in nodes
            .iter()
            .filter(|node| matches!(node.content, Content::Text))
        {
            let next = base.join(&*node.text);
            let canonical = next.canonicalize().unwrap_or_else(|_| next.clone());
            if self.open.contains(&canonical) {
                let what = format!("{} includes itself", mask::quoted(&node.text));
                self.findings
                    .error(node.mark, what, Some("remove one of the includes".into()));
                continue;
            }
            if !self.seen.insert(canonical) {
                let what = format!("{} is included already", mask::quoted(&node.text));
                self.findings.note(node.mark, what, None);
                continue;
            }
            if self.files.len() >= MOST_FILES || self.open.len() >= 64 {
                self.findings
                    .error(node.mark, "too many files include each other", None);
                return;
            }
            if let Some(other) = self.file(&next, Some(node.mark)) {
                self.splice(root, other, 0);
            }
        }
    }

    /// Lists are joined, maps are merged, and what stands in both is the included file's, as in
    /// LiteLLM, where it replaces the whole section.
    fn splice(&mut self, into: &mut Node, from: Node, depth: usize) {
        let Content::Map(entries) = &mut into.content else {
            return;
        };
        let Content::Map(new) = from.content else {
            return;
        };
        for entry in new {
            if depth == 0 && &*entry.name == "include" {
                continue;
            }
            let Some(known) = entries.iter_mut().find(|known| known.name == entry.name) else {
                entries.push(entry);
                continue;
            };
            match (&mut known.value.content, entry.value.content) {
                (Content::List(items), Content::List(more)) if depth == 0 => items.extend(more),
                (Content::Map(_), content @ Content::Map(_)) if depth == 0 => {
                    let value = Node {
                        content,
                        mark: entry.value.mark,
                        text: entry.value.text,
                    };
                    self.splice(&mut known.value, value, depth + 1);
                }
                (_, content) => {
                    let place = self.findings.place(known.mark);
                    self.findings.warning(
                        entry.mark,
                        format!(
                            "`{}` stands in two files: this one is taken",
                            mask::quoted(&entry.name).trim_matches('`')
                        ),
                        Some(format!("the other stands in {place}: keep one")),
                    );
                    let value = Node {
                        content,
                        mark: entry.value.mark,
                        text: entry.value.text,
                    };
                    *known = Entry {
                        mark: entry.mark,
                        name: entry.name,
                        value,
                        merged: entry.merged,
                    };
                }
            }
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > MAX_BYTES as u64 {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
