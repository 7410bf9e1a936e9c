//! The endpoints: what they are called, who may call them, what they take.

use std::sync::LazyLock;

use serde_json::Value;

use super::endpoint::{Endpoint, Method, Plain};
use super::field::{Field, Kind};
use super::fields::{
    ALLOWANCE, CUSTOMER, CUSTOMER_FIELDS, CUSTOMERS, DAYS, KEY, KEY_LIST, KEY_NEW, KEY_ROTATE,
    KEY_UPDATE, LIMIT, LOG, MEMBER_LIMITS, MODEL_CHANGE, NOTHING, OF_TEAM, ORGANIZATION,
    ORGANIZATION_FIELDS, PAGES, TEAM, TEAM_FIELDS, TEAM_NEW, USER_NEW, USER_UPDATE, WHICH_MEMBER,
    field,
};
use super::rights::Class;
use super::{
    activity, added, budget, customer, key, model, openapi, organization, spend, team, user, utils,
};

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
        Get "/provider/budgets", Overview, "What providers may spend, and have spent", NOTHING,
            spend::providers;
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

/// The endpoints that tell everybody the same, and need no key.
const OPEN: [(&[&str], &str, Plain); 3] = [
    (&["/openapi.json"], "This document", openapi::document),
    (&["/docs"], "This document as a page", openapi::document),
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
