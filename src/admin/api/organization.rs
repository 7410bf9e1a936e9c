//! `/organization`: teams and users that share a budget.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, secret, view};
use crate::account::{Organization, Role, Scope, Team, Time, User};
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

/// Makes a user a member of an organisation that exists.
pub(super) async fn join(work: &mut Work, id: &str, user: &mut User) -> Result<(), Refusal> {
    let before = work
        .get::<Organization>(id)
        .await?
        .ok_or_else(|| not_found(id))?;
    let mut organization = before.clone();
    let role = user.user_role.unwrap_or(Role::InternalUser);
    organization
        .members
        .entry(user.user_id.clone())
        .or_insert(role);
    work.put(&before, &organization).await?;
    note_place(work, id, user).await
}

/// Lets the user's record say that there is a place in an organisation.
async fn note_place(work: &mut Work, id: &str, user: &mut User) -> Result<(), Refusal> {
    if user.organizations.iter().any(|known| known == id) {
        return Ok(());
    }
    let before = user.clone();
    user.organizations.push(id.to_owned());
    work.put(&before, user).await?;
    Ok(())
}

/// The users that a form names, by id or mail address, with their roles.
async fn named(ask: &Ask) -> Result<Vec<(String, Role)>, Refusal> {
    let role: Role = ask.form.value("role").unwrap_or(Role::InternalUser);
    let mut users = Vec::new();
    for member in ask.form.value::<Vec<Value>>("member").unwrap_or_default() {
        let role = serde_json::from_value(member["role"].clone()).unwrap_or(role);
        let email = member["user_email"].as_str();
        match (member["user_id"].as_str(), email) {
            (Some(id), _) => users.push((id.to_owned(), role)),
            (None, Some(email)) => users.push((by_email(ask, email).await?, role)),
            (None, None) => {}
        }
    }
    match (ask.form.owned("user_id"), ask.form.text("user_email")) {
        (Some(id), _) => users.push((id, role)),
        (None, Some(email)) => users.push((by_email(ask, email).await?, role)),
        (None, None) => {}
    }
    if users.is_empty() {
        return Err(Refusal::bad("user_id", "no user_id was given"));
    }
    let above = |role: &Role| matches!(role, Role::ProxyAdmin | Role::ProxyAdminViewer);
    if users.iter().any(|(_, role)| above(role)) {
        return Err(Refusal::bad(
            "role",
            "this is no role inside an organization",
        ));
    }
    Ok(users)
}

async fn by_email(ask: &Ask, email: &str) -> Result<String, Refusal> {
    let listing = Listing {
        name: Some(email.to_owned()),
        limit: 1,
        ..Listing::default()
    };
    let found = ask.store.list::<User>(&listing).await?.records.pop();
    let unknown = || Refusal::bad("user_email", "there is no user with this address");
    Ok(found.ok_or_else(unknown)?.user_id)
}

/// What a change of members answers: LiteLLM's members and users, and the organisation.
async fn changed(
    ask: &Ask,
    mut work: Work,
    before: &Organization,
    mut organization: Organization,
    users: &[User],
) -> Answer {
    organization.updated_at = Time::now();
    work.put(before, &organization).await?;
    work.commit().await?;
    let id = &organization.organization_id;
    let place = |user: &User| {
        json!({
            "user_id": user.user_id,
            "organization_id": id,
            "user_role": organization.members.get(&user.user_id),
        })
    };
    let places: Vec<_> = users.iter().map(place).collect();
    let organization = ask.store.get::<Organization>(id).await?;
    let mut answer = view::organization(&organization.unwrap_or_default());
    answer.insert(
        "updated_users".to_owned(),
        users.iter().map(view::user).map(Value::Object).collect(),
    );
    answer.insert(
        "updated_organization_memberships".to_owned(),
        Value::Array(places),
    );
    Ok(Value::Object(answer))
}

/// `POST /organization/member_add`: makes users that are not there yet.
pub(super) async fn member_add(ask: Ask) -> Answer {
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work).await?;
    let mut organization = before.clone();
    let mut users = Vec::new();
    for (id, role) in named(&ask).await? {
        let known = work.get::<User>(&id).await?;
        let mut user = match known {
            Some(user) => user,
            None => new_user(&ask, &mut work, &id, &before.organization_id).await?,
        };
        note_place(&mut work, &before.organization_id, &mut user).await?;
        organization.members.insert(id, role);
        users.push(user);
    }
    changed(&ask, work, &before, organization, &users).await
}

async fn new_user(
    ask: &Ask,
    work: &mut Work,
    id: &str,
    organization: &str,
) -> Result<User, Refusal> {
    let now = Time::now();
    let user = User {
        user_id: id.to_owned(),
        user_role: Some(Role::InternalUser),
        organization_id: Some(organization.to_owned()),
        created_by: Some(ask.caller.name().to_owned()),
        created_at: now,
        updated_at: now,
        ..User::default()
    };
    work.add(&user).await?;
    Ok(user)
}

/// `PATCH /organization/member_update`.
pub(super) async fn member_update(ask: Ask) -> Answer {
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work).await?;
    let mut organization = before.clone();
    let mut users = Vec::new();
    for (id, role) in named(&ask).await? {
        let member = organization.members.get_mut(&id);
        *member.ok_or_else(|| Refusal::bad("user_id", "User not found in organization"))? = role;
        users.extend(work.get::<User>(&id).await?);
    }
    changed(&ask, work, &before, organization, &users).await
}

/// `DELETE /organization/member_delete`.
pub(super) async fn member_delete(ask: Ask) -> Answer {
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work).await?;
    let mut organization = before.clone();
    let mut users = Vec::new();
    for (id, _) in named(&ask).await? {
        if organization.members.remove(&id).is_none() {
            return Err(Refusal::bad("user_id", "User not found in organization"));
        }
        if let Some(mut user) = work.get::<User>(&id).await? {
            let known = user.clone();
            user.organizations
                .retain(|place| *place != before.organization_id);
            work.put(&known, &user).await?;
            users.push(user);
        }
    }
    changed(&ask, work, &before, organization, &users).await
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
