//! The table of `pointsman routes`.

use std::fmt::Write;

use crate::plan::duration;
use crate::table::{Deployment, Group, Limits, Price, Routes, Secret, Target, Value};
use crate::usd::Usd;

/// Groups with their other names, deployments with limits and prices, fallback chains, and which
/// deployments lack their key. `is_set` says whether the environment has a variable.
#[must_use]
pub fn routes_table(routes: &Routes, is_set: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for (at, group) in routes.groups.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        head(&mut out, routes, at, group);
        out.push_str(&columns(&rows(routes, group, is_set)));
        chains(&mut out, routes, group);
    }
    if routes.groups.is_empty() {
        out.push_str("no model groups\n");
    }
    if !routes.router.default_fallbacks.is_empty() {
        let names = names(routes, &routes.router.default_fallbacks);
        let _ = writeln!(out, "\nlast resort of every group: {names}");
    }
    out
}

fn head(out: &mut String, routes: &Routes, at: usize, group: &Group) {
    out.push_str(&group.name);
    let same = |target: Target| matches!(target, Target::Group(id) if usize::from(id.0) == at);
    let also: Vec<&str> = routes
        .names
        .iter()
        .filter(|known| same(known.target) && known.name != group.name)
        .map(|known| known.name.as_ref())
        .collect();
    if !also.is_empty() {
        let _ = write!(out, " (also {})", also.join(", "));
    }
    out.push('\n');
}

/// A line for each deployment: model, address, limits, price, key.
fn rows(routes: &Routes, group: &Group, is_set: &dyn Fn(&str) -> bool) -> Vec<[String; 5]> {
    let members = group.members.iter().filter_map(|member| {
        routes
            .deployments
            .get(usize::from(member.deployment.0))
            .map(|one| (member, one))
    });
    members
        .map(|(member, one)| {
            let mut limits = limits(one.limits);
            if let Some(weight) = member.weight {
                limits.push(format!("weight {weight}"));
            }
            if member.order > 0 {
                limits.push(format!("order {}", member.order));
            }
            if let Some(timeout) = one.timeout {
                limits.push(format!("timeout {}", duration(timeout)));
            }
            [
                one.litellm_model.to_string(),
                address(one),
                limits.join(", "),
                price(&one.price),
                key(one, is_set),
            ]
        })
        .collect()
}

fn limits(limits: Limits) -> Vec<String> {
    let Limits {
        rpm,
        tpm,
        max_parallel_requests,
    } = limits;
    let all = [
        rpm.map(|n| format!("{n} rpm")),
        tpm.map(|n| format!("{n} tpm")),
        max_parallel_requests.map(|n| format!("{n} at once")),
    ];
    all.into_iter().flatten().collect()
}

/// Where a deployment stands, without what the environment holds.
fn address(one: &Deployment) -> String {
    if one.mock.is_some() {
        return "answers itself".to_owned();
    }
    match &one.api_base {
        Some(Value::Plain(base)) => base.to_string(),
        Some(Value::Env(name)) => format!("${name}"),
        Some(Value::Template(_)) => "from the environment".to_owned(),
        None => match &one.provider.base_url {
            Some(base) => base.to_string(),
            None => one.provider.name.to_string(),
        },
    }
}

fn price(price: &Price) -> String {
    let million = |unit: Usd| format!("${}", unit.times(1_000_000));
    match (price.input, price.output) {
        (None, None) => "no price".to_owned(),
        (input, output) => {
            let input = input.map(|unit| format!("{} in", million(unit)));
            let output = output.map(|unit| format!("{} out", million(unit)));
            let both: Vec<String> = input.into_iter().chain(output).collect();
            format!("{} per million", both.join(", "))
        }
    }
}

/// Where the key comes from, and whether it is there.
fn key(one: &Deployment, is_set: &dyn Fn(&str) -> bool) -> String {
    if one.mock.is_some() {
        return "needs no key".to_owned();
    }
    match &one.api_key {
        Some(Secret::Env(name)) if is_set(name) => format!("key in {name}"),
        Some(Secret::Env(name)) => format!("LACKS its key: {name} is not set"),
        Some(Secret::Template(_)) => "key put together from the environment".to_owned(),
        Some(Secret::Literal(_)) => "key in the file".to_owned(),
        None => {
            let names = &one.provider.key_env;
            match names.iter().find(|name| is_set(name)) {
                Some(name) => format!("key in {name}"),
                None if one.provider.keyless => "needs no key".to_owned(),
                None if names.is_empty() => "has no key".to_owned(),
                None => format!("LACKS its key: {} is not set", names.join(" or ")),
            }
        }
    }
}

fn chains(out: &mut String, routes: &Routes, group: &Group) {
    for (word, list) in [
        ("on failure", &group.fallbacks),
        ("on a prompt too long", &group.context_window_fallbacks),
        ("on refused content", &group.content_policy_fallbacks),
    ] {
        if !list.is_empty() {
            let _ = writeln!(out, "  {word}: {}", names(routes, list));
        }
    }
}

fn names(routes: &Routes, targets: &[Target]) -> String {
    let names = targets.iter().filter_map(|target| match target {
        Target::Group(id) => routes
            .groups
            .get(usize::from(id.0))
            .map(|group| group.name.as_ref()),
        Target::Deployment(id) => routes
            .deployments
            .get(usize::from(id.0))
            .map(|one| one.id.as_ref()),
    });
    names.collect::<Vec<_>>().join(" → ")
}

/// Rows with their columns one below the other, each row indented.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            if width > 0 {
                let _ = write!(line, "  {cell:width$}");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::table::{DeploymentId, GroupId, Member, Mock, Name};

    #[test]
    fn the_table_shows_who_lacks_a_key() {
        let deployments = vec![
            Deployment {
                litellm_model: "openai/gpt-4o".into(),
                api_key: Some(Secret::Env("MY_KEY".into())),
                limits: Limits {
                    rpm: Some(500),
                    tpm: Some(200_000),
                    ..Limits::NONE
                },
                price: Price {
                    input: Some(Usd(2_500_000)),
                    output: Some(Usd(10_000_000)),
                    ..Price::UNKNOWN
                },
                ..Deployment::EMPTY
            },
            Deployment {
                litellm_model: "groq/llama".into(),
                provider: std::borrow::Cow::Borrowed(catalog::known("groq")),
                ..Deployment::EMPTY
            },
            Deployment {
                litellm_model: "openai/demo".into(),
                group: GroupId(1),
                mock: Some(Mock::Text("hello".into())),
                ..Deployment::EMPTY
            },
        ];
        let member = |id| Member {
            deployment: DeploymentId(id),
            ..Member::FIRST
        };
        let routes = Routes {
            names: vec![Name {
                name: "gpt-4".into(),
                target: Target::Group(GroupId(0)),
                hidden: true,
            }]
            .into(),
            groups: vec![
                Group {
                    name: "gpt-4o".into(),
                    members: vec![member(0), member(1)].into(),
                    fallbacks: vec![Target::Group(GroupId(1))].into(),
                    ..Group::EMPTY
                },
                Group {
                    name: "demo".into(),
                    members: vec![member(2)].into(),
                    ..Group::EMPTY
                },
            ]
            .into(),
            deployments: deployments.into(),
            ..Routes::EMPTY
        };
        assert_eq!(
            routes_table(&routes, &|name| name == "MY_KEY"),
            "gpt-4o (also gpt-4)\n\
             \x20 openai/gpt-4o  https://api.openai.com/v1       500 rpm, 200000 tpm  \
             $2.50 in, $10.00 out per million  key in MY_KEY\n\
             \x20 groq/llama     https://api.groq.com/openai/v1                       \
             no price                          LACKS its key: GROQ_API_KEY is not set\n\
             \x20 on failure: demo\n\
             \n\
             demo\n\
             \x20 openai/demo  answers itself  no price  needs no key\n"
        );
        assert_eq!(
            routes_table(&Routes::EMPTY, &|_| false),
            "no model groups\n"
        );
    }
}
