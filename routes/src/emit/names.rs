//! Identifiers for names that people chose.

use std::collections::HashSet;

/// Gives each name an identifier that no other has; the same names in the same order get the same
/// identifiers.
#[derive(Debug, Default)]
pub(super) struct Identifiers {
    taken: HashSet<String>,
}

impl Identifiers {
    /// None of these is given away.
    pub(super) fn without(reserved: &[&str]) -> Self {
        Self {
            taken: reserved.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// `gpt-4o` as a variant: `Gpt4o`.
    pub(super) fn variant(&mut self, name: &str) -> String {
        let words = words(name);
        self.unique(words.iter().map(|word| capitalised(word)).collect(), "")
    }

    /// `gpt-4o` as a constant: `GPT_4O`.
    pub(super) fn constant(&mut self, name: &str) -> String {
        self.unique(words(name).join("_").to_uppercase(), "_")
    }

    fn unique(&mut self, wanted: String, before_number: &str) -> String {
        let wanted = if wanted.starts_with(|first: char| first.is_ascii_digit()) {
            format!("N{wanted}")
        } else {
            wanted
        };
        let mut given = wanted.clone();
        let mut number = 2;
        while !self.taken.insert(given.clone()) {
            given = format!("{wanted}{before_number}{number}");
            number += 1;
        }
        given
    }
}

/// The words of a name; never none.
fn words(name: &str) -> Vec<String> {
    let spelt = name.replace('*', " any ");
    let words: Vec<String> = spelt
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if words.is_empty() {
        vec!["group".to_owned()]
    } else {
        words
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first
        .into_iter()
        .chain(letters.map(|letter| letter.to_ascii_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        for (name, variant, constant) in [
            ("gpt-4o", "Gpt4o", "GPT_4O"),
            ("gpt-3.5-turbo", "Gpt35Turbo", "GPT_3_5_TURBO"),
            ("openai/*", "OpenaiAny", "OPENAI_ANY"),
            ("*", "Any", "ANY"),
            ("4o", "N4o", "N4O"),
            ("modèle", "ModLe", "MOD_LE"),
            ("日本", "Group", "GROUP"),
            ("", "Group", "GROUP"),
        ] {
            let mut identifiers = Identifiers::default();
            assert_eq!(identifiers.variant(name), variant);
            assert_eq!(Identifiers::default().constant(name), constant);
        }
    }

    #[test]
    fn no_two_names_share_an_identifier() {
        let mut identifiers = Identifiers::without(&["Self"]);
        let given =
            ["a-b", "a_b", "a-b2", "a.b", "self", "A b"].map(|name| identifiers.variant(name));
        assert_eq!(given, ["AB", "AB2", "AB22", "AB3", "Self2", "AB4"]);
    }
}
