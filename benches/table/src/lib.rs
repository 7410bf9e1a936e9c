//! The table of the lookup bench, in both forms that it can have.

/// As the compiler wrote it.
#[expect(clippy::too_many_lines, reason = "a line for each of a hundred groups")]
pub mod compiled {
    pointsman_routes::include_routes!();
}

/// The file that it comes from.
pub const FILE: &str = include_str!("../routes.yaml");
