//! Which models a principal may ask for.

use std::collections::HashSet;

use pointsman_routes::table::Target;

use crate::account::Bearer;
use crate::error::Party;
use crate::live::Live;

/// Every model of the file.
const ALL: [&str; 2] = ["all-proxy-models", "*"];
/// Those of the key's team.
const OF_TEAM: &str = "all-team-models";
/// None.
const NONE: &str = "no-default-models";

/// What a key, its team, its user and its organisation allow, each of whom must allow a model.
///
/// A list names groups, aliases, patterns with `*` and access groups. An empty list is no
/// restriction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    lists: Vec<(Party, List)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    exact: HashSet<Box<str>>,
    patterns: Vec<Box<str>>,
}

impl Models {
    /// What the holder of a key may ask for. A user's own list is for keys without a team.
    pub fn of(bearer: &Bearer) -> Self {
        let mut lists = Vec::new();
        let mut add = |party, names: &[String]| {
            let open = names.is_empty()
                || names
                    .iter()
                    .any(|name| ALL.contains(&&**name) || (party == Party::Key && name == OF_TEAM));
            if !open {
                lists.push((party, List::of(names)));
            }
        };
        add(Party::Key, &bearer.key.models);
        match (&bearer.team, &bearer.user) {
            (Some(team), _) => add(Party::Team, &team.models),
            (None, Some(user)) => add(Party::User, &user.models),
            (None, None) => {}
        }
        if let Some(organization) = &bearer.organization {
            add(Party::Organization, &organization.models);
        }
        Self { lists }
    }

    /// Whether a name that stands for `target` may be asked for; else, who does not allow it.
    pub fn check(&self, live: &Live, name: &str, target: Target) -> Result<(), Party> {
        let denies = |(_, list): &&(Party, List)| !list.allows(live, name, target);
        match self.lists.iter().find(denies) {
            None => Ok(()),
            Some((party, _)) => Err(*party),
        }
    }

    /// Whether a model that the file need not name may be asked for by one of these names.
    pub fn check_names(&self, spellings: &[&str]) -> Result<(), Party> {
        let named = |list: &List| {
            let allows = |name: &&str| {
                list.exact.contains(*name)
                    || list.patterns.iter().any(|pattern| fits(pattern, name))
            };
            spellings.iter().any(allows)
        };
        match self.lists.iter().find(|(_, list)| !named(list)) {
            None => Ok(()),
            Some((party, _)) => Err(*party),
        }
    }

    /// Whether every model is allowed.
    pub fn all(&self) -> bool {
        self.lists.is_empty()
    }
}

impl List {
    fn of(names: &[String]) -> Self {
        let mut list = Self::default();
        for name in names.iter().filter(|name| *name != NONE) {
            if name.contains('*') {
                list.patterns.push(name.as_str().into());
            } else {
                list.exact.insert(name.as_str().into());
            }
        }
        list
    }

    fn allows(&self, live: &Live, name: &str, target: Target) -> bool {
        let named = |name: &str| {
            self.exact.contains(name) || self.patterns.iter().any(|pattern| fits(pattern, name))
        };
        if named(name) {
            return true;
        }
        let routes = live.routes();
        let deployment = |id| live.deployment(id);
        let in_access_group = |id| {
            let groups = &deployment(id).access_groups;
            groups.iter().any(|group| self.exact.contains(&**group))
        };
        let group = match target {
            // Who names a deployment asks for a part of its group.
            Target::Deployment(id) if in_access_group(id) => return true,
            Target::Deployment(id) => &routes.groups[usize::from(deployment(id).group.0)],
            Target::Group(group) => &routes.groups[usize::from(group.0)],
        };
        // A group whose name is a pattern is many models, of which a list may name one.
        if !group.name.contains('*') && named(&group.name) {
            return true;
        }
        matches!(target, Target::Group(_))
            && group
                .members
                .iter()
                .any(|member| in_access_group(member.deployment))
    }
}

/// Whether a name is of a pattern's form; `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Key, Organization, Team, User};
    use crate::call::{Route, example};

    const FILE: &str = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/a, api_key: os.environ/KEY}, \
           model_info: {access_groups: [beta]}}\n\
        - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/KEY}}\n\
        - {model_name: 'openai/*', litellm_params: {model: 'openai/*', api_key: os.environ/KEY}}\n\
        router_settings: {model_group_alias: {c: b}}\n";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn allowed(bearer: &Bearer) -> Vec<&'static str> {
        let models = Models::of(bearer);
        let all = ["a", "b", "c", "openai/x", "openai/y"];
        let live = example::call(FILE, Route::Chat, r#"{"model":"a","messages":[]}"#).live;
        let may = |name: &&str| {
            let target = live.table().resolve(name).unwrap().target;
            models.check(&live, name, target).is_ok()
        };
        all.into_iter().filter(may).collect()
    }

    fn key(models: &[&str]) -> Bearer {
        Bearer {
            key: Key {
                models: names(models),
                ..Key::default()
            },
            ..Bearer::default()
        }
    }

    #[test]
    fn a_key_may_ask_for_what_its_list_names() {
        for (list, may) in [
            (&[][..], &["a", "b", "c", "openai/x", "openai/y"][..]),
            (
                &["all-proxy-models"],
                &["a", "b", "c", "openai/x", "openai/y"],
            ),
            (&["a"], &["a"]),
            (&["beta"], &["a"]),
            (&["b"], &["b", "c"]),
            (&["c"], &["c"]),
            (&["openai/*"], &["openai/x", "openai/y"]),
            (&["openai/x"], &["openai/x"]),
            (&["o*/*y", "a"], &["a", "openai/y"]),
            (&["no-default-models"], &[]),
        ] {
            assert_eq!(allowed(&key(list)), may, "{list:?}");
        }
    }

    #[test]
    fn everybody_a_key_answers_to_must_allow_a_model() {
        let team = Team {
            models: names(&["a", "b"]),
            ..Team::default()
        };
        let user = User {
            models: names(&["openai/*"]),
            ..User::default()
        };
        let of_team = Bearer {
            team: Some(team),
            user: Some(user.clone()),
            ..key(&["all-team-models"])
        };
        assert_eq!(allowed(&of_team), ["a", "b", "c"]);
        let of_user = Bearer {
            user: Some(user),
            ..key(&[])
        };
        assert_eq!(allowed(&of_user), ["openai/x", "openai/y"]);
        let organization = Organization {
            models: names(&["a"]),
            ..Organization::default()
        };
        let both = Bearer {
            organization: Some(organization),
            ..of_team
        };
        assert_eq!(allowed(&both), ["a"]);
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fit) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
