//! The plan while it grows.

use std::borrow::Cow;
use std::collections::HashMap;

use super::models;
use super::read::text;
use crate::catalog;
use crate::lookup::{captures, matches};
use crate::table::{Deployment, DeploymentId, Group, GroupId, Member, Pattern, Target};
use crate::yaml::Mark;

/// The plan while it grows.
pub(super) struct Plan {
    pub(super) groups: Vec<Group>,
    pub(super) deployments: Vec<Deployment>,
    /// Where each deployment's model is written.
    pub(super) places: Vec<Mark>,
    /// Where each group's first name is written.
    pub(super) group_places: Vec<Mark>,
    /// Groups by name.
    pub(super) by_name: HashMap<String, GroupId>,
    /// Deployments by id.
    pub(super) by_id: HashMap<String, DeploymentId>,
    /// Other names of groups: what they stand for, and whether they are hidden.
    pub(super) aliases: HashMap<String, (Target, bool)>,
    /// Groups that consist of one reference, with the group that they refer to.
    pub(super) stands_for: HashMap<GroupId, GroupId>,
    /// Names with `*`, the most specific first.
    pub(super) patterns: Vec<Pattern>,
    /// Groups made from a pattern because the file names one of the names that it matches.
    pub(super) hidden: Vec<GroupId>,
    /// Deployments that may fall back to vectors of another length.
    pub(super) dimension_change: Vec<DeploymentId>,
}

impl Plan {
    pub(super) fn group(&self, id: GroupId) -> &Group {
        &self.groups[usize::from(id.0)]
    }

    pub(super) fn group_mut(&mut self, id: GroupId) -> &mut Group {
        &mut self.groups[usize::from(id.0)]
    }

    pub(super) fn deployment(&self, id: DeploymentId) -> &Deployment {
        &self.deployments[usize::from(id.0)]
    }

    pub(super) fn place(&self, id: DeploymentId) -> Mark {
        self.places[usize::from(id.0)]
    }

    /// The deployments of a target.
    pub(super) fn members(&self, target: Target) -> Vec<&Deployment> {
        match target {
            Target::Group(id) => {
                let members = self.group(id).members.iter();
                members
                    .map(|member| self.deployment(member.deployment))
                    .collect()
            }
            Target::Deployment(id) => vec![self.deployment(id)],
        }
    }

    /// What people call it.
    pub(super) fn name_of(&self, target: Target) -> &str {
        match target {
            Target::Group(id) => &self.group(id).name,
            Target::Deployment(id) => &self.deployment(id).id,
        }
    }

    /// What a name of the file stands for; a name that only a pattern matches gets a group of its
    /// own.
    pub(super) fn find(&mut self, name: &str) -> Option<Target> {
        if let Some((target, _)) = self.aliases.get(name) {
            return Some(*target);
        }
        if let Some(id) = self.by_name.get(name) {
            return Some(Target::Group(*id));
        }
        if let Some(id) = self.by_id.get(name) {
            return Some(Target::Deployment(*id));
        }
        self.concrete(name).map(Target::Group)
    }

    /// Names that a reference could have meant.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter().map(|group| &*group.name);
        groups
            .chain(self.by_id.keys().map(String::as_str))
            .chain(self.aliases.keys().map(String::as_str))
    }

    /// Adds a group without members; `None` if there are too many.
    pub(super) fn add_group(&mut self, name: &str, place: Mark) -> Option<GroupId> {
        let id = GroupId(
            u16::try_from(self.groups.len())
                .ok()
                .filter(|id| *id < u16::MAX)?,
        );
        self.groups.push(Group {
            name: text(name),
            ..Group::EMPTY
        });
        self.group_places.push(place);
        self.by_name.insert(name.to_owned(), id);
        Some(id)
    }

    fn concrete(&mut self, name: &str) -> Option<GroupId> {
        let patterns = &self.patterns;
        let pattern = patterns
            .iter()
            .find(|pattern| matches(&pattern.pattern, name))?
            .clone();
        let source = self.group(pattern.group).clone();
        let captured: Vec<&str> = captures(&pattern.pattern, name).collect();
        let place = self.group_places[usize::from(pattern.group.0)];
        let group = self.add_group(name, place)?;
        let mut members = Vec::new();
        for member in source.members.iter() {
            let id = DeploymentId(
                u16::try_from(self.deployments.len())
                    .ok()
                    .filter(|id| *id < u16::MAX)?,
            );
            let mut deployment = self.deployment(member.deployment).clone();
            deployment.id = text(format!("{}:{name}", deployment.id));
            deployment.group = group;
            deployment.litellm_model = text(fill(&deployment.litellm_model, &captured));
            deployment.model = text(fill(&deployment.model, &captured));
            if let Some(model) = catalog::find(&deployment.model, &deployment.provider.name) {
                models::adopt(&mut deployment, &model);
            }
            self.by_id.insert(deployment.id.to_string(), id);
            self.places.push(self.place(member.deployment));
            self.deployments.push(deployment);
            members.push(Member {
                deployment: id,
                ..member.clone()
            });
        }
        self.group_mut(group).members = Cow::Owned(members);
        self.hidden.push(group);
        Some(group)
    }

    /// More letters outside the stars are more specific, then fewer stars.
    pub(super) fn sort_patterns(&mut self) {
        let mut patterns: Vec<Pattern> = (0u16..)
            .zip(&self.groups)
            .filter(|(_, group)| group.name.contains('*'))
            .map(|(id, group)| Pattern {
                pattern: group.name.clone(),
                group: GroupId(id),
            })
            .collect();
        patterns.sort_by_cached_key(|pattern| {
            let stars = pattern.pattern.matches('*').count();
            (
                std::cmp::Reverse(pattern.pattern.len() - stars),
                stars,
                pattern.pattern.to_string(),
            )
        });
        self.patterns = patterns;
    }
}

fn fill(model: &str, captured: &[&str]) -> String {
    let mut captured = captured.iter();
    let mut pieces = model.split('*');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        filled.push_str(captured.next().copied().unwrap_or("*"));
        filled.push_str(piece);
    }
    filled
}
