//! Routes compiled into a program of one's own.
//!
//! `build.rs` turns `routes.yaml` into an enum of the model groups and a constant table, so that a
//! group which the file does not name does not compile, and a name from outside is looked up
//! without a hash, a lock or an allocation.

use std::process::ExitCode;

use pointsman_routes::Table;

use self::routes::{COMPILED, ModelGroup};

/// What `build.rs` wrote.
pub mod routes {
    pointsman_routes::include_routes!();
}

fn main() -> ExitCode {
    let asked = std::env::args().nth(1).unwrap_or_else(|| "fast".to_owned());
    let table = Table::compiled(&COMPILED);
    let Ok(group) = ModelGroup::try_from(asked.as_str()) else {
        eprintln!(
            "no model group {asked:?}; near it: {:?}",
            table.nearest(&asked, 3)
        );
        return ExitCode::FAILURE;
    };
    println!("{}: {}", group.name(), purpose(group));
    for member in table.routes().groups[usize::from(group.id().0)]
        .members
        .iter()
    {
        let deployment = &table.routes().deployments[usize::from(member.deployment.0)];
        println!("  {} at {}", deployment.model, deployment.provider.name);
    }
    ExitCode::SUCCESS
}

/// Adding a group to `routes.yaml` makes this `match` fail to compile until it has a line here.
fn purpose(group: ModelGroup) -> &'static str {
    match group {
        ModelGroup::Fast => "for drafts",
        ModelGroup::Careful => "for what goes out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enum_the_match_and_the_table_agree() {
        let table = Table::compiled(&COMPILED);
        for group in ModelGroup::ALL {
            assert_eq!(ModelGroup::try_from(group.name()), Ok(group));
            assert_eq!(
                table.routes().groups[usize::from(group.id().0)].name,
                group.name()
            );
        }
        assert!(ModelGroup::try_from("fats").is_err());
        assert_eq!(table.nearest("fats", 1), ["fast"]);
    }
}
