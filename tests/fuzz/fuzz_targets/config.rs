//! Any text compiles or is refused with findings that can be shown; what compiles can be asked and
//! written as source.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman_routes::diagnostic::Severity;
use pointsman_routes::{Table, emit, load};

fuzz_target!(|text: &str| {
    let outcome = load("fuzz.yaml", text);
    // YAML ends a line where Unicode does, not only at a line feed.
    let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    // The end of a text without a last line end is told as the line behind it.
    let lines = text.matches(ends).count() + 2;
    for diagnostic in &outcome.diagnostics {
        assert!(diagnostic.column >= 1 && diagnostic.line >= 1);
        assert!(diagnostic.line as usize <= lines, "{diagnostic}");
    }
    let refused = outcome
        .diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    assert_eq!(outcome.loaded.is_none(), refused);
    let Some(loaded) = outcome.loaded else { return };
    assert!(!emit::source(&loaded.routes, "fuzz.yaml").is_empty());
    let names: Vec<_> = loaded
        .routes
        .names
        .iter()
        .map(|name| (name.name.to_string(), name.target))
        .collect();
    let table = Table::loaded(loaded.routes);
    for (name, target) in names {
        assert_eq!(table.resolve(&name).map(|found| found.target), Some(target));
    }
});
