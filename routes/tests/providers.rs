//! The page of OpenAI-compatible vendors is made from the catalog.

use std::fmt::Write;

use pointsman_routes::catalog;
use pointsman_routes::table::Provider;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/providers-openai.md");

/// `UPDATE_GOLDEN=1 cargo test -p pointsman-routes --test providers` writes the page anew.
#[test]
fn the_page_shows_the_catalog() {
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let stored = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        stored == page,
        "docs/providers-openai.md differs from the catalog:\n{page}"
    );
}

fn page() -> String {
    let mut page = String::from(
        "# Vendors that speak OpenAI's protocol\n\n\
         <!-- Made from routes/src/catalog/providers.rs; `UPDATE_GOLDEN=1 cargo test \
         -p pointsman-routes --test providers` writes it anew. -->\n\n\
         Write the prefix before the model's name, as in `groq/llama-3.3-70b-versatile`. The key is\n\
         `api_key` of the entry, else the first of the variables that is set. The address is\n\
         `api_base` of the entry, else the variable, else the one below; where none stands below, the\n\
         entry or the variable must give it. A vendor that is not listed works as `openai/MODEL` with\n\
         an `api_base`.\n\n\
         | prefix | address | key | address from | quirks |\n|---|---|---|---|---|\n",
    );
    for vendor in catalog::vendors() {
        let address = vendor
            .base_url
            .as_ref()
            .map(|url| format!("`{url}{}`", vendor.path));
        let _ = writeln!(
            page,
            "| `{}/` | {} | {} | {} | {} |",
            vendor.name,
            address.unwrap_or_default(),
            codes(&vendor.key_env),
            codes(&vendor.base_env),
            quirks(vendor),
        );
    }
    page
}

fn codes(names: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    names.join(", ")
}

fn quirks(vendor: &Provider) -> String {
    let mut quirks: Vec<String> = vendor
        .renames
        .iter()
        .map(|(ours, theirs)| format!("`{ours}` is sent as `{theirs}`"))
        .collect();
    if vendor.keyless {
        quirks.push("needs no key".to_owned());
    }
    if vendor.responses {
        quirks.push("has `/responses` of its own".to_owned());
    }
    if !vendor.stream_options {
        quirks.push("is not sent `stream_options`, and gives usage without it".to_owned());
    }
    quirks.join("; ")
}
