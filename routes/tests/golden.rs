//! What the build script's back end writes: compared with what was written before, compiled, run.
//!
//! `UPDATE_GOLDEN=1 cargo test -p pointsman-routes --test golden` writes the files anew.

#[path = "golden/every_value.rs"]
mod every_value;

use std::path::Path;
use std::time::Duration;

use pointsman_routes::emit::source;
use pointsman_routes::table::{
    Deployment, DeploymentId, Group, GroupId, Name, Routes, Strategy, Target,
};
use pointsman_routes::{Compiled, Table, load, load_file};

#[expect(unreachable_pub, reason = "the source is written for a public module")]
mod every_value_compiled {
    include!("fixtures/values/every_value.rs");
}

#[expect(unreachable_pub, reason = "the source is written for a public module")]
mod empty_compiled {
    include!("fixtures/values/empty.rs");
}

#[expect(unreachable_pub, reason = "the source is written for a public module")]
mod balanced_compiled {
    include!("fixtures/ok/balanced.rs");
}

#[expect(unreachable_pub, reason = "the source is written for a public module")]
mod wildcards_compiled {
    include!("fixtures/ok/wildcards.rs");
}

#[test]
fn a_file_with_aliases_and_fallbacks_compiles() {
    use balanced_compiled::{COMPILED, ModelGroup};
    assert_golden_file("balanced", &COMPILED);
    assert_eq!(ModelGroup::ALL.map(ModelGroup::name), ["gpt-4o", "llama"]);
    assert_eq!(ModelGroup::try_from("gpt-4"), Ok(ModelGroup::Gpt4o));
    assert_eq!(ModelGroup::try_from("old"), Ok(ModelGroup::Gpt4o));
    let table = Table::compiled(&COMPILED);
    assert_eq!(
        table
            .names()
            .map(|name| name.name.as_ref())
            .collect::<Vec<_>>(),
        ["gpt-4", "gpt-4o", "llama"]
    );
    let by_id = table.resolve("azure-west").map(|found| found.target);
    assert_eq!(by_id, Some(Target::Deployment(DeploymentId(0))));
}

#[test]
fn a_file_with_wildcards_compiles() {
    use wildcards_compiled::{COMPILED, ModelGroup};
    assert_golden_file("wildcards", &COMPILED);
    let all = [
        ModelGroup::OpenaiAny,
        ModelGroup::Any,
        ModelGroup::Self2,
        ModelGroup::N4oMini,
    ];
    assert_eq!(ModelGroup::ALL, all);
    let table = Table::compiled(&COMPILED);
    let found = table.resolve("openai/o3").expect("the pattern matches");
    assert_eq!(found.target, Target::Group(ModelGroup::OpenaiAny.id()));
    assert_eq!(found.wildcard, Some("o3"));
    let found = table.resolve("whatever").expect("the star matches");
    assert_eq!(
        (found.target, found.wildcard),
        (Target::Group(ModelGroup::Any.id()), Some("whatever"))
    );
}

#[test]
fn every_kind_of_value_comes_back_equal() {
    assert_golden("every_value", &every_value::routes());
    assert_eq!(every_value_compiled::ROUTES, every_value::routes());
}

#[test]
fn a_table_with_nothing_in_it_compiles() {
    use empty_compiled::{COMPILED, ModelGroup, ROUTES, lookup};
    assert_golden("empty", &Routes::EMPTY);
    assert_eq!(ROUTES, Routes::EMPTY);
    assert!(ModelGroup::ALL.is_empty());
    assert_eq!(lookup("gpt-4o"), None);
    assert_eq!(Table::compiled(&COMPILED), Table::loaded(Routes::EMPTY));
}

#[test]
fn a_group_is_a_variant() {
    use every_value_compiled::ModelGroup;
    assert_eq!(ModelGroup::ALL, [ModelGroup::Gpt4o, ModelGroup::OpenaiAny]);
    assert_eq!(ModelGroup::Gpt4o.name(), "gpt-4o");
    assert_eq!(ModelGroup::OpenaiAny.id(), GroupId(1));
    assert_eq!(ModelGroup::try_from("gpt-4o"), Ok(ModelGroup::Gpt4o));
    assert_eq!(
        ModelGroup::try_from("an \"alias\"\n"),
        Ok(ModelGroup::Gpt4o)
    );
    assert!(ModelGroup::try_from("the-id").is_err());
    assert!(ModelGroup::try_from("gpt-5").is_err());
}

#[test]
fn no_secret_of_the_file_is_in_the_source() {
    let text = "\
model_list:
  - model_name: a
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-concealed-1
      extra_headers: {Authorization: Bearer concealed-2}
  - model_name: b
    litellm_params:
      model: bedrock/anthropic.claude-3-haiku-20240307-v1:0
      aws_secret_access_key: concealed-3
router_settings:
  redis_host: localhost
  redis_password: concealed-4
litellm_settings:
  cache: true
  cache_params: {type: redis, host: localhost, password: concealed-5}
  langfuse_secret_key: concealed-6
general_settings:
  master_key: sk-concealed-7
  database_url: postgresql://user:concealed-8@localhost/db
environment_variables:
  SOME_API_KEY: concealed-9
key_settings:
  - api_key: concealed-10
";
    let outcome = load("secrets.yaml", text);
    let loaded = outcome
        .loaded
        .unwrap_or_else(|| panic!("{:#?}", outcome.diagnostics));
    let source = source(&loaded.routes, "secrets.yaml");
    assert!(!source.contains("concealed"), "{source}");
    assert!(source.contains("Secret::Literal(LiteralId("), "{source}");
}

#[test]
fn both_lookups_agree() {
    let compiled = Table::compiled(&every_value_compiled::COMPILED);
    let loaded = Table::loaded(every_value::routes());
    let names = [
        "gpt-4o",
        "the-id",
        "an \"alias\"\n",
        "openai/gpt-4o",
        "",
        "gpt-4o-mini",
        "openai",
    ];
    for name in names {
        assert_eq!(compiled.resolve(name), loaded.resolve(name), "{name}");
    }
    let by_pattern = loaded.resolve("openai/o3").unwrap();
    assert_eq!(
        (by_pattern.target, by_pattern.wildcard),
        (Target::Group(GroupId(1)), Some("o3"))
    );
}

/// Compares what a file compiles to with the source beside it, and with what was compiled from that.
fn assert_golden_file(name: &str, compiled: &'static Compiled) {
    let path = format!(
        "{}/tests/fixtures/ok/{name}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let outcome = load_file(Path::new(&path));
    let loaded = outcome
        .loaded
        .unwrap_or_else(|| panic!("{:#?}", outcome.diagnostics));
    assert_source(
        &format!("ok/{name}"),
        &format!("{name}.yaml"),
        &loaded.routes,
    );
    assert_eq!(*compiled.routes, loaded.routes);
    assert_eq!(Table::compiled(compiled), Table::loaded(loaded.routes));
}

/// Compares the source of a table that no file gave with the file of its name.
fn assert_golden(name: &str, routes: &Routes) {
    assert_source(&format!("values/{name}"), &format!("{name}.yaml"), routes);
}

fn assert_source(stored: &str, file: &str, routes: &Routes) {
    let path = format!("{}/tests/fixtures/{stored}.rs", env!("CARGO_MANIFEST_DIR"));
    let written = source(routes, file);
    assert_eq!(
        written,
        source(routes, file),
        "the same table gives the same bytes"
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).expect("the fixtures can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == golden,
        "{path} differs from what is written now:\n{written}"
    );
}

proptest::proptest! {
    #[test]
    fn any_names_and_numbers_become_source(
        names in proptest::collection::vec(proptest::prelude::any::<String>(), 0..6),
        weight in proptest::prelude::any::<f64>(),
        nanos in proptest::prelude::any::<u64>(),
    ) {
        let id = |at: usize| u16::try_from(at).expect("there are six at most");
        let group = |name: &String| Group {
            name: name.clone().into(),
            retry_after: Some(Duration::from_nanos(nanos)),
            strategy: Some(Strategy::Score { latency: weight, cost: -weight, errors: 0.0 }),
            ..Group::EMPTY
        };
        let deployment = |(at, name): (usize, &String)| Deployment {
            group: GroupId(id(at)),
            litellm_model: name.clone().into(),
            ..Deployment::EMPTY
        };
        let known = |(at, name): (usize, &String)| Name {
            name: name.clone().into(),
            target: Target::Group(GroupId(id(at))),
            hidden: false,
        };
        let routes = Routes {
            groups: names.iter().map(group).collect(),
            deployments: names.iter().enumerate().map(deployment).collect(),
            names: names.iter().enumerate().map(known).collect(),
            ..Routes::EMPTY
        };
        let written = source(&routes, names.first().map_or("", |name| name));
        proptest::prop_assert_eq!(written.matches("\nconst ").count(), 2 * names.len());
    }
}
