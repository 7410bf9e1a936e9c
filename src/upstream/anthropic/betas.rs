//! Which betas a request asks for, by what is in it.
//!
//! Source: Anthropic's documentation of each tool and feature. What is generally available needs
//! none.

use std::borrow::Cow;

use http::HeaderName;
use serde_json::Value;

/// Where Anthropic reads them.
pub(super) const HEADER: HeaderName = HeaderName::from_static("anthropic-beta");
/// Files that are at Anthropic.
pub(super) const FILES: &str = "files-api-2025-04-14";

/// Beginnings of tools' types, and the beta of each.
const TOOLS: &[(&str, &str)] = &[
    ("computer_20241022", "computer-use-2024-10-22"),
    ("computer_20250124", "computer-use-2025-01-24"),
    ("computer_20251124", "computer-use-2025-11-24"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("code_execution_20250825", "code-execution-2025-08-25"),
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
    ("memory_", "context-management-2025-06-27"),
    ("tool_search_tool_", "advanced-tool-use-2025-11-20"),
    ("mcp_toolset", "mcp-client-2025-11-20"),
];

/// A set of betas, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Betas<'a>(Vec<Cow<'a, str>>);

impl<'a> Betas<'a> {
    fn add(&mut self, beta: &'a str) {
        let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !beta.is_empty() && beta.chars().all(ok) && !self.0.iter().any(|old| old == beta) {
            self.0.push(Cow::Borrowed(beta));
        }
    }

    pub(super) fn add_if(&mut self, wanted: bool, beta: &'static str) {
        if wanted {
            self.add(beta);
        }
    }

    /// Those that the caller names: a list, or words with commas between.
    pub(super) fn extend(&mut self, named: &'a Value) {
        let texts = named
            .as_array()
            .map_or(std::slice::from_ref(named), Vec::as_slice);
        for text in texts.iter().filter_map(Value::as_str) {
            text.split(',').for_each(|beta| self.add(beta.trim()));
        }
    }

    /// What a tool of Anthropic's own wants.
    pub(super) fn of_tool(&mut self, kind: &str) {
        let found = TOOLS.iter().find(|(start, _)| kind.starts_with(start));
        self.add_if(found.is_some(), found.map_or("", |(_, beta)| beta));
    }

    /// What a member of the request wants.
    pub(super) fn of_member(&mut self, name: &str, value: &Value) {
        match name {
            "mcp_servers" => self.add("mcp-client-2025-04-04"),
            "context_management" => self.add("context-management-2025-06-27"),
            "container" if value["skills"].is_array() => self.add("skills-2025-10-02"),
            _ => {}
        }
    }

    pub(super) fn into_list(self) -> Vec<Cow<'a, str>> {
        self.0
    }

    pub(super) fn into_header(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(","))
    }
}
