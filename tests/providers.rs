//! The page of providers is made from the names of the tests that ask each of them end to end, so
//! that it can claim nothing that no test shows. `UPDATE=1` writes it anew.
//!
//! A test named `PROVIDER__CAPABILITY` or `PROVIDER_can_CAPABILITY` stands behind a cell.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use pointsman_routes::catalog;

const PAGE: &str = "docs/providers.md";

/// What a column is called, and the capabilities that belong to it.
const COLUMNS: &[(&str, &[&str])] = &[
    ("chat", &["answers", "answers_text", "chat"]),
    ("streams", &["stream", "streams", "streams_text"]),
    ("tools", &["call_tools", "calls_tools"]),
    ("streamed tools", &["stream_calls", "streams_tool_calls"]),
    ("images", &["images", "see_images", "sees_images"]),
    ("documents", &["cites_documents", "read_documents"]),
    (
        "JSON schema",
        &["follows_a_schema", "keep_schemas", "structured_output"],
    ),
    ("thinking", &["think", "thinks"]),
    ("web search", &["search_the_web", "searches_the_web"]),
    ("embeddings", &["embed", "embeds"]),
    ("rerank", &["rank", "ranks"]),
];

/// A capability and the file of its test, by provider.
type Shown = BTreeMap<String, BTreeMap<String, String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn shown() -> Shown {
    let known: BTreeSet<_> = catalog::providers()
        .map(|row| row.name.to_string())
        .collect();
    let mut shown = Shown::new();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let name = line
                .strip_prefix("async fn ")
                .and_then(|rest| rest.split('(').next());
            let Some((provider, capability)) =
                name.and_then(|name| name.split_once("__").or_else(|| name.split_once("_can_")))
            else {
                continue;
            };
            let provider = if provider == "jina" {
                "jina_ai"
            } else {
                provider
            };
            if known.contains(provider) {
                let of_it = shown.entry(provider.to_owned()).or_default();
                of_it.insert(capability.to_owned(), file.clone());
            }
        }
    }
    shown
}

fn page() -> String {
    let mut page = String::from(
        "# Providers\n\n\
         <!-- Made from the names of tests; `UPDATE=1 cargo test --test providers` writes it anew. -->\n\n\
         What OpenAI's callers can do at the providers that have a protocol of their own. Each cell \
         leads to the test that shows it, over real sockets, against a fake of the provider that \
         objects to whatever the provider does not know. An empty cell is not shown by a test.\n\n\
         OpenAI, Azure and the [vendors that speak OpenAI's protocol](providers-openai.md) get the \
         caller's bytes as they are, so whatever they have is there. What [single vendors have \
         otherwise](vendors.md) is told apart.\n\n",
    );
    let head: Vec<_> = COLUMNS.iter().map(|(title, _)| *title).collect();
    let _ = writeln!(page, "| provider | {} | also |", head.join(" | "));
    let _ = writeln!(page, "|---|{}", "---|".repeat(COLUMNS.len() + 1));
    for (provider, mut capabilities) in shown() {
        let _ = write!(page, "| `{provider}` |");
        for (_, names) in COLUMNS {
            let found = names.iter().find_map(|name| capabilities.remove(*name));
            let cell = found.map_or_else(String::new, |file| format!("[yes](../tests/{file})"));
            let _ = write!(page, " {cell} |");
        }
        let rest = capabilities
            .iter()
            .map(|(name, file)| format!("[{}](../tests/{file})", name.replace('_', " ")));
        let _ = writeln!(page, " {} |", rest.collect::<Vec<_>>().join(", "));
    }
    page
}

#[test]
fn the_page_of_providers_is_in_step_with_the_tests() {
    let path = root().join(PAGE);
    let made = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == made,
        "{PAGE} is out of date: run with UPDATE=1"
    );
}

#[test]
fn every_protocol_that_is_translated_has_a_row() {
    let shown = shown();
    for provider in [
        "anthropic",
        "cohere",
        "gemini",
        "jina_ai",
        "ollama",
        "voyage",
    ] {
        assert!(shown.contains_key(provider), "no test asks {provider}");
    }
}
