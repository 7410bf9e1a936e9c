//! Where a call goes when its group has failed.

use std::collections::VecDeque;
use std::sync::Arc;

use pointsman_routes::table::Target;

use super::class::Class;
use crate::call::{Call, Controls, Hop};

/// Most fallbacks that a request may ask for, unless the file itself has more.
const MOST_FALLBACKS: u32 = 16;

/// The groups that may stand in for another, each once.
#[derive(Clone, Debug)]
pub struct Chain {
    /// To be tried, the next one first.
    ahead: VecDeque<Hop>,
    /// Tried.
    behind: Vec<(Target, Option<Arc<str>>)>,
    /// How many more may be tried.
    left: u32,
    /// How many may be tried in all.
    most: u32,
}

impl Chain {
    /// The chain of a call: the fallbacks, which end in the last resorts. What the caller brings
    /// stands in place of what the file says.
    pub fn of(call: &Call) -> Self {
        let controls = call.controls.as_deref();
        let router = &call.live.routes().router;
        let wanted = controls.and_then(|controls| controls.max_fallbacks);
        let most = match wanted {
            _ if controls.is_some_and(|controls| controls.no_fallbacks) => 0,
            Some(wanted) => wanted.min(router.max_fallbacks.max(MOST_FALLBACKS)),
            None => router.max_fallbacks,
        };
        let mut chain = Self {
            ahead: VecDeque::new(),
            behind: vec![(call.target, pattern(call, call.target, call.name()))],
            left: most,
            most,
        };
        let own = controls.and_then(|controls| controls.fallbacks.as_deref());
        let hops = match (own, call.target) {
            (Some(own), _) => own.to_vec(),
            (None, Target::Group(group)) => {
                let group = &call.live.routes().groups[usize::from(group.0)];
                hops(call, &group.fallbacks)
            }
            // A caller who names a deployment means nobody else, bar the last resorts.
            (None, Target::Deployment(_)) => hops(call, &router.default_fallbacks),
        };
        for hop in hops {
            if !chain.ahead.contains(&hop) && chain.is_new(call, &hop) && may_use(call, &hop) {
                chain.ahead.push_back(hop);
            }
        }
        chain
    }

    /// Whether there is somewhere to go.
    pub fn goes_on(&self) -> bool {
        self.left > 0 && !self.ahead.is_empty()
    }

    /// How many may be tried in all.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// The names of all that is ahead.
    pub fn names(&self) -> Vec<String> {
        self.ahead.iter().map(|hop| hop.name.to_string()).collect()
    }

    /// The next one, after `call` failed because of this class at its group. The group's list for
    /// prompts that are too long, or for refused content, comes before all others then.
    pub fn next(&mut self, call: &Call, class: Option<Class>) -> Option<Hop> {
        for hop in special(call, class).into_iter().rev() {
            if self.is_new(call, &hop) {
                self.ahead.retain(|ahead| *ahead != hop);
                self.ahead.push_front(hop);
            }
        }
        self.left = self.left.checked_sub(1)?;
        let hop = self.ahead.pop_front()?;
        self.behind
            .push((hop.target, pattern(call, hop.target, &hop.name)));
        Some(hop)
    }

    /// Whether it was not tried. With changes of the request it may be tried once more.
    fn is_new(&self, call: &Call, hop: &Hop) -> bool {
        let name = pattern(call, hop.target, &hop.name);
        let tried = |(target, other): &(Target, _)| *target == hop.target && *other == name;
        hop.changes.is_some() || !self.behind.iter().any(tried)
    }
}

/// Whether the class has a list of its own for this call.
pub fn has_special(call: &Call, class: Class) -> bool {
    !special(call, Some(class)).is_empty()
}

/// The list for this class.
fn special(call: &Call, class: Option<Class>) -> Vec<Hop> {
    let mut hops = listed(call, class);
    hops.retain(|hop| may_use(call, hop));
    hops
}

/// Whether the caller may have an answer from there. A fallback opens no model that the key does not.
fn may_use(call: &Call, hop: &Hop) -> bool {
    let models = call.principal.models();
    models.check(&call.live, &hop.name, hop.target).is_ok()
}

fn listed(call: &Call, class: Option<Class>) -> Vec<Hop> {
    let Some(class @ (Class::ContextWindow | Class::ContentPolicy)) = class else {
        return Vec::new();
    };
    let own = |controls: &Controls| match class {
        Class::ContextWindow => controls.context_window.clone(),
        _ => controls.content_policy.clone(),
    };
    if let Some(own) = call.controls.as_deref().and_then(own) {
        return own;
    }
    let Target::Group(group) = call.target else {
        return Vec::new();
    };
    let group = &call.live.routes().groups[usize::from(group.0)];
    hops(
        call,
        match class {
            Class::ContextWindow => &group.context_window_fallbacks,
            _ => &group.content_policy_fallbacks,
        },
    )
}

/// Targets of the file as hops.
fn hops(call: &Call, targets: &[Target]) -> Vec<Hop> {
    let routes = call.live.routes();
    let name = |target: &Target| match target {
        Target::Group(group) => &routes.groups[usize::from(group.0)].name,
        Target::Deployment(id) => {
            let group = call.live.deployment(*id).group;
            &routes.groups[usize::from(group.0)].name
        }
    };
    let hop = |target: &Target| Hop {
        target: *target,
        name: (**name(target)).into(),
        changes: None,
    };
    targets.iter().map(hop).collect()
}

/// The name, where the group is many: one with a `*` in its name.
fn pattern(call: &Call, target: Target, name: &str) -> Option<Arc<str>> {
    let Target::Group(group) = target else {
        return None;
    };
    let mut patterns = call.live.routes().patterns.iter();
    patterns
        .any(|pattern| pattern.group == group)
        .then(|| name.into())
}
