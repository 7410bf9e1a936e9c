//! Settings without a field of their own.

use super::read::{Reader, text};
use super::router::NEEDS_GROUPS;
use crate::schema::{self, Hold, Kind, Section};
use crate::table::Carried;
use crate::yaml::Node;

/// Collects them, sorted by path. Of a fragment, also what needs groups to be placed.
pub(super) fn read(root: &Node, fragment: bool, reader: &mut Reader<'_>) -> Vec<Carried> {
    let mut found = Vec::new();
    collect(root, Section::Top, "", &mut found, reader);
    if fragment {
        for section in ["router_settings", "litellm_settings", "router"] {
            let Some(map) = root.get(section) else {
                continue;
            };
            for name in NEEDS_GROUPS {
                push(map, name, section, &mut found, reader);
            }
        }
        push(root, "fallback_config", "", &mut found, reader);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

fn push(map: &Node, name: &str, path: &str, found: &mut Vec<Carried>, reader: &mut Reader<'_>) {
    if let Some(node) = map.get(name)
        && let Some(value) = reader.setting(node, name, false)
    {
        found.push(Carried {
            path: text(join(path, name)),
            value,
        });
    }
}

fn collect(
    map: &Node,
    section: Section,
    path: &str,
    found: &mut Vec<Carried>,
    reader: &mut Reader<'_>,
) {
    // A guardrail holds its options itself.
    if section == Section::GuardrailParams {
        return;
    }
    for entry in map.entries().iter().filter(|entry| !entry.value.is_null()) {
        let Some(key) = schema::find(section, &entry.name) else {
            if matches!(section, Section::Info | Section::Metadata) {
                push(map, &entry.name, path, found, reader);
            }
            continue;
        };
        let path = join(path, &entry.name);
        match key.kind {
            Kind::Section(inner) => collect(&entry.value, inner, &path, found, reader),
            Kind::Sections(inner) => {
                for (at, item) in entry.value.items().iter().enumerate() {
                    collect(item, inner, &format!("{path}[{at}]"), found, reader);
                }
            }
            kind if key.hold == Hold::Carried => {
                if let Some(value) = reader.setting(&entry.value, &entry.name, kind == Kind::Secret)
                {
                    found.push(Carried {
                        path: text(path),
                        value,
                    });
                }
            }
            _ => {}
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
