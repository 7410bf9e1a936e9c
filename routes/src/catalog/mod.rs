//! What is known of the world: who answers, and what models cost and can do.
//!
//! Both are constants. Providers are rows of [`Provider`]; models are lines of sorted text in which
//! a name is found by halving, so that nothing is read at start and nothing is kept in memory but
//! the pages that a lookup touches.

mod models;
mod providers;

pub use models::{DATE, Model, find, infer, models};

use crate::table::Provider;

/// Environment variable of the Azure API version where the file names none.
pub const AZURE_VERSION_ENV: &str = "AZURE_API_VERSION";
/// Azure API version where neither file nor environment names one.
pub const AZURE_VERSION: &str = "2025-02-01-preview";

/// The provider of this name, `None` if there is none.
///
/// Usable in constants.
#[must_use]
pub const fn provider(name: &str) -> Option<&'static Provider> {
    let sections = [providers::NATIVE, providers::VENDORS, providers::OTHERS];
    let mut section = 0;
    while section < sections.len() {
        let rows = sections[section];
        let mut row = 0;
        while row < rows.len() {
            if same(name_of(&rows[row]), name) {
                return Some(&rows[row]);
            }
            row += 1;
        }
        section += 1;
    }
    None
}

/// The provider of this name, for compiled tables.
///
/// # Panics
///
/// If there is no such provider; in a constant, where it belongs, that is an error of the compiler.
/// Use [`provider`] for names that come from outside.
#[must_use]
pub const fn known(name: &str) -> &'static Provider {
    match provider(name) {
        Some(provider) => provider,
        None => panic!("no provider of this name in the catalog"),
    }
}

/// All providers: those with a protocol of their own, those that speak OpenAI's, the others.
pub fn providers() -> impl Iterator<Item = &'static Provider> + Clone {
    [providers::NATIVE, providers::VENDORS, providers::OTHERS]
        .into_iter()
        .flatten()
}

/// The vendors that speak OpenAI's protocol at an address of their own, sorted by name.
#[must_use]
pub const fn vendors() -> &'static [Provider] {
    providers::VENDORS
}

const fn name_of(provider: &'static Provider) -> &'static str {
    match &provider.name {
        std::borrow::Cow::Borrowed(name) => name,
        std::borrow::Cow::Owned(_) => "",
    }
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::table::Protocol;

    const GROQ: &Provider = known("groq");

    #[test]
    fn a_constant_may_name_a_provider() {
        assert_eq!(
            GROQ.base_url.as_deref(),
            Some("https://api.groq.com/openai/v1")
        );
        assert_eq!(GROQ.key_env.as_ref(), ["GROQ_API_KEY"]);
    }

    #[test]
    fn every_provider_is_found_and_none_twice() {
        let mut seen = HashSet::new();
        for row in providers() {
            assert!(seen.insert(row.name.as_ref()), "{} stands twice", row.name);
            assert_eq!(provider(&row.name), Some(row));
        }
        assert_eq!(provider("grok"), None);
        assert_eq!(provider(""), None);
    }

    #[test]
    fn vendors_are_sorted_and_speak_openai() {
        assert!(vendors().is_sorted_by(|a, b| a.name < b.name));
        assert!(vendors().iter().all(|row| row.protocol == Protocol::OpenAi));
    }

    #[test]
    fn base_urls_end_without_a_slash() {
        for row in providers() {
            let Some(url) = &row.base_url else { continue };
            assert!(
                url.starts_with("http") && !url.ends_with('/'),
                "{}: {url}",
                row.name
            );
        }
    }
}
