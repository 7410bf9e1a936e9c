//! Finds what a name stands for: exact names first, then the most specific pattern.
//!
//! A compiled table answers exact names with the `match` that the compiler wrote; a loaded one with
//! an index that is built once. Neither allocates.

use std::borrow::Cow;
use std::fmt;

use crate::table::{Name, Pattern, Routes, Target};

/// A routing table and the `match` over its names, as the build script writes them.
#[derive(Debug)]
pub struct Compiled {
    /// The table.
    pub routes: &'static Routes,
    /// What an exact name stands for.
    pub lookup: fn(&str) -> Option<Target>,
}

/// Brings in the table that `compile` wrote, from a build script, for this crate.
///
/// What comes in is a module's worth of items, so give it a module:
///
/// ```text
/// mod routes {
///     pointsman_routes::include_routes!();
/// }
/// ```
#[macro_export]
macro_rules! include_routes {
    () => {
        include!(concat!(env!("OUT_DIR"), "/routes.rs"));
    };
}

/// A routing table that is ready to be asked.
///
/// Two tables are equal if their routes are, wherever they come from.
#[derive(Debug)]
pub struct Table {
    source: Source,
    patterns: Patterns,
}

#[derive(Debug)]
enum Source {
    Compiled(&'static Compiled),
    Loaded(Box<Routes>, Index),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The group, or the one deployment.
    pub target: Target,
    /// What the first `*` of the pattern matched; `None` for an exact name.
    pub wildcard: Option<&'a str>,
    name: &'a str,
    pattern: Option<&'a str>,
}

/// A name for which a compiled table has no model group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchGroup;

impl fmt::Display for NoSuchGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no model group of this name")
    }
}

impl std::error::Error for NoSuchGroup {}

impl Table {
    /// A table that was compiled in.
    #[must_use]
    pub fn compiled(compiled: &'static Compiled) -> Self {
        let patterns = Patterns::of(&compiled.routes.patterns);
        Self {
            source: Source::Compiled(compiled),
            patterns,
        }
    }

    /// A table that was loaded at run time.
    #[must_use]
    pub fn loaded(routes: Routes) -> Self {
        let patterns = Patterns::of(&routes.patterns);
        let index = Index::of(&routes.names);
        Self {
            source: Source::Loaded(Box::new(routes), index),
            patterns,
        }
    }

    /// The plan itself.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        match &self.source {
            Source::Compiled(compiled) => compiled.routes,
            Source::Loaded(routes, _) => routes,
        }
    }

    /// What this name stands for: the exact name if there is one, else the most specific pattern
    /// that it matches. Does not allocate.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> Option<Resolved<'a>> {
        let exact = match &self.source {
            Source::Compiled(compiled) => (compiled.lookup)(name),
            Source::Loaded(routes, index) => index.find(&routes.names, name),
        };
        if let Some(target) = exact {
            return Some(Resolved {
                target,
                wildcard: None,
                name,
                pattern: None,
            });
        }
        let found = self.patterns.find(&self.routes().patterns, name)?;
        Some(Resolved {
            target: Target::Group(found.group),
            wildcard: captures(&found.pattern, name).next(),
            name,
            pattern: Some(&found.pattern),
        })
    }

    /// The names that `/v1/models` lists, sorted: groups and aliases that are not hidden.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.routes().names.iter().filter(|name| !name.hidden)
    }

    /// At most `n` names that come near this one, the nearest first.
    #[must_use]
    pub fn nearest(&self, name: &str, n: usize) -> Vec<&str> {
        nearest(name, self.names().map(|known| known.name.as_ref()), n)
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.routes() == other.routes()
    }
}

impl Resolved<'_> {
    /// A deployment's model with each `*` filled in order with what the pattern's matched.
    #[must_use]
    pub fn fill<'m>(&self, model: &'m str) -> Cow<'m, str> {
        let Some(pattern) = self.pattern.filter(|_| model.contains('*')) else {
            return Cow::Borrowed(model);
        };
        let mut filled = String::with_capacity(model.len() + self.name.len());
        let mut matched = captures(pattern, self.name);
        let mut pieces = model.split('*');
        filled.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            filled.push_str(matched.next().unwrap_or("*"));
            filled.push_str(piece);
        }
        Cow::Owned(filled)
    }
}

/// At most `n` of these words that come near a mistyped one, the nearest first.
///
/// Near is at most a third of its letters changed, swapped, left out or put in, or one being the
/// beginning of the other.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    /// Beyond this nobody types a name, and comparing takes the product of the lengths.
    const LONGEST: usize = 200;
    if word.len() > LONGEST {
        return Vec::new();
    }
    let folded = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .filter(|other| other.len() <= LONGEST)
        .filter_map(|other| {
            let theirs = other.to_lowercase();
            let distance = strsim::osa_distance(&folded, &theirs);
            let begins = folded.len().min(theirs.len()) >= 3
                && (theirs.starts_with(&folded) || folded.starts_with(&theirs));
            let near = distance <= (folded.chars().count().max(theirs.chars().count()) / 3).max(1);
            (near || begins).then_some((distance, other))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(n).map(|(_, other)| other).collect()
}

/// Exact names by a hash of their bytes, in a table at most half full.
///
/// The names come from the operator's file, so that nobody can choose them to collide; a lookup
/// walks as far as the longest run that the file itself makes.
#[derive(Debug)]
struct Index {
    slots: Box<[u16]>,
}

impl Index {
    const EMPTY: u16 = u16::MAX;

    fn of(names: &[Name]) -> Self {
        let mut slots = vec![Self::EMPTY; (names.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        for (position, name) in (0..Self::EMPTY).zip(names) {
            let mut slot = hash(name.name.as_bytes()) & mask;
            while slots[slot] != Self::EMPTY {
                slot = (slot + 1) & mask;
            }
            slots[slot] = position;
        }
        Self { slots }
    }

    fn find(&self, names: &[Name], name: &str) -> Option<Target> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(name.as_bytes()) & mask;
        while self.slots[slot] != Self::EMPTY {
            let known = names.get(usize::from(self.slots[slot]))?;
            if known.name == name {
                return Some(known.target);
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

/// Eight bytes at a time: rotate, mix in, multiply by a number whose bits are spread, and fold, as
/// the top half of a product is the one that depends on every bit.
fn hash(bytes: &[u8]) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD);
    }
    let last = rest
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    state = (state.rotate_left(23) ^ last).wrapping_mul(SPREAD);
    usize::try_from(state >> 32).unwrap_or_default()
}

/// All patterns as one matcher: a sorted list of the texts before their first `*`, each knowing the
/// next shorter one that it begins with. The candidates for a name are one such chain.
#[derive(Debug, Default)]
struct Patterns {
    prefixes: Box<[Prefix]>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    /// Position of the longest other prefix that this one begins with.
    shorter: Option<usize>,
    /// Positions of the patterns that begin so, the most specific first.
    patterns: Box<[usize]>,
}

impl Patterns {
    fn of(patterns: &[Pattern]) -> Self {
        let mut sorted: Vec<(&str, usize)> = patterns
            .iter()
            .enumerate()
            .map(|(at, one)| (literal(&one.pattern), at))
            .collect();
        sorted.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::new();
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            let text = same[0].0;
            let shorter = prefixes
                .iter()
                .rposition(|before| text.starts_with(&*before.text));
            let patterns = same.iter().map(|(_, at)| *at).collect();
            prefixes.push(Prefix {
                text: text.into(),
                shorter,
                patterns,
            });
        }
        Self {
            prefixes: prefixes.into(),
        }
    }

    fn find<'p>(&self, patterns: &'p [Pattern], name: &str) -> Option<&'p Pattern> {
        let after = self
            .prefixes
            .partition_point(|prefix| *prefix.text <= *name);
        let mut next = after.checked_sub(1);
        let mut best: Option<usize> = None;
        while let Some(at) = next {
            let prefix = &self.prefixes[at];
            next = prefix.shorter;
            if !name.starts_with(&*prefix.text) {
                continue;
            }
            let matching = prefix
                .patterns
                .iter()
                .take_while(|at| best.is_none_or(|best| **at < best))
                .find(|at| {
                    patterns
                        .get(**at)
                        .is_some_and(|one| matches(&one.pattern, name))
                });
            best = matching.copied().or(best);
        }
        patterns.get(best?)
    }
}

/// The text of a pattern before its first `*`.
fn literal(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

/// Whether a name matches a pattern, whose `*` stand for any text, the empty one included.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_suffix(last) else {
        return false;
    };
    for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
        let Some(at) = name.find(piece) else {
            return false;
        };
        name = &name[at + piece.len()..];
    }
    true
}

/// What each `*` of a pattern stands for in a name that matches it; an earlier `*` takes as much as
/// it can, as `(.*)` does.
pub(crate) fn captures<'a>(pattern: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let mut rest = name.get(first.len()..);
    std::iter::from_fn(move || {
        let piece = pieces.next()?;
        let text = rest.take()?;
        let at = last_start(text, piece, pieces.clone())?;
        rest = text.get(at + piece.len()..);
        text.get(..at)
    })
}

/// The last place in a text where a piece can begin so that the pieces after it still fit.
fn last_start<'a>(
    text: &str,
    piece: &'a str,
    after: impl DoubleEndedIterator<Item = &'a str>,
) -> Option<usize> {
    let mut pieces = after.rev();
    let Some(last) = pieces.next() else {
        return text.len().checked_sub(piece.len());
    };
    let mut room = text.strip_suffix(last)?;
    for piece in pieces {
        room = &room[..room.rfind(piece)?];
    }
    room.rfind(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{GroupId, Text};

    fn named(
        names: impl IntoIterator<Item = impl Into<Text>>,
        patterns: &[&'static str],
    ) -> Routes {
        let mut names: Vec<Text> = names.into_iter().map(Into::into).collect();
        names.sort();
        let names = (0..).zip(names).map(|(id, name)| Name {
            hidden: name.starts_with('.'),
            name,
            target: Target::Group(GroupId(id)),
        });
        let patterns = (1000..).zip(patterns).map(|(id, pattern)| Pattern {
            pattern: (*pattern).into(),
            group: GroupId(id),
        });
        Routes {
            names: names.collect(),
            patterns: patterns.collect(),
            ..Routes::EMPTY
        }
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0, 1, 2, 3, 100, 5000] {
            let table = Table::loaded(named((0..count).map(|n| format!("model-{n:05}")), &[]));
            for (id, n) in (0..).zip(0..count) {
                let name = format!("model-{n:05}");
                let found = table.resolve(&name).unwrap();
                assert_eq!(
                    (found.target, found.wildcard),
                    (Target::Group(GroupId(id)), None)
                );
                assert_eq!(table.resolve(&format!("{name} ")), None);
            }
            assert_eq!(table.resolve(""), None);
            assert_eq!(table.resolve("model-99999"), None);
        }
    }

    #[test]
    fn an_exact_name_wins_over_a_pattern_and_the_earlier_pattern_over_the_later() {
        let patterns = ["openai/gpt-*", "*-mini", "openai/*", "a*", "*"];
        let table = Table::loaded(named(["openai/gpt-4o"], &patterns));
        for (name, target, wildcard) in [
            ("openai/gpt-4o", 0, None),
            ("openai/gpt-4o-mini", 1000, Some("4o-mini")),
            ("openai/o4-mini", 1001, Some("openai/o4")),
            ("openai/o3", 1002, Some("o3")),
            ("openai/", 1002, Some("")),
            ("azure", 1003, Some("zure")),
            ("openai", 1004, Some("openai")),
            ("", 1004, Some("")),
        ] {
            let found = table.resolve(name).unwrap();
            assert_eq!(
                (found.target, found.wildcard),
                (Target::Group(GroupId(target)), wildcard),
                "{name}"
            );
        }
    }

    #[test]
    fn each_star_of_a_model_is_filled_with_its_own_match() {
        let table = Table::loaded(named([""; 0], &["fo::*:static::*", "openai/*"]));
        let found = table.resolve("fo::hi:static::hello").unwrap();
        assert_eq!(
            found.fill("openai/fo::*:static::*"),
            "openai/fo::hi:static::hello"
        );
        assert_eq!(found.fill("*-*-*"), "hi-hello-*");
        assert_eq!(table.resolve("openai/gpt-4o").unwrap().fill("*"), "gpt-4o");
        assert_eq!(
            table.resolve("openai/gpt-4o").unwrap().fill("gpt-4"),
            "gpt-4"
        );
    }

    #[test]
    fn an_earlier_star_takes_as_much_as_it_can() {
        for (pattern, name, expected) in [
            ("*a*", "bananas", vec!["banan", "s"]),
            ("*a*a*", "banana", vec!["ban", "n", ""]),
            ("x*", "x", vec![""]),
            ("**", "ab", vec!["ab", ""]),
            ("é*ü", "éäü", vec!["ä"]),
        ] {
            assert!(matches(pattern, name), "{pattern}");
            assert_eq!(
                captures(pattern, name).collect::<Vec<_>>(),
                expected,
                "{pattern}"
            );
        }
        for (pattern, name) in [
            ("aa*aa", "aaa"),
            ("*a*a*", "ab"),
            ("a*b*c", "acb"),
            ("a", "b"),
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn the_matcher_agrees_with_trying_one_after_the_other() {
        let patterns = ["abc*", "ab*c", "*bc", "ab*", "b*", "a*", "*b*", "*"];
        let table = Table::loaded(named([""; 0], &patterns));
        let letters = [
            "", "a", "b", "c", "ab", "bc", "abc", "cab", "acb", "bb", "abcc", "é",
        ];
        for name in letters
            .iter()
            .flat_map(|a| letters.iter().map(move |b| format!("{a}{b}")))
        {
            let expected = (1000..)
                .zip(patterns)
                .find(|(_, pattern)| matches(pattern, &name));
            let found = table.resolve(&name).map(|found| found.target);
            assert_eq!(
                found,
                expected.map(|(id, _)| Target::Group(GroupId(id))),
                "{name}"
            );
        }
    }

    #[test]
    fn hidden_names_answer_but_are_not_listed() {
        let table = Table::loaded(named([".old", "new"], &[]));
        assert!(table.resolve(".old").is_some());
        assert_eq!(
            table
                .names()
                .map(|name| name.name.as_ref())
                .collect::<Vec<_>>(),
            ["new"]
        );
    }

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["gpt-4o", "gpt-4o-mini", "claude-sonnet", "o3"];
        let near = |word, n| nearest(word, known.into_iter(), n);
        assert_eq!(near("gtp-4o", 3), ["gpt-4o"]);
        assert_eq!(near("claude", 1), ["claude-sonnet"]);
        assert_eq!(near("Claude-Sonet", 1), ["claude-sonnet"]);
        assert_eq!(near("gpt-4", 9), ["gpt-4o", "gpt-4o-mini"]);
        assert_eq!(near("whatever", 9), [""; 0]);
        assert_eq!(near(&"x".repeat(100_000), 9), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn lookups_agree_with_a_plain_search(
            names in proptest::collection::btree_set("[ab/]{0,5}", 0..40),
            patterns in proptest::collection::vec("[ab/*]{0,3}\\*[ab/*]{0,3}", 0..12),
            asked in proptest::collection::vec("[ab/]{0,7}", 1..20),
        ) {
            let routes = Routes {
                patterns: (1000..)
                    .zip(&patterns)
                    .map(|(id, one)| Pattern { pattern: one.clone().into(), group: GroupId(id) })
                    .collect(),
                ..named(names.iter().cloned(), &[])
            };
            let table = Table::loaded(routes);
            for name in asked.iter().chain(&names) {
                let exact = names.iter().position(|known| known == name);
                let matched = || patterns.iter().position(|one| matches(one, name)).map(|at| at + 1000);
                let group = |at| Target::Group(GroupId(u16::try_from(at).unwrap()));
                let expected = exact.or_else(matched).map(group);
                let found = table.resolve(name);
                proptest::prop_assert_eq!(found.map(|found| found.target), expected);
                if let Some(found) = found.filter(|found| found.wildcard.is_some()) {
                    let pattern = found.pattern.unwrap();
                    proptest::prop_assert_eq!(&found.fill(pattern), name);
                }
            }
        }
    }
}
