//! A file imports from lower floors only, so that a request goes one way and no layer knows what it
//! stands under. Reads every `use` and every path of the sources.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::Visit;
use syn::{Item, UseTree};

/// The floors of the gateway, by module. `lib.rs` lists the modules and stands on none.
const FLOORS: &[(&str, u8)] = &[
    ("main", 11),
    ("cli", 11),
    ("server", 10),
    ("stack", 9),
    ("admin", 8),
    ("ui", 8),
    ("ingress", 7),
    ("access", 6),
    ("import", 7),
    ("models", 6),
    ("reliable", 6),
    ("routing", 5),
    ("upstream", 5),
    ("spend", 5),
    ("export", 5),
    ("store", 5),
    ("dialect", 4),
    ("call", 3),
    ("live", 2),
    ("account", 1),
    ("error", 1),
    ("wire", 0),
];

fn floor(module: &str) -> u8 {
    let known = FLOORS.iter().find(|(name, _)| *name == module);
    known
        .unwrap_or_else(|| panic!("src/{module} has no floor in tests/floors.rs"))
        .1
}

/// The modules of a crate that a file names: the first step of each path behind `crate`.
#[derive(Default)]
struct Named(BTreeSet<String>);

impl Named {
    fn note_use(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                self.0.insert(path.ident.to_string());
            }
            UseTree::Name(name) => {
                self.0.insert(name.ident.to_string());
            }
            UseTree::Rename(name) => {
                self.0.insert(name.ident.to_string());
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_use(tree)),
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item(&mut self, item: &'ast Item) {
        // What only tests import holds up nothing.
        let of_tests = match item {
            Item::Mod(module) => module
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("cfg")),
            _ => false,
        };
        if !of_tests {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        match tree {
            UseTree::Path(path) if path.ident == "crate" => self.note_use(&path.tree),
            _ => syn::visit::visit_use_tree(self, tree),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut steps = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        if steps.next().as_deref() == Some("crate") {
            self.0.extend(steps.next());
        }
        syn::visit::visit_path(self, path);
    }
}

/// Every Rust file below a folder, with the module of the crate that it belongs to.
fn sources(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root).unwrap();
                let first = below
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_string_lossy();
                found.push((path.clone(), first.trim_end_matches(".rs").to_owned()));
            }
        }
    }
    found
}

fn named(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut named = Named::default();
    named.visit_file(&file);
    named.0
}

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// Each file of a crate that imports a module of it, without the files that only tests read.
fn imports(folder: &str) -> Vec<(PathBuf, String, String)> {
    let mut sources = sources(&root(folder));
    let modules: BTreeSet<_> = sources.iter().map(|(_, module)| module.clone()).collect();
    sources.retain(|(path, module)| module != "lib" && !path.ends_with("tests.rs"));
    let mut imports = Vec::new();
    for (path, module) in sources {
        // Anything else that the crate's root has is an item of its own.
        let others = named(&path)
            .into_iter()
            .filter(|other| modules.contains(other) && *other != module);
        imports.extend(others.map(|other| (path.clone(), module.clone(), other)));
    }
    imports
}

#[test]
fn no_file_of_the_gateway_imports_from_its_own_floor_or_a_higher_one() {
    let climbs: Vec<_> = imports("src")
        .into_iter()
        .filter(|(_, module, other)| floor(other) >= floor(module))
        .map(|(path, _, other)| format!("{} imports {other}", path.display()))
        .collect();
    assert!(climbs.is_empty(), "{climbs:#?}");
}

#[test]
fn no_layer_imports_another() {
    /// What the layers share: it knows nothing of any layer.
    const GROUND: &[&str] = &[
        "respond", "errors", "body", "clock", "hold", "id", "inline", "sync", "ready",
    ];
    let crossings: Vec<_> = imports("layers/src")
        .into_iter()
        .filter(|(_, _, other)| !GROUND.contains(&other.as_str()))
        .map(|(path, _, other)| format!("{} imports {other}", path.display()))
        .collect();
    assert!(crossings.is_empty(), "{crossings:#?}");
}

#[test]
fn the_ground_floor_knows_neither_the_gateway_nor_the_network() {
    for (manifest, refused) in [
        (
            "routes/Cargo.toml",
            &["tokio", "hyper", "http", "pointsman-layers", "pointsman"][..],
        ),
        (
            "layers/Cargo.toml",
            &["pointsman-routes", "pointsman", "serde_json"],
        ),
    ] {
        let text = fs::read_to_string(root(manifest)).unwrap();
        let dependencies = text
            .split("\n[")
            .find_map(|section| section.strip_prefix("dependencies]"));
        for line in dependencies.unwrap_or_default().lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(!refused.contains(&name), "{manifest} depends on {name}");
        }
    }
}
