//! What comes of each kind of LiteLLM's accounts. LiteLLM's tables are described by the migrations
//! that ship in its package `litellm-proxy-extras`; columns of other versions are noted, not refused.

use std::collections::BTreeMap;

use pointsman_routes::usd::Usd;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::source::Source;
use crate::account::{
    Allowance, Budget, EndUser, Key, Member, Membership, Organization, Role, Scope, Team, Time,
    User,
};

/// How rows of a kind are found and read.
pub(super) struct Kind<T> {
    /// As the report says it.
    pub(super) name: &'static str,
    /// Without this table there are none.
    pub(super) table: &'static str,
    /// The statement that gives all of them.
    pub(super) rows: fn(&Source) -> String,
    /// The rows of `asked.id` and `asked.part`.
    pub(super) known: &'static str,
    /// What a row is called in notes.
    pub(super) whom: &'static str,
    /// What comes of a row; nothing of one that is left out.
    pub(super) read: fn(&mut Fields<'_>) -> Option<Found<T>>,
    /// Columns that mean nothing here, or nothing that is lost.
    pub(super) meaningless: &'static [&'static str],
}

/// What came of a row.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) record: T,
    /// Whose spend it is, how much, and when its window ends.
    pub(super) spent: Option<(Scope, Usd, Option<Time>)>,
}

/// Keys of sessions in LiteLLM's own user interface.
const SESSIONS: &str = "litellm-dashboard";
/// The user on whom LiteLLM counts what the whole proxy spends.
pub(super) const PROXY: &str = "litellm-proxy-budget";

/// A column of the reusable budget that a row names.
fn of_budget(source: &Source, column: &str) -> String {
    if source.has("LiteLLM_BudgetTable") {
        format!(
            "(SELECT b.{column} FROM \"LiteLLM_BudgetTable\" b WHERE b.budget_id = t.budget_id)"
        )
    } else {
        "NULL".to_owned()
    }
}

/// The servers and stores that a row may use.
fn permission(source: &Source) -> &'static str {
    if source.has("LiteLLM_ObjectPermissionTable") {
        "(SELECT to_jsonb(p) - 'object_permission_id' FROM \"LiteLLM_ObjectPermissionTable\" p
            WHERE p.object_permission_id = t.object_permission_id)"
    } else {
        "NULL"
    }
}

fn role(fields: &mut Fields<'_>, name: &str) -> Option<Role> {
    fields.json(name)
}

/// Noted, not enforced: who moves in should know.
fn object_permission(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let mut permission = fields.object("object_permission");
    permission.retain(|_, value| {
        !value.is_null()
            && *value != Value::Bool(false)
            && value.as_array().is_none_or(|items| !items.is_empty())
    });
    if permission.is_empty() {
        return None;
    }
    fields.lose("object_permission, which is kept but not enforced");
    Some(permission)
}

/// The same.
fn router_settings(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let settings = fields.object("router_settings");
    if settings.is_empty() {
        return None;
    }
    fields.lose("router_settings, which are kept but not enforced");
    Some(settings)
}

pub(super) const BUDGETS: Kind<Budget> = Kind {
    name: "budgets",
    table: "LiteLLM_BudgetTable",
    rows: |_| "SELECT * FROM \"LiteLLM_BudgetTable\"".to_owned(),
    known: "SELECT 1 FROM \"LiteLLM_BudgetTable\" b WHERE b.budget_id = asked.id",
    whom: "budget_id",
    read: |fields| {
        let record = Budget {
            budget_id: fields.text("budget_id")?,
            allowance: fields.allowance(),
            created_by: fields.text("created_by"),
            updated_by: fields.text("updated_by"),
            created_at: fields.time("created_at").unwrap_or_default(),
            updated_at: fields.time("updated_at").unwrap_or_default(),
        };
        Some(Found {
            record,
            spent: None,
        })
    },
    meaningless: &["budget_reset_at"],
};

pub(super) const ORGANIZATIONS: Kind<Organization> = Kind {
    name: "organizations",
    table: "LiteLLM_OrganizationTable",
    rows: |source| {
        let members = if source.has("LiteLLM_OrganizationMembership") {
            "(SELECT jsonb_object_agg(m.user_id, coalesce(m.user_role, 'internal_user'))
                FROM \"LiteLLM_OrganizationMembership\" m
                WHERE m.organization_id = t.organization_id)"
        } else {
            "NULL"
        };
        format!(
            "SELECT t.*, {} AS budget_reset_at, {members} AS members
            FROM \"LiteLLM_OrganizationTable\" t",
            of_budget(source, "budget_reset_at")
        )
    },
    known: "SELECT 1 FROM \"LiteLLM_OrganizationTable\" o WHERE o.organization_id = asked.id",
    whom: "organization_id",
    read: |fields| {
        let id = fields.text("organization_id")?;
        let given: BTreeMap<String, Value> = fields.json("members").unwrap_or_default();
        let mut members = BTreeMap::new();
        for (user, role) in given {
            match serde_json::from_value(role) {
                Ok(role) => drop(members.insert(user, role)),
                Err(_) => fields.lose("a member's role, which is unknown"),
            }
        }
        let spent = (
            Scope::Organization(id.clone()),
            fields.spend(),
            fields.time("budget_reset_at"),
        );
        let record = Organization {
            organization_id: id,
            organization_alias: fields.text("organization_alias"),
            budget_id: fields.text("budget_id"),
            models: fields.words("models"),
            members,
            metadata: fields.object("metadata"),
            created_by: fields.text("created_by"),
            updated_by: fields.text("updated_by"),
            created_at: fields.time("created_at").unwrap_or_default(),
            updated_at: fields.time("updated_at").unwrap_or_default(),
            ..Organization::default()
        };
        Some(Found {
            record,
            spent: Some(spent),
        })
    },
    meaningless: &["model_spend"],
};

pub(super) const USERS: Kind<User> = Kind {
    name: "users",
    table: "LiteLLM_UserTable",
    rows: |_| format!("SELECT * FROM \"LiteLLM_UserTable\" WHERE user_id <> '{PROXY}'"),
    known: "SELECT 1 FROM \"LiteLLM_UserTable\" u WHERE u.user_id = asked.id",
    whom: "user_id",
    read: |fields| {
        let id = fields.text("user_id")?;
        let mut metadata = fields.object("metadata");
        fields.lift(&mut metadata, &["model_rpm_limit", "model_tpm_limit"]);
        let spent = (
            Scope::User(id.clone()),
            fields.spend(),
            fields.time("budget_reset_at"),
        );
        let record = User {
            user_id: id,
            user_email: fields.text("user_email"),
            user_alias: fields.text("user_alias"),
            user_role: role(fields, "user_role"),
            teams: fields.words("teams"),
            organization_id: fields.text("organization_id"),
            models: fields.words("models"),
            allowance: fields.allowance(),
            metadata,
            sso_user_id: fields.text("sso_user_id"),
            created_at: fields.time("created_at").unwrap_or_default(),
            updated_at: fields.time("updated_at").unwrap_or_default(),
            ..User::default()
        };
        Some(Found {
            record,
            spent: Some(spent),
        })
    },
    meaningless: &[
        "model_spend",
        "team_id",
        "object_permission_id",
        "last_breach_check_at",
        "password_reset_required",
    ],
};

pub(super) const TEAMS: Kind<Team> = Kind {
    name: "teams",
    table: "LiteLLM_TeamTable",
    rows: |source| {
        let aliases = if source.has("LiteLLM_ModelTable") {
            "(SELECT m.aliases FROM \"LiteLLM_ModelTable\" m WHERE m.id = t.model_id)"
        } else {
            "NULL"
        };
        let budget = if source.has("LiteLLM_BudgetTable") {
            "(SELECT to_jsonb(b) FROM \"LiteLLM_BudgetTable\" b
                WHERE b.budget_id = t.metadata->>'team_member_budget_id')"
        } else {
            "NULL"
        };
        format!(
            "SELECT t.*, {aliases} AS model_aliases, {budget} AS member_budget,
                {} AS object_permission FROM \"LiteLLM_TeamTable\" t",
            permission(source)
        )
    },
    known: "SELECT 1 FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = asked.id",
    whom: "team_id",
    read: team,
    meaningless: &[
        "model_spend",
        "model_id",
        "object_permission_id",
        // They say again what `members_with_roles` says.
        "admins",
        "members",
    ],
};

fn team(fields: &mut Fields<'_>) -> Option<Found<Team>> {
    let id = fields.text("team_id")?;
    let mut metadata = fields.object("metadata");
    fields.lift(
        &mut metadata,
        &[
            "model_rpm_limit",
            "model_tpm_limit",
            "tags",
            "guardrails",
            "team_member_key_duration",
        ],
    );
    let given: Vec<Value> = fields.json("members_with_roles").unwrap_or_default();
    let mut members = Vec::new();
    for member in given {
        match serde_json::from_value::<Member>(member) {
            Ok(member) => members.push(member),
            Err(_) => fields.lose("a member, which cannot be read"),
        }
    }
    let of_members: Allowance = fields.json("member_budget").unwrap_or_default();
    if of_members != Allowance::default() {
        metadata.remove("team_member_budget_id");
    }
    let spent = (
        Scope::Team(id.clone()),
        fields.spend(),
        fields.time("budget_reset_at"),
    );
    let record = Team {
        team_id: id,
        team_alias: fields.text("team_alias"),
        organization_id: fields.text("organization_id"),
        members_with_roles: members,
        models: fields.words("models"),
        model_aliases: fields.json("model_aliases").unwrap_or_default(),
        allowance: fields.allowance(),
        blocked: fields.flag("blocked"),
        team_member_budget: of_members.max_budget,
        team_member_budget_duration: of_members.budget_duration,
        team_member_rpm_limit: of_members.rpm_limit,
        team_member_tpm_limit: of_members.tpm_limit,
        team_member_key_duration: fields.period("team_member_key_duration"),
        team_member_permissions: fields.words("team_member_permissions"),
        tags: fields.words("tags"),
        guardrails: fields.words("guardrails"),
        object_permission: object_permission(fields),
        router_settings: router_settings(fields),
        created_at: fields.time("created_at").unwrap_or_default(),
        updated_at: fields.time("updated_at").unwrap_or_default(),
        metadata,
        ..Team::default()
    };
    Some(Found {
        record,
        spent: Some(spent),
    })
}

/// Members stand in their team, and, once they have spent or may spend, in a table of their own.
pub(super) const MEMBERS: Kind<Membership> = Kind {
    name: "team members",
    table: "LiteLLM_TeamMembership",
    rows: |source| {
        format!(
            "SELECT t.*, {} AS budget_reset_at FROM (
                SELECT coalesce(w.team_id, m.team_id) AS team_id,
                    coalesce(w.user_id, m.user_id) AS user_id,
                    m.spend, m.budget_id
                FROM \"LiteLLM_TeamMembership\" m FULL JOIN ({MEMBERS_WITH_ROLES}) w
                    ON w.team_id = m.team_id AND w.user_id = m.user_id
            ) t",
            of_budget(source, "budget_reset_at")
        )
    },
    known: "SELECT 1 FROM \"LiteLLM_TeamMembership\" m
            WHERE m.team_id = asked.id AND m.user_id = asked.part
        UNION ALL SELECT 1 FROM \"LiteLLM_TeamTable\" t
            WHERE t.team_id = asked.id AND jsonb_typeof(t.members_with_roles) = 'array'
                AND t.members_with_roles
                    @> jsonb_build_array(jsonb_build_object('user_id', asked.part))",
    whom: "user_id",
    read: |fields| {
        let (team, user) = (fields.text("team_id")?, fields.text("user_id")?);
        let scope = Scope::Member {
            team: team.clone(),
            user: user.clone(),
        };
        let spent = (scope, fields.spend(), fields.time("budget_reset_at"));
        let record = Membership {
            user_id: user,
            team_id: team,
            budget_id: fields.text("budget_id"),
            ..Membership::default()
        };
        Some(Found {
            record,
            spent: Some(spent),
        })
    },
    meaningless: &[],
};

/// Team and user of everybody whom a team lists.
const MEMBERS_WITH_ROLES: &str = "SELECT DISTINCT t.team_id, e->>'user_id' AS user_id
    FROM \"LiteLLM_TeamTable\" t, jsonb_array_elements(
        CASE jsonb_typeof(t.members_with_roles)
            WHEN 'array' THEN t.members_with_roles ELSE '[]' END) e
    WHERE e->>'user_id' IS NOT NULL";

pub(super) const END_USERS: Kind<EndUser> = Kind {
    name: "end users",
    table: "LiteLLM_EndUserTable",
    rows: |source| {
        format!(
            "SELECT t.*, {} AS budget_reset_at FROM \"LiteLLM_EndUserTable\" t",
            of_budget(source, "budget_reset_at")
        )
    },
    known: "SELECT 1 FROM \"LiteLLM_EndUserTable\" e WHERE e.user_id = asked.id",
    whom: "user_id",
    read: |fields| {
        let id = fields.text("user_id")?;
        let spent = (
            Scope::EndUser(id.clone()),
            fields.spend(),
            fields.time("budget_reset_at"),
        );
        let record = EndUser {
            user_id: id,
            alias: fields.text("alias"),
            blocked: fields.flag("blocked"),
            allowed_model_region: fields.text("allowed_model_region"),
            default_model: fields.text("default_model"),
            budget_id: fields.text("budget_id"),
            ..EndUser::default()
        };
        Some(Found {
            record,
            spent: Some(spent),
        })
    },
    meaningless: &["object_permission_id"],
};

pub(super) const KEYS: Kind<Key> = Kind {
    name: "keys",
    table: "LiteLLM_VerificationToken",
    rows: |source| {
        format!(
            "SELECT t.*, {} AS reset_of_budget, {} AS object_permission,
                row_number() OVER (PARTITION BY t.key_alias ORDER BY t.token) AS alias_number
            FROM \"LiteLLM_VerificationToken\" t
            WHERE t.team_id IS DISTINCT FROM '{SESSIONS}'",
            of_budget(source, "budget_reset_at"),
            permission(source)
        )
    },
    known: "SELECT 1 FROM \"LiteLLM_VerificationToken\" k WHERE k.token = asked.id",
    whom: "token",
    read: key,
    meaningless: &[
        "soft_budget_cooldown",
        "model_spend",
        "last_active",
        "settings_updated_at",
        "object_permission_id",
        // The sum over all windows is the sum over the log here.
        "total_spend",
    ],
};

fn key(fields: &mut Fields<'_>) -> Option<Found<Key>> {
    let token = fields.text("token")?;
    let mut metadata = fields.object("metadata");
    fields.lift(
        &mut metadata,
        &[
            "tags",
            "guardrails",
            "policies",
            "enforced_params",
            "model_rpm_limit",
            "model_tpm_limit",
            "rpm_limit_type",
            "tpm_limit_type",
            "temp_budget_increase",
            "temp_budget_expiry",
        ],
    );
    let reset_of_budget = fields.time("reset_of_budget");
    let spent = (
        Scope::Key(token.clone()),
        fields.spend(),
        fields.time("budget_reset_at").or(reset_of_budget),
    );
    let again = fields
        .count("alias_number")
        .is_some_and(|number| number > 1);
    let key_alias = fields.text("key_alias").map(|alias| {
        if again {
            fields.lose("key_alias, which another key has: this one gets a part of its hash");
            distinct(&alias, &token)
        } else {
            alias
        }
    });
    let record = Key {
        key_name: fields
            .text("key_name")
            .unwrap_or_else(|| "sk-...".to_owned()),
        key_alias,
        user_id: fields.text("user_id"),
        team_id: fields.text("team_id"),
        organization_id: fields.text("organization_id"),
        project_id: fields.text("project_id"),
        agent_id: fields.text("agent_id"),
        budget_id: fields.text("budget_id"),
        models: fields.words("models"),
        aliases: fields.json("aliases").unwrap_or_default(),
        config: fields.object("config"),
        allowance: fields.allowance(),
        temp_budget_increase: fields.dollars("temp_budget_increase"),
        temp_budget_expiry: fields.time("temp_budget_expiry"),
        expires: fields.time("expires"),
        blocked: fields.flag("blocked"),
        tags: fields.words("tags"),
        guardrails: fields.words("guardrails"),
        policies: fields.words("policies"),
        enforced_params: fields.words("enforced_params"),
        permissions: fields.object("permissions"),
        allowed_cache_controls: fields.words("allowed_cache_controls"),
        allowed_routes: fields.words("allowed_routes"),
        key_type: fields.json("key_type").unwrap_or_default(),
        object_permission: object_permission(fields),
        router_settings: router_settings(fields),
        tpm_limit_type: fields.text("tpm_limit_type"),
        rpm_limit_type: fields.text("rpm_limit_type"),
        auto_rotate: fields.flag("auto_rotate"),
        rotation_interval: fields.period("rotation_interval"),
        rotation_count: fields.count("rotation_count").unwrap_or_default(),
        last_rotation_at: fields.time("last_rotation_at"),
        key_rotation_at: fields.time("key_rotation_at"),
        created_by: fields.text("created_by"),
        updated_by: fields.text("updated_by"),
        created_at: fields.time("created_at").unwrap_or_default(),
        updated_at: fields.time("updated_at").unwrap_or_default(),
        token,
        metadata,
        ..Key::default()
    };
    Some(Found {
        record,
        spent: Some(spent),
    })
}

/// An alias that no other key has.
pub(super) fn distinct(alias: &str, token: &str) -> String {
    let part: String = token.chars().take(8).collect();
    format!("{alias}-{part}")
}
