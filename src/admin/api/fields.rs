//! The fields that endpoints take: those that several have in common, and the long lists.

use super::field::{Field, Kind};

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
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
    field("budget_limits", Kind::BudgetLimits).above(),
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
pub(super) const TEMPORARY: &[Field] = &[
    field("temp_budget_increase", Kind::Money).above(),
    field("temp_budget_expiry", Kind::Time).above(),
];
pub(super) const KEY: &[Field] = &[field("key", Kind::Text).required()];
pub(super) const KEY_UPDATE: &[&[Field]] = &[KEY, KEY_FIELDS, TEMPORARY, ALLOWANCE];
pub(super) const ROTATION: &[Field] = &[
    field("key", Kind::Text),
    field("new_key", Kind::Text),
    field("grace_period", Kind::Period),
    field("new_master_key", Kind::Text).proxy(),
];
pub(super) const KEY_ROTATE: &[&[Field]] = &[ROTATION, KEY_FIELDS, TEMPORARY, ALLOWANCE];
pub(super) const KEY_LIST: &[Field] = &[
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

pub(super) const USER_FIELDS: &[Field] = &[
    field("user_alias", Kind::Text),
    field("user_role", Kind::Role).proxy(),
    field("organization_id", Kind::Text).proxy(),
    field("models", Kind::Words).not_null().above(),
    field("metadata", Kind::Object).above(),
    field("sso_user_id", Kind::Text).above(),
    field("budget_limits", Kind::BudgetLimits).above(),
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
pub(super) const USER_UPDATE: &[&[Field]] = &[
    &[
        field("user_id", Kind::Text),
        // The address is what a mail reaches the user by, and what sign-on knows it by.
        field("user_email", Kind::Text).above(),
    ],
    USER_FIELDS,
    ALLOWANCE,
];

pub(super) const MODEL_CHANGE: &[&[Field]] = &[&[
    field("model_name", Kind::Text),
    field("litellm_params", Kind::Object),
    field("model_info", Kind::Object),
]];

pub(super) const TEAM_FIELDS: &[Field] = &[
    field("team_alias", Kind::Text),
    field("organization_id", Kind::Text).proxy(),
    field("metadata", Kind::Object).above(),
    field("models", Kind::Words).not_null().above(),
    field("model_aliases", Kind::TextMap).above(),
    field("budget_limits", Kind::BudgetLimits).above(),
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
pub(super) const TEAM: &[Field] = &[field("team_id", Kind::Text).required()];
pub(super) const OF_TEAM: &[&[Field]] = &[TEAM];
pub(super) const MEMBER_LIMITS: &[Field] = &[
    field("max_budget_in_team", Kind::Money).above(),
    field("budget_duration", Kind::Period).above(),
    field("budget_id", Kind::Text).above(),
    field("tpm_limit", Kind::Count).above(),
    field("rpm_limit", Kind::Count).above(),
];
pub(super) const WHICH_MEMBER: &[Field] = &[
    field("user_id", Kind::Text),
    field("user_email", Kind::Text),
];

pub(super) const ORGANIZATION_FIELDS: &[Field] = &[
    field("organization_alias", Kind::Text),
    field("budget_id", Kind::Text).above(),
    field("models", Kind::Words).not_null().above(),
    field("metadata", Kind::Object).above(),
    field("spend", Kind::Money).proxy(),
];
pub(super) const ORGANIZATION: &[Field] = &[field("organization_id", Kind::Text).required()];

pub(super) const CUSTOMER_FIELDS: &[Field] = &[
    field("alias", Kind::Text),
    field("blocked", Kind::Bool),
    field("allowed_model_region", Kind::Text),
    field("default_model", Kind::Text),
    field("budget_id", Kind::Text),
];
pub(super) const CUSTOMER: &[Field] = &[field("user_id", Kind::Text).required()];
pub(super) const CUSTOMERS: &[&[Field]] = &[&[field("user_ids", Kind::Words).required()]];

pub(super) const PAGES: &[Field] = &[field("page", Kind::Count), field("page_size", Kind::Count)];
pub(super) const DAYS: &[Field] = &[field("start_date", Kind::Day), field("end_date", Kind::Day)];
pub(super) const LOG: &[Field] = &[
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
pub(super) const LIMIT: &[Field] = &[field("limit", Kind::Count)];
pub(super) const NOTHING: &[&[Field]] = &[];
