//! `/organization`: teams and users that share a budget.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, secret, view};
use crate::account::{Member, Organization, Role, Scope, Team, Time, User};
use crate::store::{Listing, Order, Work};

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("Organization not found for organization_id={id}"))
}

async fn held(ask: &Ask, work: &mut Work) -> Result<Organization, Refusal> {
    let id = ask.form.text("organization_id").unwrap_or_default();
    let found = work
        .get::<Organization>(id)
        .await?
        .ok_or_else(|| not_found(id))?;
    if ask.caller.manages_organization(Some(id)) {
        Ok(found)
    } else {
        Err(Refusal::forbidden("You do not manage this organization"))
    }
}

/// `POST /organization/new`.
pub(super) async fn new(ask: Ask) -> Answer {
    let mut form = ask.form.clone();
    form.take("organization_id");
    let spend = form.money("spend");
    form.take("spend");
    let now = Time::now();
    let mut organization = form.fill(&Organization {
        created_by: Some(ask.caller.name().to_owned()),
        updated_by: Some(ask.caller.name().to_owned()),
        created_at: now,
        updated_at: now,
        ..Organization::default()
    })?;
    organization.organization_id = ask
        .form
        .owned("organization_id")
        .map_or_else(secret::id, Ok)?;
    let scope = Scope::Organization(organization.organization_id.clone());
    let mut work = ask.work().await?;
    work.add(&organization).await?;
    if let Some(spend) = spend {
        work.set_spend(&scope, spend).await?;
    }
    work.commit().await?;
    let id = &organization.organization_id;
    let made = ask.store.get::<Organization>(id).await?;
    Ok(Value::Object(view::organization(
        &made.unwrap_or(organization),
    )))
}

/// `PATCH /organization/update`.
pub(super) async fn update(ask: Ask) -> Answer {
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work).await?;
    ask.guard(false)?;
    let mut form = ask.form.clone();
    form.take("spend");
    let mut organization = form.fill(&before)?;
    organization.updated_at = Time::now();
    organization.updated_by = Some(ask.caller.name().to_owned());
    work.put(&before, &organization).await?;
    if let Some(spend) = ask.form.money("spend") {
        let scope = Scope::Organization(before.organization_id.clone());
        work.set_spend(&scope, spend).await?;
    }
    work.commit().await?;
    let changed = ask
        .store
        .get::<Organization>(&before.organization_id)
        .await?;
    Ok(Value::Object(view::organization(
        &changed.unwrap_or(organization),
    )))
}

/// `DELETE /organization/delete`: refused as long as it has teams.
pub(super) async fn delete(ask: Ask) -> Answer {
    let ids = ask.form.words("organization_ids").unwrap_or_default();
    let mut deleted = Vec::new();
    let mut work = ask.work().await?;
    for id in &ids {
        let organization = work
            .get::<Organization>(id)
            .await?
            .ok_or_else(|| not_found(id))?;
        let listing = Listing {
            organization_id: Some(id.clone()),
            limit: 1,
            ..Listing::default()
        };
        if ask.store.list::<Team>(&listing).await?.total > 0 {
            let message = format!("organization {id} has teams; delete or move them first");
            return Err(Refusal::bad("organization_ids", &message));
        }
        work.remove(&organization).await?;
        deleted.push(Value::Object(view::organization(&organization)));
    }
    work.commit().await?;
    Ok(Value::Array(deleted))
}

fn sees(ask: &Ask, organization: &Organization) -> bool {
    let member = |user: &String| organization.members.contains_key(user);
    ask.reach == Reach::All
        || ask
            .caller
            .manages_organization(Some(&organization.organization_id))
        || ask.caller.user_id.as_ref().is_some_and(member)
}

/// `GET /organization/info`, and `POST` for one id.
pub(super) async fn info(ask: Ask) -> Answer {
    let id = ask.form.owned("organization_id").unwrap_or_default();
    let found = ask
        .store
        .get::<Organization>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    if !sees(&ask, &found) {
        return Err(Refusal::forbidden("You are not in this organization"));
    }
    let listing = Listing {
        organization_id: Some(id),
        limit: 1_000,
        order: Order::Oldest,
        ..Listing::default()
    };
    let teams = ask.store.list::<Team>(&listing).await?.records;
    let users = ask.store.list::<User>(&listing).await?.records;
    let mut answer = view::organization(&found);
    answer.insert(
        "teams".to_owned(),
        teams.iter().map(view::team).map(Value::Object).collect(),
    );
    answer.insert(
        "users".to_owned(),
        users.iter().map(view::user).map(Value::Object).collect(),
    );
    Ok(Value::Object(answer))
}

/// `GET /organization/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let listing = Listing {
        id: ask.form.owned("org_id"),
        name_part: ask.form.owned("org_alias"),
        order: Order::Oldest,
        limit: u64::MAX,
        ..Listing::default()
    };
    let found = ask.store.list::<Organization>(&listing).await?.records;
    let seen = found.iter().filter(|organization| sees(&ask, organization));
    Ok(seen.map(view::organization).map(Value::Object).collect())
}

async fn change_members(
    ask: Ask,
    change: impl Fn(&mut Organization, &str, Role) -> Result<(), Refusal>,
) -> Answer {
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work).await?;
    let mut organization = before.clone();
    let given: Vec<Member> = ask.form.value("member").unwrap_or_default();
    let mut users: Vec<String> = given
        .into_iter()
        .filter_map(|member| member.user_id)
        .collect();
    users.extend(ask.form.owned("user_id"));
    if users.is_empty() {
        return Err(Refusal::bad("user_id", "no user_id was given"));
    }
    let role = ask.form.value("role").unwrap_or(Role::InternalUser);
    if matches!(role, Role::ProxyAdmin | Role::ProxyAdminViewer) {
        return Err(Refusal::bad(
            "role",
            "this is no role inside an organization",
        ));
    }
    for user in &users {
        change(&mut organization, user, role)?;
    }
    organization.updated_at = Time::now();
    work.put(&before, &organization).await?;
    work.commit().await?;
    Ok(Value::Object(view::organization(&organization)))
}

/// `POST /organization/member_add`.
pub(super) async fn member_add(ask: Ask) -> Answer {
    change_members(ask, |organization, user, role| {
        organization.members.insert(user.to_owned(), role);
        Ok(())
    })
    .await
}

/// `PATCH /organization/member_update`.
pub(super) async fn member_update(ask: Ask) -> Answer {
    change_members(ask, |organization, user, role| {
        let member = organization.members.get_mut(user);
        *member.ok_or_else(|| Refusal::bad("user_id", "User not found in organization"))? = role;
        Ok(())
    })
    .await
}

/// `DELETE /organization/member_delete`.
pub(super) async fn member_delete(ask: Ask) -> Answer {
    change_members(ask, |organization, user, _| {
        let member = organization.members.remove(user);
        member
            .map(|_| ())
            .ok_or_else(|| Refusal::bad("user_id", "User not found in organization"))
    })
    .await
}

/// `GET /audit`, a way of our own: what was changed, by whom, the newest first.
pub(super) async fn audit(ask: Ask) -> Answer {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("page_size").unwrap_or(50).clamp(1, 1_000);
    let listed = ask
        .store
        .audit(page.saturating_sub(1).saturating_mul(size), size)
        .await?;
    let entries = listed.records.iter().map(|entry| {
        json!({
            "updated_at": entry.at,
            "changed_by": entry.actor,
            "action": entry.action,
            "table_name": entry.kind,
            "object_id": entry.id,
            "before_value": entry.before,
            "updated_values": entry.after,
            "chain": entry.chain,
        })
    });
    Ok(json!({
        "audit_logs": entries.collect::<Vec<_>>(),
        "total": listed.total,
        "page": page,
        "page_size": size,
        "total_pages": listed.total.div_ceil(size),
    }))
}
