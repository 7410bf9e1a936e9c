//! `/team`: users that share models and money.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::caller::{DEFAULT_PERMISSIONS, MASTER};
use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, defaults, fields, secret, view};
use crate::account::{Key, Member, MemberRole, Membership, Organization, Scope, Team, Time, User};
use crate::store::{Fault, Listing, Order, Work};

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("Team not found, passed team_id={id}."))
}

/// The team of an id, held for a change, if the caller stands above it.
async fn held(ask: &Ask, work: &mut Work, id: &str) -> Result<Team, Refusal> {
    let team = work.get::<Team>(id).await?.ok_or_else(|| not_found(id))?;
    if !ask.caller.manages_team(id, team.organization_id.as_deref()) {
        return Err(Refusal::forbidden(&format!(
            "Call not allowed. User not proxy admin OR team admin. team_id={id}, your role={}",
            ask.caller.role_word()
        )));
    }
    Ok(team)
}

/// `POST /team/new`.
pub(super) async fn new(mut ask: Ask) -> Answer {
    let live = ask.office.live.load();
    defaults::of_team(&mut ask.form, &live, fields::TEAM_NEW);
    if ask.reach == Reach::Own {
        let organization = ask.form.text("organization_id");
        if !ask.caller.manages_organization(organization) {
            let user = ask.caller.name();
            return Err(Refusal::role("/team/new", ask.caller.role_word(), user));
        }
    }
    if let Some(organization) = ask.form.text("organization_id")
        && ask.store.get::<Organization>(organization).await?.is_none()
    {
        return Err(Refusal::bad(
            "organization_id",
            "there is no such organization",
        ));
    }
    let now = Time::now();
    let mut form = ask.form.clone();
    let members: Vec<Member> = form.value("members_with_roles").unwrap_or_default();
    for other in ["team_id", "members_with_roles", "spend"] {
        form.take(other);
    }
    let id = ask.form.owned("team_id").map_or_else(secret::id, Ok)?;
    let mut team = form.fill(&Team {
        created_at: now,
        updated_at: now,
        ..Team::default()
    })?;
    team.team_id.clone_from(&id);
    let mut work = ask.work().await?;
    work.add(&team).await.map_err(|fault| match fault {
        Fault::Exists => Refusal::bad(
            "team_id",
            &format!("Team id = {id} already exists. Please use a different team id."),
        ),
        fault => fault.into(),
    })?;
    // Who makes a team manages it.
    let maker = ask.caller.user_id.clone();
    let named = |member: &Member| member.user_id == maker;
    let maker = maker.clone().filter(|_| !members.iter().any(named));
    let maker = maker.map(|user| Member {
        role: MemberRole::Admin,
        user_id: Some(user),
        user_email: None,
    });
    for member in members.into_iter().chain(maker) {
        enter(&mut work, &id, member, &ask).await?;
    }
    work.commit().await?;
    let team = ask.store.get::<Team>(&id).await?.unwrap_or(team);
    Ok(Value::Object(view::team(&team)))
}

/// `POST /team/update`.
pub(super) async fn update(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &id).await?;
    ask.guard(
        ask.caller
            .manages_organization(before.organization_id.as_deref()),
    )?;
    let mut form = ask.form.clone();
    form.take("team_id");
    let spend = form.money("spend");
    form.take("spend");
    let mut team = form.fill(&before)?;
    team.updated_at = Time::now();
    work.put(&before, &team).await?;
    if let Some(spend) = spend {
        work.set_spend(&Scope::Team(id.clone()), spend).await?;
    }
    work.commit().await?;
    let team = ask.store.get::<Team>(&id).await?.unwrap_or(team);
    let data = view::team(&team);
    let mut answer = data.clone();
    answer.insert("data".to_owned(), Value::Object(data));
    Ok(Value::Object(answer))
}

/// `POST /team/delete`: the teams, their members' places and their keys.
pub(super) async fn delete(ask: Ask) -> Answer {
    let ids = ask.form.words("team_ids").unwrap_or_default();
    let mut work = ask.work().await?;
    for id in &ids {
        let team = held(&ask, &mut work, id).await?;
        let listing = Listing {
            team_id: Some(id.clone()),
            limit: u64::MAX,
            ..Listing::default()
        };
        for key in ask.store.list::<Key>(&listing).await?.records {
            if let Some(key) = work.get::<Key>(&key.token).await? {
                work.remove(&key).await?;
            }
        }
        for member in &team.members_with_roles {
            if let Some(user) = &member.user_id {
                leave(&mut work, id, user).await?;
            }
        }
        if let Some(team) = work.get::<Team>(id).await? {
            work.remove(&team).await?;
        }
    }
    work.commit().await?;
    Ok(json!({"deleted_teams": ids}))
}

async fn seen(ask: &Ask, id: &str) -> Result<Team, Refusal> {
    let team = ask
        .store
        .get::<Team>(id)
        .await?
        .ok_or_else(|| not_found(id))?;
    let of_key = ask
        .caller
        .record
        .as_ref()
        .and_then(|key| key.team_id.as_deref());
    let own = of_key == Some(id)
        || ask.caller.teams.iter().any(|team| team == id)
        || ask.caller.manages_team(id, team.organization_id.as_deref());
    if ask.reach == Reach::Own && !own {
        return Err(Refusal::forbidden("You are not a member of this team"));
    }
    Ok(team)
}

/// `GET /team/info`: with LiteLLM's nesting, and spend and budget at the top, too.
pub(super) async fn info(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let team = seen(&ask, &id).await?;
    let mut listing = Listing {
        team_id: Some(id.clone()),
        limit: 1_000,
        ..Listing::default()
    };
    let memberships = ask.store.list::<Membership>(&listing).await?.records;
    if !ask.caller.sees_all()
        && !ask
            .caller
            .manages_team(&id, team.organization_id.as_deref())
    {
        listing.user_id = ask.caller.user_id.clone().or(Some(String::new()));
    }
    let keys = ask.store.list::<Key>(&listing).await?.records;
    let info = view::team(&team);
    Ok(json!({
        "team_id": id,
        "spend": info["spend"],
        "max_budget": info["max_budget"],
        "remaining": info["remaining"],
        "team_info": info,
        "keys": keys.iter().map(view::listed_key).collect::<Vec<_>>(),
        "team_memberships": memberships.iter().map(view::membership).collect::<Vec<_>>(),
    }))
}

async fn listed(ask: &Ask, listing: &Listing) -> Result<(Vec<Team>, u64), Refusal> {
    if ask.reach == Reach::All {
        let listed = ask.store.list::<Team>(listing).await?;
        return Ok((listed.records, listed.total));
    }
    if let Some(user) = ask.form.text("user_id")
        && !ask.caller.is(Some(user))
    {
        return Err(Refusal::forbidden("You may list your own teams only"));
    }
    let mut ids: BTreeSet<String> = ask.caller.teams.iter().cloned().collect();
    ids.extend(
        ask.caller
            .record
            .as_ref()
            .and_then(|key| key.team_id.clone()),
    );
    let mut teams = ask
        .store
        .several::<Team>(&ids.into_iter().collect::<Vec<_>>())
        .await?;
    for organization in &ask.caller.organizations {
        let of_organization = Listing {
            organization_id: Some(organization.clone()),
            ..listing.clone()
        };
        for team in ask.store.list::<Team>(&of_organization).await?.records {
            if teams.iter().all(|known| known.team_id != team.team_id) {
                teams.push(team);
            }
        }
    }
    let total = teams.len() as u64;
    Ok((teams, total))
}

/// `GET /team/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let listing = Listing {
        organization_id: ask.form.owned("organization_id"),
        order: Order::Oldest,
        limit: u64::MAX,
        ..Listing::default()
    };
    let (mut teams, _) = listed(&ask, &listing).await?;
    if let Some(user) = ask.form.text("user_id") {
        teams.retain(|team| team.member(user).is_some());
    }
    Ok(teams.iter().map(view::team).map(Value::Object).collect())
}

/// `GET /v2/team/list`.
pub(super) async fn list_paged(ask: Ask) -> Answer {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("page_size").unwrap_or(10).clamp(1, 1_000);
    let listing = Listing {
        id: ask.form.owned("team_id"),
        name_part: ask.form.owned("team_alias"),
        organization_id: ask.form.owned("organization_id"),
        offset: page.saturating_sub(1).saturating_mul(size),
        limit: size,
        ..Listing::default()
    };
    let (teams, total) = listed(&ask, &listing).await?;
    Ok(json!({
        "teams": teams.iter().map(view::team).collect::<Vec<_>>(),
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": total.div_ceil(size),
    }))
}

async fn set_blocked(ask: Ask, blocked: bool) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &id).await?;
    let mut team = before.clone();
    team.blocked = blocked;
    team.updated_at = Time::now();
    work.put(&before, &team).await?;
    work.commit().await?;
    Ok(Value::Object(view::team(&team)))
}

/// `POST /team/block`.
pub(super) async fn block(ask: Ask) -> Answer {
    set_blocked(ask, true).await
}

/// `POST /team/unblock`.
pub(super) async fn unblock(ask: Ask) -> Answer {
    set_blocked(ask, false).await
}

/// Makes a user a member of a team that exists; of one that does not, only the user knows.
pub(super) async fn join(
    work: &mut Work,
    id: &str,
    user: &mut User,
    role: MemberRole,
) -> Result<(), Refusal> {
    let before = user.clone();
    if !user.teams.iter().any(|team| team == id) {
        user.teams.push(id.to_owned());
        work.put(&before, user).await?;
    }
    let Some(team) = work.get::<Team>(id).await? else {
        return Ok(());
    };
    if team.member(&user.user_id).is_some() {
        return Ok(());
    }
    let mut with = team.clone();
    with.members_with_roles.push(Member {
        role,
        user_id: Some(user.user_id.clone()),
        user_email: user.user_email.clone(),
    });
    work.put(&team, &with).await?;
    let place = Membership {
        user_id: user.user_id.clone(),
        team_id: id.to_owned(),
        ..Membership::default()
    };
    match work.add(&place).await {
        Ok(()) | Err(Fault::Exists) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// Ends a user's place in a team.
pub(super) async fn leave(work: &mut Work, id: &str, user: &str) -> Result<(), Refusal> {
    if let Some(team) = work.get::<Team>(id).await? {
        let mut without = team.clone();
        without
            .members_with_roles
            .retain(|member| member.user_id.as_deref() != Some(user));
        work.put(&team, &without).await?;
    }
    if let Some(place) = work.get_part::<Membership>(id, user).await? {
        work.remove(&place).await?;
    }
    if let Some(member) = work.get::<User>(user).await? {
        let mut without = member.clone();
        without.teams.retain(|team| team != id);
        work.put(&member, &without).await?;
    }
    Ok(())
}

/// Lets a member in by id or mail address; makes the user if there is none. The holder of the master
/// key is named as a member, but is no user.
async fn enter(
    work: &mut Work,
    id: &str,
    member: Member,
    ask: &Ask,
) -> Result<Option<User>, Refusal> {
    if member.user_id.as_deref() == Some(MASTER) {
        if !ask.caller.admin() {
            return Err(Refusal::forbidden("This id stands for the proxy's admin"));
        }
        if let Some(team) = work.get::<Team>(id).await?
            && team.member(MASTER).is_none()
        {
            let mut with = team.clone();
            with.members_with_roles.push(member);
            work.put(&team, &with).await?;
        }
        return Ok(None);
    }
    let by_email = match (&member.user_id, &member.user_email) {
        (None, Some(email)) => {
            let listing = Listing {
                name: Some(email.clone()),
                limit: 1,
                ..Listing::default()
            };
            ask.store.list::<User>(&listing).await?.records.pop()
        }
        _ => None,
    };
    let user_id = match (member.user_id, by_email) {
        (Some(id), _) => id,
        (None, Some(user)) => user.user_id,
        (None, None) => secret::id()?,
    };
    let mut user = if let Some(user) = work.get::<User>(&user_id).await? {
        user
    } else {
        let now = Time::now();
        let user = User {
            user_id,
            user_email: member.user_email,
            user_role: Some(crate::account::Role::InternalUser),
            created_by: Some(ask.caller.name().to_owned()),
            created_at: now,
            updated_at: now,
            ..User::default()
        };
        work.add(&user).await?;
        user
    };
    join(work, id, &mut user, member.role).await?;
    Ok(Some(user))
}

/// The teams that anybody may join, by `default_internal_user_params.available_teams`.
fn joinable(ask: &Ask) -> Vec<String> {
    let params = defaults::setting(&ask.office.live.load(), "default_internal_user_params");
    let listed = params.as_ref().map(|params| &params["available_teams"]);
    let names = listed.and_then(Value::as_array).into_iter().flatten();
    names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// Whether somebody lets themselves, and nobody else, into a team that is open to all.
fn joins_alone(ask: &Ask, id: &str, members: &[Member]) -> bool {
    let alone = matches!(members, [member]
        if member.role == MemberRole::User && ask.caller.is(member.user_id.as_deref()));
    alone && !ask.caller.manages_team(id, None) && joinable(ask).iter().any(|open| open == id)
}

/// `GET /team/available`: the teams that anybody may join and the caller is not in.
pub(super) async fn available(ask: Ask) -> Answer {
    let ids: Vec<_> = joinable(&ask)
        .into_iter()
        .filter(|id| !ask.caller.teams.contains(id))
        .collect();
    let teams = ask.store.several::<Team>(&ids).await?;
    // What it has and who is in it is its members' to see.
    let shown = teams.iter().map(|team| {
        json!({
            "team_id": team.team_id,
            "team_alias": team.team_alias,
            "models": team.models,
            "members_with_roles": [],
        })
    });
    Ok(shown.collect())
}

/// What a team may let its members do; LiteLLM's list.
const PERMISSIONS: [&str; 11] = [
    "/key/generate",
    "/key/service-account/generate",
    "/key/update",
    "/key/delete",
    "/key/regenerate",
    "/key/info",
    "/key/list",
    "/key/health",
    "/key/block",
    "/key/unblock",
    "/key/{key_id}/reset_spend",
];

/// `GET /team/permissions_list`.
pub(super) async fn permissions(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let team = seen(&ask, &id).await?;
    let given = &team.team_member_permissions;
    let defaults = DEFAULT_PERMISSIONS.map(str::to_owned);
    Ok(json!({
        "team_id": id,
        "team_member_permissions": if given.is_empty() { &defaults[..] } else { given },
        "all_available_permissions": PERMISSIONS,
    }))
}

/// `POST /team/permissions_update`.
pub(super) async fn set_permissions(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let wanted = ask
        .form
        .words("team_member_permissions")
        .unwrap_or_default();
    if let Some(other) = wanted.iter().find(|path| !PERMISSIONS.contains(&&***path)) {
        let message = format!("{other} is none of {}", PERMISSIONS.join(", "));
        return Err(Refusal::bad("team_member_permissions", &message));
    }
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &id).await?;
    let mut team = before.clone();
    team.team_member_permissions = wanted;
    team.updated_at = Time::now();
    work.put(&before, &team).await?;
    work.commit().await?;
    Ok(Value::Object(view::team(&team)))
}

/// `POST /team/member_add` and `/team/bulk_member_add`.
pub(super) async fn member_add(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let members = ask
        .form
        .value("member")
        .or_else(|| ask.form.value("members"));
    let members: Vec<Member> = members.unwrap_or_default();
    if members.is_empty() {
        return Err(Refusal::bad("member", "no member was given"));
    }
    let mut work = ask.work().await?;
    if joins_alone(&ask, &id, &members) {
        // What the team gives to all is what those get who let themselves in.
        ask.guard(false)?;
    } else {
        held(&ask, &mut work, &id).await?;
    }
    let mut users = Vec::new();
    for member in members {
        if let Some(user) = enter(&mut work, &id, member, &ask).await? {
            limit_member(&ask, &mut work, &id, &user.user_id).await?;
            users.push(user);
        }
    }
    work.commit().await?;
    let team = ask
        .store
        .get::<Team>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    let mut memberships = Vec::new();
    for user in &users {
        let place = ask.store.get_part::<Membership>(&id, &user.user_id).await?;
        memberships.extend(place.as_ref().map(view::membership));
    }
    let mut answer = view::team(&team);
    answer.insert(
        "updated_users".to_owned(),
        users.iter().map(view::user).map(Value::Object).collect(),
    );
    answer.insert(
        "updated_team_memberships".to_owned(),
        Value::Array(memberships),
    );
    Ok(Value::Object(answer))
}

/// Gives a member money and rates of its own, if the form says so.
async fn limit_member(ask: &Ask, work: &mut Work, team: &str, user: &str) -> Result<(), Refusal> {
    let Some(before) = work.get_part::<Membership>(team, user).await? else {
        return Ok(());
    };
    let mut place = before.clone();
    let allowance = &mut place.allowance;
    if ask.form.has("max_budget_in_team") {
        allowance.max_budget = ask.form.money("max_budget_in_team");
    }
    if ask.form.has("budget_duration") {
        allowance.budget_duration = ask.form.period("budget_duration");
    }
    if ask.form.has("tpm_limit") {
        allowance.tpm_limit = ask.form.count("tpm_limit");
    }
    if ask.form.has("rpm_limit") {
        allowance.rpm_limit = ask.form.count("rpm_limit");
    }
    if ask.form.has("budget_id") {
        place.budget_id = ask.form.owned("budget_id");
    }
    if place != before {
        work.put(&before, &place).await?;
    }
    Ok(())
}

/// The member that the form means, by id or mail address.
fn meant(ask: &Ask, team: &Team) -> Result<String, Refusal> {
    if let Some(id) = ask.form.text("user_id") {
        if team.member(id).is_some() {
            return Ok(id.to_owned());
        }
    } else if let Some(email) = ask.form.text("user_email") {
        let mut members = team.members_with_roles.iter();
        let member = members.find(|member| member.user_email.as_deref() == Some(email));
        if let Some(id) = member.and_then(|member| member.user_id.clone()) {
            return Ok(id);
        }
    } else {
        return Err(Refusal::bad(
            "user_id",
            "Either user_id or user_email must be provided",
        ));
    }
    Err(Refusal::bad("user_id", "User not found in team"))
}

/// `POST /team/member_update`.
pub(super) async fn member_update(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &id).await?;
    let user = meant(&ask, &before)?;
    // Who manages a team is held to its budget, too.
    if ask.caller.is(Some(&user)) {
        ask.guard(
            ask.caller
                .manages_organization(before.organization_id.as_deref()),
        )?;
    }
    if let Some(role) = ask.form.value::<MemberRole>("role") {
        let mut team = before.clone();
        for member in &mut team.members_with_roles {
            if member.user_id.as_deref() == Some(user.as_str()) {
                member.role = role;
            }
        }
        work.put(&before, &team).await?;
    }
    limit_member(&ask, &mut work, &id, &user).await?;
    work.commit().await?;
    let place = ask
        .store
        .get_part::<Membership>(&id, &user)
        .await?
        .unwrap_or_default();
    Ok(json!({
        "team_id": id,
        "user_id": user,
        "user_email": ask.form.text("user_email"),
        "max_budget_in_team": view::membership(&place)["litellm_budget_table"]["max_budget"],
        "tpm_limit": place.allowance.tpm_limit,
        "rpm_limit": place.allowance.rpm_limit,
    }))
}

/// `POST /team/member_delete`: the member's keys for the team go, too.
pub(super) async fn member_delete(ask: Ask) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let team = held(&ask, &mut work, &id).await?;
    let user = meant(&ask, &team)?;
    let listing = Listing {
        team_id: Some(id.clone()),
        user_id: Some(user.clone()),
        limit: u64::MAX,
        ..Listing::default()
    };
    for key in ask.store.list::<Key>(&listing).await?.records {
        if let Some(key) = work.get::<Key>(&key.token).await? {
            work.remove(&key).await?;
        }
    }
    leave(&mut work, &id, &user).await?;
    work.commit().await?;
    let team = ask
        .store
        .get::<Team>(&id)
        .await?
        .ok_or_else(|| not_found(&id))?;
    Ok(Value::Object(view::team(&team)))
}

async fn change_models(ask: Ask, change: fn(&mut Vec<String>, Vec<String>)) -> Answer {
    let id = ask.form.owned("team_id").unwrap_or_default();
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &id).await?;
    ask.guard(
        ask.caller
            .manages_organization(before.organization_id.as_deref()),
    )?;
    let mut team = before.clone();
    change(
        &mut team.models,
        ask.form.words("models").unwrap_or_default(),
    );
    team.updated_at = Time::now();
    work.put(&before, &team).await?;
    work.commit().await?;
    Ok(Value::Object(view::team(&team)))
}

/// `POST /team/model/add`.
pub(super) async fn model_add(ask: Ask) -> Answer {
    change_models(ask, |models, more| {
        for model in more {
            if !models.contains(&model) {
                models.push(model);
            }
        }
    })
    .await
}

/// `POST /team/model/delete`.
pub(super) async fn model_delete(ask: Ask) -> Answer {
    change_models(ask, |models, less| {
        models.retain(|model| !less.contains(model));
    })
    .await
}
