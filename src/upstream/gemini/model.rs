//! What differs between Gemini's generations, as their names tell.
//!
//! Source: Google's guides "Thinking", "Thought signatures", "Structured outputs" and "File input
//! methods".

/// What is known of a model by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor; `None` where the name tells none.
    generation: Option<(u32, u32)>,
    /// One of the small, quick ones.
    pub(super) is_flash: bool,
}

impl Model {
    pub(super) fn named(name: &str) -> Self {
        let generation = name.find("gemini-").and_then(|at| {
            let rest = &name[at + "gemini-".len()..];
            let version = rest.split('-').next().unwrap_or(rest);
            let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
            Some((major.parse().ok()?, minor.parse().unwrap_or(0)))
        });
        let latest = name.contains("gemini-") && name.ends_with("-latest");
        Self {
            generation: generation.or(latest.then_some((2, 5))),
            is_flash: name.contains("flash"),
        }
    }

    fn since(self, major: u32, minor: u32) -> bool {
        self.generation
            .is_some_and(|generation| generation >= (major, minor))
    }

    /// It takes JSON Schema beside the subset of `OpenAPI`.
    pub(super) fn takes_json_schema(self) -> bool {
        self.since(2, 0)
    }

    /// It thinks at a level; those before it within a budget.
    pub(super) fn thinks_at_levels(self) -> bool {
        self.since(3, 0)
    }

    /// Its first generation of levels knows `low` and `high` alone, unless it is a flash.
    pub(super) fn has_middle_level(self) -> bool {
        self.is_flash || self.since(3, 1)
    }

    /// It refuses calls of functions without their signatures.
    pub(super) fn wants_signatures(self) -> bool {
        self.since(3, 0)
    }

    /// Images may stand within what a function gave, and each may say how closely to look.
    pub(super) fn takes_nested_media(self) -> bool {
        self.since(3, 0)
    }

    /// It fetches media from any public address.
    pub(super) fn fetches(self) -> bool {
        self.since(2, 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_in_the_name() {
        for (name, generation) in [
            ("gemini-2.5-pro", Some((2, 5))),
            ("models/gemini-3-pro-preview", Some((3, 0))),
            ("gemini-3.1-flash-lite", Some((3, 1))),
            ("gemini-flash-latest", Some((2, 5))),
            ("gemma-3-27b", None),
            ("1234567890", None),
        ] {
            assert_eq!(Model::named(name).generation, generation, "{name}");
        }
        assert!(Model::named("gemini-3-flash").has_middle_level());
        assert!(!Model::named("gemini-3-pro").has_middle_level());
    }
}
