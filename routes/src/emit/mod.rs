//! The back end for build scripts: a table as Rust source.
//!
//! What is written reads like what a person would write: constants named after the groups, with the
//! line of the file that each comes from, an enum of the groups, one `match` over the names. It is
//! data only. The same table gives the same bytes.

mod build;
mod code;
mod names;

pub use build::compile;

use std::collections::BTreeSet;

use proc_macro2::{Ident, Literal, Spacing, TokenStream, TokenTree};
use quote::{format_ident, quote};

use self::code::{Code, beyond};
use self::names::Identifiers;
use crate::table::{Deployment, Group, GroupId, Routes, Target};

/// The Rust source of a table; `file` is the name that its comments give for the file.
///
/// It is meant to be a module of its own: see [`include_routes!`](crate::include_routes).
#[must_use]
pub fn source(routes: &Routes, file: &str) -> String {
    let names = GroupNames::of(routes);
    let table = table(routes, file, &names);
    let constants = constants(routes, &names);
    let data: Vec<TokenStream> = std::iter::once(&table).chain(&constants).cloned().collect();
    let mut parts = vec![imports(&data), table];
    parts.extend(model_groups(routes, file, &names));
    parts.push(lookup(routes, file, &names));
    parts.push(quote! {
        /// The table with its lookup, for `Table::compiled`.
        #[allow(dead_code)]
        pub static COMPILED: Compiled = Compiled { routes: &ROUTES, lookup };
    });
    parts.extend(constants);
    let mut text = format!(
        "// Compiled from {}. Change that file, not this one.\n",
        plain(file)
    );
    for part in parts {
        text.push('\n');
        text.push_str(&formatted(part));
    }
    text
}

/// Identifiers of the groups, by position, and of the deployments.
struct GroupNames {
    variants: Vec<Ident>,
    groups: Vec<Ident>,
    deployments: Vec<Ident>,
}

impl GroupNames {
    fn of(routes: &Routes) -> Self {
        let mut variants = Identifiers::without(&["Self"]);
        let mut constants = Identifiers::without(&["ROUTES", "COMPILED"]);
        let variants = routes
            .groups
            .iter()
            .map(|group| format_ident!("{}", variants.variant(&group.name)))
            .collect();
        let groups = routes
            .groups
            .iter()
            .map(|group| format_ident!("{}", constants.constant(&group.name)))
            .collect();
        let deployments = routes
            .deployments
            .iter()
            .map(|one| {
                let group = routes.groups.get(usize::from(one.group.0));
                let group = group.map_or("", |group| group.name.as_ref());
                format_ident!(
                    "{}",
                    constants.constant(&format!("{group} at {}", one.provider.name))
                )
            })
            .collect();
        Self {
            variants,
            groups,
            deployments,
        }
    }
}

fn table(routes: &Routes, file: &str, names: &GroupNames) -> TokenStream {
    let Routes {
        names: known,
        patterns,
        groups,
        deployments,
        router,
        settings,
        general,
        keys,
        guardrails,
        rules,
        environment,
        carried,
    } = routes;
    let mut fields = Vec::new();
    let mut list = |name: &str, empty: bool, code: TokenStream| {
        let name = format_ident!("{name}");
        if !empty {
            fields.push(quote!(#name: #code));
        }
    };
    let (group_names, deployment_names) = (&names.groups, &names.deployments);
    list("names", known.is_empty(), known.code());
    list("patterns", patterns.is_empty(), patterns.code());
    list(
        "groups",
        groups.is_empty(),
        quote!(Borrowed(&[#(#group_names),*])),
    );
    list(
        "deployments",
        deployments.is_empty(),
        quote!(Borrowed(&[#(#deployment_names),*])),
    );
    list("router", *router == Routes::EMPTY.router, router.code());
    list(
        "settings",
        *settings == Routes::EMPTY.settings,
        settings.code(),
    );
    list("general", *general == Routes::EMPTY.general, general.code());
    list("keys", keys.is_empty(), keys.code());
    list("guardrails", guardrails.is_empty(), guardrails.code());
    list("rules", rules.is_empty(), rules.code());
    list("environment", environment.is_empty(), environment.code());
    list("carried", carried.is_empty(), carried.code());
    let all = beyond("Routes", "EMPTY", 12, &fields);
    let doc = format!(" The routing table of `{}`.", plain(file));
    quote! {
        #[doc = #doc]
        pub static ROUTES: Routes = #all;
    }
}

fn model_groups(routes: &Routes, file: &str, names: &GroupNames) -> Vec<TokenStream> {
    let variants = &names.variants;
    let texts = routes
        .groups
        .iter()
        .map(|group| Literal::string(&group.name));
    let docs = routes
        .groups
        .iter()
        .enumerate()
        .map(|(at, group)| format!(" {}.", place(routes, at, group)));
    let ids = (0..variants.len()).map(Literal::usize_unsuffixed);
    let count = Literal::usize_unsuffixed(variants.len());
    let doc = format!(" A model group of `{}`.", plain(file));
    vec![
        quote! {
            #[doc = #doc]
            #[allow(dead_code, clippy::enum_variant_names)]
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum ModelGroup {
                #(#[doc = #docs] #variants,)*
            }
        },
        quote! {
            #[allow(dead_code)]
            impl ModelGroup {
                /// Every group, in the order of the file.
                pub const ALL: [Self; #count] = [#(Self::#variants),*];

                /// The public name.
                pub const fn name(self) -> &'static str {
                    match self {
                        #(Self::#variants => #texts,)*
                    }
                }

                /// Its position in the table.
                pub const fn id(self) -> GroupId {
                    match self {
                        #(Self::#variants => GroupId(#ids),)*
                    }
                }
            }
        },
        quote! {
            impl TryFrom<&str> for ModelGroup {
                type Error = NoSuchGroup;

                /// The group that answers to this name or alias.
                fn try_from(name: &str) -> Result<Self, NoSuchGroup> {
                    match lookup(name) {
                        Some(Target::Group(id)) => {
                            Self::ALL.get(usize::from(id.0)).copied().ok_or(NoSuchGroup)
                        }
                        _ => Err(NoSuchGroup),
                    }
                }
            }
        },
    ]
}

/// One `match` over the bytes of a name: of that the compiler makes a tree of comparisons, which a
/// thousand names hardly slow down, while of texts it makes a row of them.
fn lookup(routes: &Routes, file: &str, names: &GroupNames) -> TokenStream {
    let doc = format!(" What an exact name of `{}` stands for.", plain(file));
    if routes.names.is_empty() {
        return quote! {
            #[doc = #doc]
            pub fn lookup(_name: &str) -> Option<Target> {
                None
            }
        };
    }
    let mut targets: Vec<(Target, Vec<Literal>)> = Vec::new();
    for known in routes.names.iter() {
        let name = Literal::byte_string(known.name.as_bytes());
        match targets
            .iter_mut()
            .find(|(target, _)| *target == known.target)
        {
            Some((_, names)) => names.push(name),
            None => targets.push((known.target, vec![name])),
        }
    }
    let arms = targets.iter().map(|(target, texts)| {
        let target = match target {
            Target::Group(GroupId(id)) => match names.variants.get(usize::from(*id)) {
                Some(variant) => quote!(Target::Group(ModelGroup::#variant.id())),
                None => target.code(),
            },
            Target::Deployment(_) => target.code(),
        };
        quote!(#(#texts)|* => #target)
    });
    quote! {
        #[doc = #doc]
        pub fn lookup(name: &str) -> Option<Target> {
            let target = match name.as_bytes() {
                #(#arms,)*
                _ => return None,
            };
            Some(target)
        }
    }
}

/// A constant for each group, each followed by those of the deployments that its entries gave.
fn constants(routes: &Routes, names: &GroupNames) -> Vec<TokenStream> {
    let mut items = Vec::with_capacity(routes.groups.len() + routes.deployments.len());
    let own = |at: usize| {
        (routes.deployments.iter().zip(&names.deployments))
            .filter(move |(one, _)| usize::from(one.group.0) == at)
    };
    for (at, (group, name)) in routes.groups.iter().zip(&names.groups).enumerate() {
        let doc = format!(" Group {}.", place(routes, at, group));
        let code = group.code();
        items.push(quote! {
            #[doc = #doc]
            const #name: Group = #code;
        });
        items.extend(own(at).map(|(one, name)| deployment(one, name)));
    }
    let orphans = (routes.deployments.iter().zip(&names.deployments))
        .filter(|(one, _)| usize::from(one.group.0) >= routes.groups.len());
    items.extend(orphans.map(|(one, name)| deployment(one, name)));
    items
}

fn deployment(one: &Deployment, name: &Ident) -> TokenStream {
    let doc = format!(" `{}`, line {}.", plain(&one.litellm_model), one.line);
    let code = one.code();
    quote! {
        #[doc = #doc]
        const #name: Deployment = #code;
    }
}

/// A group by its name and the line of its first entry.
fn place(routes: &Routes, at: usize, group: &Group) -> String {
    let line = routes
        .deployments
        .iter()
        .find(|one| usize::from(one.group.0) == at)
        .map(|one| one.line);
    match line {
        Some(line) => format!("`{}`, line {line}", plain(&group.name)),
        None => format!("`{}`", plain(&group.name)),
    }
}

/// A name within a comment: without line breaks and without what would end the code span.
fn plain(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_control() || letter == '`' {
                ' '
            } else {
                letter
            }
        })
        .collect()
}

/// The `use` lines for what the data name.
fn imports(data: &[TokenStream]) -> TokenStream {
    let mut named = BTreeSet::from(["GroupId".to_owned(), "Target".to_owned()]);
    for item in data {
        stand_alone(item.clone(), &mut named);
    }
    let mut take = |name: &str, code: TokenStream| named.remove(name).then_some(code);
    let [borrowed, duration, catalog, money] = [
        take(
            "Borrowed",
            quote!(
                use std::borrow::Cow::Borrowed;
            ),
        ),
        take(
            "Duration",
            quote!(
                use std::time::Duration;
            ),
        ),
        take(
            "catalog",
            quote!(
                use ::pointsman_routes::catalog;
            ),
        ),
        take(
            "Usd",
            quote!(
                use ::pointsman_routes::usd::Usd;
            ),
        ),
    ];
    let is_type = |name: &&String| {
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.contains(|letter: char| letter.is_ascii_lowercase())
            && !matches!(name.as_str(), "Some" | "None")
    };
    let kinds = named
        .iter()
        .filter(is_type)
        .map(|kind| format_ident!("{kind}"));
    quote! {
        #borrowed
        #duration
        #catalog
        use ::pointsman_routes::lookup::{Compiled, NoSuchGroup};
        use ::pointsman_routes::table::{#(#kinds),*};
        #money
    }
}

/// The identifiers that stand on their own, not behind `::`, for those are an enum's variants.
fn stand_alone(tokens: TokenStream, named: &mut BTreeSet<String>) {
    let (mut colon, mut behind) = (false, false);
    for token in tokens {
        let mut next = (false, false);
        match token {
            TokenTree::Ident(ident) => {
                if !behind {
                    named.insert(ident.to_string());
                }
            }
            TokenTree::Group(group) => stand_alone(group.stream(), named),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                next = (punct.spacing() == Spacing::Joint, colon);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        (colon, behind) = next;
    }
}

fn formatted(item: TokenStream) -> String {
    let file = syn::parse2(item).expect("what quote wrote are whole items");
    prettyplease::unparse(&file)
}
