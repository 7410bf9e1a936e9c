//! The page of keys is made from the table. `UPDATE=1` writes it anew.

use std::fs;

use pointsman_routes::schema::{Section, keys, markdown};

const PAGE: &str = "../docs/config.md";

#[test]
fn the_page_of_keys_is_in_step_with_the_table() {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, markdown()).expect("it can be written");
    }
    let page = fs::read_to_string(PAGE).expect("it is there");
    assert!(
        page == markdown(),
        "docs/config.md is out of date: run with UPDATE=1"
    );
}

#[test]
fn the_page_names_every_key_and_section() {
    let page = markdown();
    for key in keys() {
        assert!(
            page.contains(&format!("| `{}` |", key.name)),
            "{}",
            key.name
        );
    }
    for section in Section::ALL {
        assert!(page.contains(section.meaning()), "{section:?}");
    }
}

/// What a guide shows can be used as it stands.
#[test]
fn the_configs_of_the_guides_compile() {
    let guide = fs::read_to_string("../docs/routing.md").expect("the guide is there");
    let blocks = guide.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let outcome = pointsman_routes::load("guide.yaml", block);
        let said: Vec<String> = outcome
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect();
        let later = |line: &String| line.contains("error") || line.contains("has no effect yet");
        assert!(!said.iter().any(later), "{}", said.join("\n"));
        assert!(outcome.loaded.is_some());
    }
}
