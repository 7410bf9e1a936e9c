//! What an answer of a group may cost at most, by the dearest of whoever may give it.

use pointsman_routes::table::{Deployment, DeploymentId, Facts, Group, Price, Routes, Target};
use pointsman_routes::usd::Usd;

/// The dearest prices and the largest sizes of some deployments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// A token of the prompt.
    pub input: Usd,
    /// A token of the answer.
    pub output: Usd,
    /// An image that is made.
    pub image: Usd,
    /// A second of sound.
    pub second: Usd,
    /// A character that is said.
    pub character: Usd,
    /// A query.
    pub query: Usd,
    /// Whether it is published how many tokens each image of theirs has.
    pub published_images: bool,
    /// The longest answer; `None` if one of them has none that is known.
    pub output_tokens: Option<u64>,
    /// The longest prompt; `None` if one of them has none that is known.
    pub window: Option<u64>,
}

impl Ceiling {
    /// That of nobody.
    const NOBODY: Self = Self {
        input: Usd::ZERO,
        output: Usd::ZERO,
        image: Usd::ZERO,
        second: Usd::ZERO,
        character: Usd::ZERO,
        query: Usd::ZERO,
        published_images: true,
        output_tokens: Some(0),
        window: Some(0),
    };

    /// That of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let larger = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            image: self.image.max(other.image),
            second: self.second.max(other.second),
            character: self.character.max(other.character),
            query: self.query.max(other.query),
            published_images: self.published_images && other.published_images,
            output_tokens: larger(self.output_tokens, other.output_tokens),
            window: larger(self.window, other.window),
        }
    }

    fn of(deployment: &Deployment) -> Self {
        let names = [Some(&deployment.model), deployment.catalog_name.as_ref()];
        Self {
            published_images: names.into_iter().flatten().any(|name| {
                let bare = name.rsplit('/').next().unwrap_or_default();
                bare.starts_with("gpt-image-1")
            }),
            ..Self::of_model(&deployment.price, &deployment.facts)
        }
    }

    /// That of a model at these prices.
    pub fn of_model(price: &Price, facts: &Facts) -> Self {
        let long = price.long.as_ref();
        let dearest =
            |prices: &[Option<Usd>]| prices.iter().flatten().max().copied().unwrap_or_default();
        Self {
            input: dearest(&[
                price.input,
                price.cache_read,
                price.cache_write,
                price.audio_input,
                price.image_input,
                long.and_then(|long| long.input),
            ]),
            output: dearest(&[
                price.output,
                price.reasoning,
                price.audio_output,
                price.image_output,
                long.and_then(|long| long.output),
            ]),
            image: price.image.unwrap_or_default(),
            second: price.second.unwrap_or_default(),
            character: price.character.unwrap_or_default(),
            query: price.query.unwrap_or_default(),
            published_images: false,
            output_tokens: facts.max_output_tokens,
            window: facts.max_input_tokens,
        }
    }
}

/// The ceilings of all groups of a table, by their place, each with its fallbacks.
pub(super) fn of_groups(routes: &Routes) -> Box<[Ceiling]> {
    let last = routes.router.default_fallbacks.iter();
    let groups = routes.groups.iter();
    groups
        .map(|group| {
            let fallbacks = group.fallbacks.iter();
            let targets = fallbacks
                .chain(group.context_window_fallbacks.iter())
                .chain(group.content_policy_fallbacks.iter())
                .chain(last.clone());
            targets.fold(of_group(routes, group), |all, target| {
                all.and(of_target(routes, *target))
            })
        })
        .collect()
}

/// The ceiling of one deployment, with the fallbacks of those who name one.
pub(super) fn of_deployment(routes: &Routes, id: DeploymentId) -> Ceiling {
    let last = routes.router.default_fallbacks.iter();
    last.fold(of_target(routes, Target::Deployment(id)), |all, target| {
        all.and(of_target(routes, *target))
    })
}

fn of_target(routes: &Routes, target: Target) -> Ceiling {
    match target {
        Target::Group(group) => of_group(routes, &routes.groups[usize::from(group.0)]),
        Target::Deployment(id) => Ceiling::of(&routes.deployments[usize::from(id.0)]),
    }
}

fn of_group(routes: &Routes, group: &Group) -> Ceiling {
    let members = group.members.iter();
    members
        .map(|member| Ceiling::of(&routes.deployments[usize::from(member.deployment.0)]))
        .fold(Ceiling::NOBODY, Ceiling::and)
}
