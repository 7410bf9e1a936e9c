//! Every config of the repository through both back ends: as source that a build script wrote and
//! this crate compiled, and as a table that is loaded now. Both must be equal.

use pointsman_routes::Compiled;

/// Every config as the build script wrote it, with its path.
pub mod configs {
    use super::Compiled;

    include!(concat!(env!("OUT_DIR"), "/all.rs"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pointsman_routes::{Table, load_file};

    use super::configs::ALL;

    fn both() -> impl Iterator<Item = (&'static str, Table, Table)> {
        ALL.iter().map(|(path, compiled)| {
            let outcome = load_file(Path::new(path));
            let loaded = outcome
                .loaded
                .unwrap_or_else(|| panic!("{path} does not load"));
            (
                *path,
                Table::compiled(compiled),
                Table::loaded(loaded.routes),
            )
        })
    }

    #[test]
    fn every_config_gives_equal_tables() {
        for (path, compiled, loaded) in both() {
            assert!(
                compiled == loaded,
                "{path}: {:#?}\n{:#?}",
                compiled.routes(),
                loaded.routes()
            );
        }
    }

    #[test]
    fn both_lookups_agree_on_every_name_and_on_names_beside_it() {
        for (path, compiled, loaded) in both() {
            let known = loaded
                .routes()
                .names
                .iter()
                .map(|name| name.name.to_string());
            let patterns = loaded
                .routes()
                .patterns
                .iter()
                .map(|one| one.pattern.to_string());
            let groups = loaded
                .routes()
                .groups
                .iter()
                .map(|group| group.name.to_string());
            for name in known.chain(patterns).chain(groups).chain([String::new()]) {
                let shorter = name
                    .char_indices()
                    .next_back()
                    .map_or("", |(at, _)| &name[..at]);
                let longer = [
                    format!("{name}x"),
                    format!("x{name}"),
                    name.replace('*', "a/b"),
                ];
                let all = longer
                    .iter()
                    .map(String::as_str)
                    .chain([name.as_str(), shorter]);
                for asked in all {
                    assert_eq!(
                        compiled.resolve(asked),
                        loaded.resolve(asked),
                        "{path}: {asked:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_configs_of_the_articles_are_among_them() {
        let seeds = ALL
            .iter()
            .filter(|(path, _)| path.contains("config/seeds/"))
            .count();
        assert!(seeds >= 15, "{seeds}");
        let default = ALL
            .iter()
            .filter(|(path, _)| path.ends_with("./routes.yaml"))
            .count();
        assert_eq!(default, 1);
    }
}
