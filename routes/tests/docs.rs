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
