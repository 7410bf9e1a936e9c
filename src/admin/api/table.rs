//! The endpoints: what they are called, who may call them, what they take.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use serde_json::Value;

use super::field::{Field, Kind};
use super::rights::Class;
use super::{
    Answer, Ask, activity, added, budget, customer, key, model, organization, spend, team, user,
    utils,
};

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// Its paths; the first names it.
    pub(super) paths: &'static [&'static str],
    pub(super) class: Class,
    pub(super) summary: &'static str,
    /// The fields of its query string, for `GET`; else of its body.
    pub(super) input: &'static [&'static [Field]],
    pub(super) run: fn(Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// Answers without a caller.
    pub(super) plain: Option<Plain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field::new(name, kind)
}

/// What budgets and all who have one have in common.
pub(super) const ALLOWANCE: &[Field] = &[
    field("max_budget", Kind::Money).above(),
    field("soft_budget", Kind::Money).above(),
    field("budget_duration", Kind::Period).above(),
    field("tpm_limit", Kind::Count).above(),
    field("rpm_limit", Kind::Count).above(),
    field("max_parallel_requests", Kind::Count).above(),
    field("model_max_budget", Kind::ModelBudgets).above(),
    field("model_tpm_limit", Kind::Counts).above(),
    field("model_rpm_limit", Kind::Counts).above(),
];

/// What a key can say of itself.
pub(super) const KEY_FIELDS: &[Field] = &[
    field("key_alias", Kind::Text),
    field("duration", Kind::Period).above(),
    field("user_id", Kind::Text),
    field("team_id", Kind::Text),
    field("organization_id", Kind::Text),
    field("project_id", Kind::Text).above(),
    field("agent_id", Kind::Text).above(),
    field("budget_id", Kind::Text).above(),
    field("models", Kind::Words).not_null().above(),
    field("aliases", Kind::TextMap).above(),
    field("config", Kind::Object).above(),
    field("spend", Kind::Money).proxy(),
    field("metadata", Kind::Object).above(),
    field("tags", Kind::Words).above(),
    field("guardrails", Kind::Words).above(),
    field("policies", Kind::Words).above(),
    field("enforced_params", Kind::Words).above(),
    field("permissions", Kind::Object).proxy(),
    field("allowed_cache_controls", Kind::Words).above(),
    field("allowed_routes", Kind::Words).above(),
    field("key_type", Kind::KeyType).above(),
    field("object_permission", Kind::Object).above(),
    field("router_settings", Kind::Object).above(),
    field("tpm_limit_type", Kind::Text).above(),
    field("rpm_limit_type", Kind::Text).above(),
    field("blocked", Kind::Bool).above(),
    field("auto_rotate", Kind::Bool),
    field("rotation_interval", Kind::Period),
    field("send_invite_email", Kind::Bool),
];

pub(super) const KEY_NEW: &[&[Field]] = &[&[field("key", Kind::Text)], KEY_FIELDS, ALLOWANCE];
const TEMPORARY: &[Field] = &[
    field("temp_budget_increase", Kind::Money).above(),
    field("temp_budget_expiry", Kind::Time).above(),
];
const KEY: &[Field] = &[field("key", Kind::Text).required()];
pub(super) const KEY_UPDATE: &[&[Field]] = &[KEY, KEY_FIELDS, TEMPORARY, ALLOWANCE];
const ROTATION: &[Field] = &[
    field("key", Kind::Text),
    field("new_key", Kind::Text),
    field("grace_period", Kind::Period),
    field("new_master_key", Kind::Text).proxy(),
];
const KEY_ROTATE: &[&[Field]] = &[ROTATION, KEY_FIELDS, TEMPORARY, ALLOWANCE];
const KEY_LIST: &[Field] = &[
    field("page", Kind::Count),
    field("size", Kind::Count),
    field("user_id", Kind::Text),
    field("team_id", Kind::Text),
    field("organization_id", Kind::Text),
    field("key_hash", Kind::Text),
    field("key_alias", Kind::Text),
    field("search", Kind::Text),
    field("return_full_object", Kind::Bool),
    field("sort_order", Kind::Text),
];

const USER_FIELDS: &[Field] = &[
    field("user_alias", Kind::Text),
    field("user_role", Kind::Role).proxy(),
    field("organization_id", Kind::Text).proxy(),
    field("models", Kind::Words).not_null().above(),
    field("metadata", Kind::Object).above(),
    field("sso_user_id", Kind::Text).above(),
    field("spend", Kind::Money).proxy(),
];
pub(super) const USER_NEW: &[&[Field]] = &[
    &[
        field("user_id", Kind::Text),
        field("user_email", Kind::Text),
        field("teams", Kind::Words),
        field("team_id", Kind::Text),
        field("organizations", Kind::Words),
        field("auto_create_key", Kind::Bool),
        field("send_invite_email", Kind::Bool),
        // The rest is the key's.
        field("key_alias", Kind::Text),
        field("duration", Kind::Period),
        field("aliases", Kind::TextMap),
        field("config", Kind::Object),
        field("permissions", Kind::Object).proxy(),
        field("allowed_cache_controls", Kind::Words),
        field("guardrails", Kind::Words),
        field("blocked", Kind::Bool),
    ],
    USER_FIELDS,
    ALLOWANCE,
];
const USER_UPDATE: &[&[Field]] = &[
    &[
        field("user_id", Kind::Text),
        // The address is what a mail reaches the user by, and what sign-on knows it by.
        field("user_email", Kind::Text).above(),
    ],
    USER_FIELDS,
    ALLOWANCE,
];

const MODEL_CHANGE: &[&[Field]] = &[&[
    field("model_name", Kind::Text),
    field("litellm_params", Kind::Object),
    field("model_info", Kind::Object),
]];

const TEAM_FIELDS: &[Field] = &[
    field("team_alias", Kind::Text),
    field("organization_id", Kind::Text).proxy(),
    field("metadata", Kind::Object).above(),
    field("models", Kind::Words).not_null().above(),
    field("model_aliases", Kind::TextMap).above(),
    field("model_spend_map", Kind::MoneyMap).above(),
    field("tags", Kind::Words).above(),
    field("guardrails", Kind::Words).above(),
    field("blocked", Kind::Bool).above(),
    field("team_member_budget", Kind::Money).above(),
    field("team_member_budget_duration", Kind::Period).above(),
    field("team_member_rpm_limit", Kind::Count).above(),
    field("team_member_tpm_limit", Kind::Count).above(),
    field("team_member_key_duration", Kind::Period).above(),
    field("team_member_permissions", Kind::Words),
    field("object_permission", Kind::Object).above(),
    field("router_settings", Kind::Object).above(),
    field("spend", Kind::Money).proxy(),
];
pub(super) const TEAM_NEW: &[&[Field]] = &[
    &[
        field("team_id", Kind::Text),
        field("members_with_roles", Kind::Members),
    ],
    TEAM_FIELDS,
    ALLOWANCE,
];
const TEAM: &[Field] = &[field("team_id", Kind::Text).required()];
const OF_TEAM: &[&[Field]] = &[TEAM];
const MEMBER_LIMITS: &[Field] = &[
    field("max_budget_in_team", Kind::Money).above(),
    field("budget_duration", Kind::Period).above(),
    field("budget_id", Kind::Text).above(),
    field("tpm_limit", Kind::Count).above(),
    field("rpm_limit", Kind::Count).above(),
];
const WHICH_MEMBER: &[Field] = &[
    field("user_id", Kind::Text),
    field("user_email", Kind::Text),
];

const ORGANIZATION_FIELDS: &[Field] = &[
    field("organization_alias", Kind::Text),
    field("budget_id", Kind::Text).above(),
    field("models", Kind::Words).not_null().above(),
    field("metadata", Kind::Object).above(),
    field("spend", Kind::Money).proxy(),
];
const ORGANIZATION: &[Field] = &[field("organization_id", Kind::Text).required()];

const CUSTOMER_FIELDS: &[Field] = &[
    field("alias", Kind::Text),
    field("blocked", Kind::Bool),
    field("allowed_model_region", Kind::Text),
    field("default_model", Kind::Text),
    field("budget_id", Kind::Text),
];
const CUSTOMER: &[Field] = &[field("user_id", Kind::Text).required()];
const CUSTOMERS: &[&[Field]] = &[&[field("user_ids", Kind::Words).required()]];

const PAGES: &[Field] = &[field("page", Kind::Count), field("page_size", Kind::Count)];
const DAYS: &[Field] = &[field("start_date", Kind::Day), field("end_date", Kind::Day)];
const LOG: &[Field] = &[
    field("api_key", Kind::Text),
    field("user_id", Kind::Text),
    field("team_id", Kind::Text),
    field("end_user", Kind::Text),
    field("request_id", Kind::Text),
    field("model", Kind::Text),
    field("session_id", Kind::Text),
    field("status_filter", Kind::Text),
    field("min_spend", Kind::Money),
    field("max_spend", Kind::Money),
];
const LIMIT: &[Field] = &[field("limit", Kind::Count)];
const NOTHING: &[&[Field]] = &[];

macro_rules! endpoints {
    ($($method:ident $($path:literal)+, $class:ident, $summary:literal, $input:expr, $run:path;)*) => {
        vec![$(Endpoint {
            method: Method::$method,
            paths: &[$($path),+],
            class: Class::$class,
            summary: $summary,
            input: const { $input },
            run: |ask| Box::pin($run(ask)),
            plain: None,
        }),*]
    };
}

/// Every endpoint.
pub(super) static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    let mut endpoints = endpoints! {
        Post "/key/generate", Keys, "Make a key", KEY_NEW, key::generate;
        Post "/key/service-account/generate", Teams, "Make a key of a team that is nobody's",
            KEY_NEW, key::service_account;
        Post "/key/update", Keys, "Change a key", KEY_UPDATE, key::update;
        Post "/key/bulk_update", Proxy, "Change several keys, each on its own",
            &[&[field("keys", Kind::Objects).required()]], key::bulk_update;
        Post "/key/delete", Keys, "Delete keys, by themselves or by alias",
            &[&[field("keys", Kind::Words), field("key_aliases", Kind::Words)]], key::delete;
        Get "/key/info", Own, "Look at a key; at the caller's own without one",
            &[&[field("key", Kind::Text)]], key::info;
        Post "/v2/key/info", Own, "Look at several keys",
            &[&[field("keys", Kind::Words).required()]], key::info_of_several;
        Get "/key/list", Own, "List keys", &[KEY_LIST], key::list;
        Get "/key/aliases", Own, "List the aliases of keys", &[KEY_LIST], key::aliases;
        Post "/key/regenerate" "/key/{key}/regenerate", Keys,
            "Give a key a new secret; the old one works for the grace period",
            KEY_ROTATE, key::regenerate;
        Post "/key/block", Teams, "Block a key", &[KEY], key::block;
        Post "/key/unblock", Teams, "Unblock a key", &[KEY], key::unblock;
        Post "/key/health", Own, "Say that the caller's key is good", NOTHING, key::health;
        Post "/key/{key}/reset_spend", Teams, "Set what a key has spent in its running window",
            &[&[field("reset_to", Kind::Money).required()]], key::reset_spend;

        Post "/user/new", Organizations, "Make a user, and a key along with it", USER_NEW,
            user::new;
        Post "/user/update", Keys, "Change a user", USER_UPDATE, user::update;
        Post "/user/delete", Proxy, "Delete users and their keys",
            &[&[field("user_ids", Kind::Words).required()]], user::delete;
        Get "/user/info", Own, "Look at a user, the user's keys and teams",
            &[&[field("user_id", Kind::Text)]], user::info;
        Get "/v2/user/info", Own, "Look at a user alone", &[&[field("user_id", Kind::Text)]],
            user::record;
        Get "/user/list", Overview, "List users",
            &[PAGES, &[field("user_ids", Kind::Text), field("user_email", Kind::Text),
                field("organization_id", Kind::Text)]], user::list;
        Get "/user/available_roles", Own, "List the roles", NOTHING, user::roles;
        Get "/user/daily/activity", Own, "Spend, tokens and requests by day",
            &[DAYS, PAGES, &[field("user_id", Kind::Text)]], activity::of_user;

        Post "/team/new", Teams, "Make a team", TEAM_NEW, team::new;
        Post "/team/update", Teams, "Change a team", &[TEAM, TEAM_FIELDS, ALLOWANCE], team::update;
        Post "/team/delete", Teams, "Delete teams and their keys",
            &[&[field("team_ids", Kind::Words).required()]], team::delete;
        Get "/team/info", Own, "Look at a team, its keys and members", OF_TEAM, team::info;
        Get "/team/list", Own, "List teams",
            &[&[field("user_id", Kind::Text), field("organization_id", Kind::Text)]], team::list;
        Get "/v2/team/list", Own, "List teams by pages",
            &[PAGES, &[field("user_id", Kind::Text), field("organization_id", Kind::Text),
                field("team_id", Kind::Text), field("team_alias", Kind::Text)]], team::list_paged;
        Post "/team/block", Proxy, "Block a team", OF_TEAM, team::block;
        Post "/team/unblock", Proxy, "Unblock a team", OF_TEAM, team::unblock;
        Post "/team/member_add", Teams, "Let users into a team",
            &[TEAM, &[field("member", Kind::Members).required()], MEMBER_LIMITS], team::member_add;
        Post "/team/bulk_member_add", Teams, "Let users into a team",
            &[TEAM, &[field("members", Kind::Members).required()], MEMBER_LIMITS],
            team::member_add;
        Post "/team/member_update", Teams, "Change a member's role or limits",
            &[TEAM, WHICH_MEMBER, &[field("role", Kind::MemberRole)], MEMBER_LIMITS],
            team::member_update;
        Post "/team/member_delete", Teams, "End a user's place in a team",
            &[TEAM, WHICH_MEMBER], team::member_delete;
        Post "/team/model/add", Teams, "Let a team ask for more models",
            &[TEAM, &[field("models", Kind::Words).required().above()]], team::model_add;
        Post "/team/model/delete", Teams, "Let a team ask for fewer models",
            &[TEAM, &[field("models", Kind::Words).required().above()]], team::model_delete;
        Get "/team/available", Own, "List the teams that anybody may join", NOTHING,
            team::available;
        Get "/team/permissions_list", Own, "List what a team's members may do with its keys",
            OF_TEAM, team::permissions;
        Post "/team/permissions_update", Teams, "Change what a team's members may do with its keys",
            &[TEAM, &[field("team_member_permissions", Kind::Words).required()]],
            team::set_permissions;
        Get "/team/daily/activity", Own, "Spend, tokens and requests of a team by day",
            &[DAYS, PAGES, &[field("team_id", Kind::Text), field("team_ids", Kind::Text)]],
            activity::of_team;

        Post "/organization/new", Proxy, "Make an organization",
            &[&[field("organization_id", Kind::Text)], ORGANIZATION_FIELDS, ALLOWANCE],
            organization::new;
        Patch "/organization/update", Organizations, "Change an organization",
            &[ORGANIZATION, ORGANIZATION_FIELDS, ALLOWANCE], organization::update;
        Delete "/organization/delete", Proxy, "Delete organizations without teams",
            &[&[field("organization_ids", Kind::Words).required()]], organization::delete;
        Get "/organization/info", Own, "Look at an organization", &[ORGANIZATION],
            organization::info;
        Get "/organization/list", Own, "List organizations",
            &[&[field("org_id", Kind::Text), field("org_alias", Kind::Text)]], organization::list;
        Post "/organization/member_add", Organizations, "Let users into an organization",
            &[ORGANIZATION, &[field("member", Kind::Places), field("role", Kind::Role)],
                WHICH_MEMBER], organization::member_add;
        Patch "/organization/member_update", Organizations, "Change a member's role",
            &[ORGANIZATION, WHICH_MEMBER, &[field("role", Kind::Role)]],
            organization::member_update;
        Delete "/organization/member_delete", Organizations, "End a user's place",
            &[ORGANIZATION, WHICH_MEMBER], organization::member_delete;

        Post "/customer/new" "/end_user/new", Proxy, "Make a customer",
            &[CUSTOMER, CUSTOMER_FIELDS, ALLOWANCE], customer::new;
        Post "/customer/update" "/end_user/update", Proxy, "Change a customer",
            &[CUSTOMER, CUSTOMER_FIELDS, ALLOWANCE], customer::update;
        Post "/customer/delete" "/end_user/delete", Proxy, "Delete customers", CUSTOMERS,
            customer::delete;
        Get "/customer/info" "/end_user/info", Overview, "Look at a customer",
            &[&[field("end_user_id", Kind::Text).required()]], customer::info;
        Get "/customer/list" "/end_user/list", Overview, "List customers", NOTHING, customer::list;
        Post "/customer/block" "/end_user/block", Proxy, "Block customers", CUSTOMERS,
            customer::block;
        Post "/customer/unblock" "/end_user/unblock", Proxy, "Unblock customers", CUSTOMERS,
            customer::unblock;

        Post "/budget/new", Proxy, "Make a budget",
            &[&[field("budget_id", Kind::Text)], ALLOWANCE], budget::new;
        Post "/budget/update", Proxy, "Change a budget",
            &[&[field("budget_id", Kind::Text).required()], ALLOWANCE], budget::update;
        Post "/budget/info", Overview, "Look at budgets",
            &[&[field("budgets", Kind::Words).required()]], budget::info;
        Get "/budget/list", Overview, "List budgets", NOTHING, budget::list;
        Get "/budget/settings", Overview, "Look at a budget's fields",
            &[&[field("budget_id", Kind::Text).required()]], budget::settings;
        Post "/budget/delete", Proxy, "Delete a budget",
            &[&[field("id", Kind::Text).required()]], budget::delete;

        Post "/model/new", Proxy, "Add a model",
            &[&[field("model_name", Kind::Text).required(),
                field("litellm_params", Kind::Object).required(),
                field("model_info", Kind::Object)]], added::new;
        Post "/model/update", Proxy, "Change a model that was added", MODEL_CHANGE, added::update;
        Patch "/model/{id}/update", Proxy, "Change a model that was added", MODEL_CHANGE,
            added::update;
        Post "/model/delete", Proxy, "Delete a model that was added",
            &[&[field("id", Kind::Text).required()]], added::delete;
        Get "/model/info" "/v1/model/info", Own, "List deployments",
            &[&[field("litellm_model_id", Kind::Text)]], model::info;
        Get "/v2/model/info", Own, "List deployments by pages",
            &[&[field("modelId", Kind::Text), field("model", Kind::Text),
                field("page", Kind::Count), field("size", Kind::Count)]], model::info_paged;
        Get "/model_group/info", Own, "List model groups",
            &[&[field("model_group", Kind::Text)]], model::groups;

        Get "/spend/logs", Own, "Rows of the spend log, or sums of its days",
            &[LOG, DAYS, LIMIT, &[field("offset", Kind::Count), field("summarize", Kind::Bool)]],
            spend::logs;
        Get "/spend/logs/v2" "/spend/logs/ui" "/spend/logs/session/ui", Own,
            "Rows of the spend log by pages", &[LOG, DAYS, PAGES], spend::logs_paged;
        Get "/spend/keys", Overview, "The keys that spent most", &[LIMIT, DAYS], spend::keys;
        Get "/spend/users", Overview, "The users that spent most",
            &[LIMIT, DAYS, &[field("user_id", Kind::Text)]], spend::users;
        Get "/spend/tags" "/global/spend/tags", Overview, "Spend by tag", &[DAYS], spend::tags;
        Post "/spend/calculate", Own, "What a prompt or an answer costs",
            &[&[field("model", Kind::Text), field("messages", Kind::Any),
                field("prompt", Kind::Any), field("completion_response", Kind::Object)]],
            utils::calculate;
        Get "/global/spend", Overview, "The proxy's spend and budget", NOTHING, spend::global;
        Post "/global/spend/reset", Proxy, "Let every running window begin with nothing", NOTHING,
            spend::reset;
        Get "/global/spend/logs", Overview, "Spend by day",
            &[DAYS, &[field("api_key", Kind::Text)]], spend::global_logs;
        Get "/global/spend/keys", Overview, "Spend by key", &[LIMIT, DAYS], spend::global_keys;
        Get "/global/spend/teams", Overview, "Spend by team", &[LIMIT, DAYS], spend::global_teams;
        Get "/global/spend/models", Overview, "Spend by model group", &[LIMIT, DAYS],
            spend::global_models;
        Get "/global/spend/provider", Overview, "Spend by provider", &[LIMIT, DAYS],
            spend::global_providers;
        Get "/global/spend/end_users", Overview, "Spend by customer", &[LIMIT, DAYS],
            spend::global_end_users;
        Post "/global/spend/end_users", Overview, "Spend by customer", &[LIMIT, DAYS],
            spend::global_end_users;
        Get "/global/spend/report", Overview, "Spend by day and team, customer, key or user",
            &[DAYS, &[field("group_by", Kind::Text), field("api_key", Kind::Text),
                field("internal_user_id", Kind::Text), field("team_id", Kind::Text),
                field("customer_id", Kind::Text)]], spend::report;
        Get "/global/activity", Overview, "Requests and tokens by day", &[DAYS], activity::global;
        Get "/global/activity/model", Overview, "Requests and tokens by day and model", &[DAYS],
            activity::global_models;
        Get "/global/activity/exceptions", Overview, "Requests that got no answer, by day",
            &[DAYS, &[field("model_group", Kind::Text)]], activity::global_exceptions;
        Get "/global/spend/all_tag_names", Overview, "List the tags that were spent for", NOTHING,
            spend::tag_names;
        Get "/organization/daily/activity", Overview,
            "Spend, tokens and requests of organizations by day",
            &[DAYS, PAGES, &[field("organization_ids", Kind::Text)]], activity::of_organization;
        Get "/customer/daily/activity" "/end_user/daily/activity", Overview,
            "Spend, tokens and requests of customers by day",
            &[DAYS, PAGES, &[field("end_user_ids", Kind::Text)]], activity::of_customer;
        Get "/tag/daily/activity", Overview, "Spend, tokens and requests of tags by day",
            &[DAYS, PAGES, &[field("tags", Kind::Text)]], activity::of_tag;

        Post "/utils/token_counter", Own, "Count the tokens of a prompt",
            &[&[field("model", Kind::Text).required(), field("prompt", Kind::Any),
                field("messages", Kind::Any), field("contents", Kind::Any)]],
            utils::token_counter;
        Get "/utils/supported_openai_params", Own, "List the parameters that a model takes",
            &[&[field("model", Kind::Text).required()]], utils::supported_params;
        Get "/audit", Overview, "List what was changed, and by whom", &[PAGES],
            organization::audit;
    };
    endpoints.extend(OPEN.iter().map(|(paths, summary, plain)| Endpoint {
        method: Method::Get,
        paths,
        class: Class::Anybody,
        summary,
        input: NOTHING,
        run: |_| Box::pin(async { Ok(Value::Null) }),
        plain: Some(*plain),
    }));
    endpoints
});

/// What an endpoint answers that tells everybody the same.
type Plain = fn() -> Value;

/// The endpoints that tell everybody the same, and need no key.
const OPEN: [(&[&str], &str, Plain); 3] = [
    (
        &["/openapi.json"],
        "This document",
        super::openapi::document,
    ),
    (
        &["/docs"],
        "This document as a page",
        super::openapi::document,
    ),
    (&["/routes"], "List the paths", utils::routes),
];

/// Whether a path tells everybody the same, and needs no key.
pub(super) fn open(path: &str) -> bool {
    OPEN.iter().any(|(paths, ..)| paths.contains(&path))
}

/// The fields of the endpoint that is named so.
pub(super) fn fields_of(action: &str) -> impl Iterator<Item = &'static Field> {
    let endpoint = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.paths[0] == action);
    endpoint
        .into_iter()
        .flat_map(|endpoint| endpoint.input.iter().copied().flatten())
}
