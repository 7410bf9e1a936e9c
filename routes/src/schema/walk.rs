//! A tree against the table: which keys it uses, which are unknown, which have the wrong type.

use std::collections::HashMap;

use super::{Hold, Key, Kind, Section, Verdict, find, keys_of};
use crate::locate::{Findings, Used};
use crate::mask;
use crate::yaml::scalar;
use crate::yaml::{Content, Entry, Node};

/// Compares a whole file with the table.
pub(crate) fn walk(root: &Node, findings: &mut Findings) -> Vec<Used> {
    let mut walk = Walk {
        findings,
        used: Vec::new(),
        counts: HashMap::new(),
    };
    walk.section(root, Section::Top);
    let Walk {
        mut used,
        counts,
        findings,
    } = walk;
    for first in &used {
        let count = counts[&(first.key.section, first.key.name)];
        if first.first {
            note(findings, first, count);
        }
    }
    used.sort_by_key(|one| one.mark.id);
    used.into_iter()
        .map(|one| Used::new(root, one.mark, one.key))
        .collect()
}

/// A use of a key, before its path is known.
struct Use {
    mark: crate::yaml::Mark,
    key: &'static Key,
    first: bool,
}

/// One note per key, however often it stands there.
fn note(findings: &mut Findings, first: &Use, count: usize) {
    use Section::{CacheParams, Guardrail, GuardrailParams, StrategyArgs};
    let key = first.key;
    let more = if count > 1 {
        format!(" ({count} times in this file)")
    } else {
        String::new()
    };
    let name = key.name;
    match key.verdict {
        Verdict::Honoured | Verdict::Better(_) | Verdict::Rejected(_) => {}
        // What is said of the map holds for all of it.
        Verdict::Later
            if matches!(
                key.section,
                CacheParams | Guardrail | GuardrailParams | StrategyArgs
            ) => {}
        Verdict::Later => {
            let what = format!("`{name}` is read and kept, but has no effect yet{more}");
            findings.note(first.mark, what, None);
        }
        Verdict::Differs(why) => findings.remark(first.mark, format!("`{name}`: {why}{more}")),
        Verdict::Ignored(why) => {
            findings.note(
                first.mark,
                format!("`{name}` has no effect: {why}{more}"),
                None,
            );
        }
    }
}

struct Walk<'f> {
    findings: &'f mut Findings,
    used: Vec<Use>,
    counts: HashMap<(Section, &'static str), usize>,
}

impl Walk<'_> {
    fn section(&mut self, map: &Node, section: Section) {
        for entry in map.entries() {
            match find(section, &entry.name) {
                Some(key) => self.known(entry, key),
                None => self.unknown(entry, section),
            }
        }
    }

    fn known(&mut self, entry: &Entry, key: &'static Key) {
        let count = self.counts.entry((key.section, key.name)).or_default();
        *count += 1;
        self.used.push(Use {
            mark: entry.mark,
            key,
            first: *count == 1,
        });
        if key.kind == Kind::Secret {
            self.hide(&entry.value);
        } else {
            self.hide_by_name(&entry.name, &entry.value);
        }
        if let Verdict::Rejected(instead) = key.verdict {
            self.findings.error(
                entry.mark,
                format!("`{}` is not supported", key.name),
                Some(instead.to_owned()),
            );
            return;
        }
        if entry.value.is_null() {
            return;
        }
        self.value(&entry.value, key.kind, key);
    }

    fn value(&mut self, value: &Node, kind: Kind, key: &'static Key) {
        match kind {
            Kind::Section(section) if value.is_map() => self.section(value, section),
            Kind::Sections(section) if value.is_list() => {
                for item in value.items() {
                    if item.is_map() {
                        self.section(item, section);
                    } else {
                        self.mismatch(item, "a map");
                    }
                }
            }
            Kind::Words if value.is_list() => {
                for item in value.items() {
                    if !item.is_scalar() || item.is_null() {
                        self.mismatch(item, "text");
                    }
                }
            }
            _ if fits(value, kind) => {}
            _ if is_reference(value) && key.hold != Hold::Carried => self.findings.error(
                value.mark,
                format!("`{}` must be written in the file: the table is made before the environment is known", key.name),
                Some(format!("write {kind}; only texts and secrets may be references")),
            ),
            _ => self.mismatch(value, &kind.to_string()),
        }
    }

    fn mismatch(&mut self, value: &Node, expected: &str) {
        let help = match value.content {
            Content::Bool(_) if expected == "text" => Some(
                "put it in quotes: YAML reads a bare yes, no, on or off as true or false".into(),
            ),
            _ => None,
        };
        self.findings.error(
            value.mark,
            format!("expected {expected}, found {}", value.word()),
            help,
        );
    }

    fn unknown(&mut self, entry: &Entry, section: Section) {
        self.hide_by_name(&entry.name, &entry.value);
        let name = mask::quoted(&entry.name);
        let near =
            self.findings
                .nearest(&entry.name, keys_of(section).iter().map(|key| key.name), 1);
        // A secret under a misspelt name is a secret all the same.
        if near.first().is_some_and(|near| mask::name_is_secret(near)) {
            self.hide(&entry.value);
        }
        // Providers and callers add fields of their own here, and LiteLLM passes them on. There,
        // only a slip of one letter, or letters in another order, counts as a mistake.
        let open = match section {
            Section::Params => Some("it is sent to the provider as a field of the request"),
            Section::Info | Section::Metadata | Section::GuardrailParams => {
                Some("it is kept as it is")
            }
            _ => None,
        };
        let near = near.first().filter(|near| {
            let slip = near.len() >= 6 && strsim::osa_distance(near, &entry.name) <= 1;
            open.is_none() || slip || letters(near) == letters(&entry.name)
        });
        match (near, open) {
            (None, Some(fate)) => {
                self.findings.note(
                    entry.mark,
                    format!("{name} is no key of LiteLLM's: {fate}"),
                    None,
                );
            }
            (near, _) => {
                let help = match near {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None => elsewhere(&entry.name, section, self.findings),
                };
                let place = match section.path() {
                    "" => "at the top level".to_owned(),
                    path => format!("of `{path}`"),
                };
                self.findings
                    .error(entry.mark, format!("{name} is no key {place}"), help);
            }
        }
    }

    fn hide(&mut self, value: &Node) {
        self.findings.hide(value);
        for item in value.items() {
            self.hide(item);
        }
        for entry in value.entries() {
            self.hide(&entry.value);
        }
    }

    /// Hides what stands under a name that sounds secret, however deep.
    fn hide_by_name(&mut self, name: &str, value: &Node) {
        if mask::name_is_secret(name) && value.is_scalar() {
            self.findings.hide(value);
        }
        // Sections are walked key by key anyway; only free maps need to be searched here.
        for entry in value.entries() {
            if entry.value.is_scalar() && mask::name_is_secret(&entry.name) {
                self.findings.hide(&entry.value);
            } else if !entry.value.is_scalar() {
                self.hide_by_name("", &entry.value);
            }
        }
        for item in value.items() {
            if !item.is_scalar() {
                self.hide_by_name("", item);
            }
        }
    }
}

fn letters(name: &str) -> Vec<char> {
    let mut letters: Vec<char> = name.chars().collect();
    letters.sort_unstable();
    letters
}

/// The section in which a misplaced key belongs.
fn elsewhere(name: &str, section: Section, findings: &Findings) -> Option<String> {
    use Section::{Entry, General, Info, Params, Router, Settings, Top};
    let found = [Top, Settings, Router, General, Params, Info]
        .into_iter()
        .filter(|other| *other != section)
        .find_map(|other| find(other, name));
    // What is written one level too high is often mistyped, too.
    let found = found.or_else(|| {
        let near = findings.nearest(name, keys_of(Params).iter().map(|key| key.name), 1);
        find(Params, near.first().filter(|_| section == Entry)?)
    })?;
    Some(match found.section.path() {
        "" => format!("`{}` belongs at the top level", found.name),
        path => format!("`{}` belongs under `{path}`", found.name),
    })
}

/// Whether a scalar is a reference to the environment.
fn is_reference(value: &Node) -> bool {
    value.content == Content::Text
        && (value.text.starts_with("os.environ/") || value.text.contains("${"))
}

fn fits(value: &Node, kind: Kind) -> bool {
    let text = &*value.text;
    let textual = value.content == Content::Text;
    let numeric = matches!(value.content, Content::Int(_) | Content::Float(_))
        || (textual && scalar::decimal(text).is_some());
    match kind {
        Kind::Any => true,
        Kind::Bool => {
            matches!(value.content, Content::Bool(_))
                || (textual && matches!(scalar::resolve(text), Content::Bool(_)))
        }
        Kind::Count | Kind::Number | Kind::Dollars => numeric,
        Kind::Seconds => numeric || (textual && crate::check::duration(text).is_some()),
        Kind::Window => textual || numeric,
        Kind::Text => matches!(
            value.content,
            Content::Text | Content::Int(_) | Content::Float(_)
        ),
        // Some credentials are written as the map that their JSON holds.
        Kind::Secret => !matches!(value.content, Content::List(_) | Content::Bool(_)),
        Kind::Words => value.is_scalar() && !matches!(value.content, Content::Bool(_)),
        Kind::Map | Kind::Section(_) => value.is_map(),
        Kind::List | Kind::Sections(_) => value.is_list(),
    }
}
