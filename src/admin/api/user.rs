//! `/user`: those who hold keys.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, defaults, fields, key, organization, secret, team, view};
use crate::account::{Accounts, Key, MemberRole, Membership, Role, Scope, Team, Time, User};
use crate::store::{Listing, Order};

/// What LiteLLM calls the whole proxy where it shows it as a user.
const PROXY: &str = "litellm-proxy-budget";

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("User {id} not found"))
}

/// The whole proxy as a user: what it has spent, of which budget.
async fn proxy(ask: &Ask) -> Result<User, Refusal> {
    let spent = ask.store.spent(&[Scope::Proxy]).await?;
    let spent = spent.first().copied().unwrap_or_default();
    let live = ask.office.live.load();
    let budget = live.routes().settings.budget.as_ref();
    let mut user = User {
        user_id: PROXY.to_owned(),
        spend: spent.spend,
        budget_reset_at: spent.resets_at,
        ..User::default()
    };
    user.allowance.max_budget = budget.map(|budget| budget.max);
    Ok(user)
}

/// `POST /user/new`: makes a user, and a key unless `auto_create_key` is false.
pub(super) async fn new(mut ask: Ask) -> Answer {
    if ask.reach == Reach::Own {
        in_own_organization(&ask).await?;
    }
    let live = ask.office.live.load();
    defaults::of_user(&mut ask.form, &live, fields::USER_NEW);
    let mut form = ask.form.clone();
    let auto = form.flag("auto_create_key").unwrap_or(true);
    let mut teams = form.words("teams").unwrap_or_default();
    teams.extend(form.owned("team_id").filter(|team| !teams.contains(team)));
    let organizations = form.words("organizations").unwrap_or_default();
    for other in ["auto_create_key", "teams", "organizations", "spend"] {
        form.take(other);
    }
    let now = Time::now();
    let id = ask.form.owned("user_id").map_or_else(secret::id, Ok)?;
    let user = User {
        created_by: Some(ask.caller.name().to_owned()),
        updated_by: Some(ask.caller.name().to_owned()),
        created_at: now,
        updated_at: now,
        ..User::default()
    };
    form.take("user_id");
    let mut user = form.fill(&user)?;
    user.user_id = id;
    user.user_role = user.user_role.or(Some(Role::InternalUser));
    let mut work = ask.work().await?;
    work.add(&user).await.map_err(|fault| match fault {
        crate::store::Fault::Exists => Refusal::bad(
            "user_id",
            &format!("User with id {} already exists", user.user_id),
        ),
        fault => fault.into(),
    })?;
    for id in &teams {
        team::join(&mut work, id, &mut user, MemberRole::User).await?;
    }
    for id in &organizations {
        organization::join(&mut work, id, &mut user).await?;
    }
    let made = if auto {
        Some(key::for_user(&ask, &mut work, &user.user_id).await?)
    } else {
        None
    };
    if let Some(spend) = ask.form.money("spend") {
        work.set_spend(&Scope::User(user.user_id.clone()), spend)
            .await?;
    }
    work.commit().await?;
    let user = ask.store.get::<User>(&user.user_id).await?.unwrap_or(user);
    let mut answer = view::user(&user);
    answer.insert(
        "key".to_owned(),
        json!(made.as_ref().map(|(secret, _)| secret)),
    );
    answer.insert(
        "token".to_owned(),
        json!(made.as_ref().map(|(_, key)| &key.token)),
    );
    answer.insert(
        "key_name".to_owned(),
        json!(made.as_ref().map(|(_, key)| &key.key_name)),
    );
    let key = made.as_ref().map(|(_, key)| key);
    answer.insert("expires".to_owned(), json!(key.and_then(|key| key.expires)));
    answer.insert("team_id".to_owned(), json!(key.map(|key| &key.team_id)));
    answer.insert("aliases".to_owned(), json!(key.map(|key| &key.aliases)));
    Ok(Value::Object(answer))
}

/// Who manages an organisation makes users in it, in its teams, and with roles below the own.
async fn in_own_organization(ask: &Ask) -> Result<(), Refusal> {
    let form = &ask.form;
    let mut organizations = form.words("organizations").unwrap_or_default();
    organizations.extend(form.owned("organization_id"));
    let foreign = organizations
        .iter()
        .find(|id| !ask.caller.manages_organization(Some(id)));
    if organizations.is_empty() || foreign.is_some() {
        return Err(Refusal::forbidden(&format!(
            "You are not a member of the organization specified in the request body. Passed \
             organization_id: {}",
            foreign.map_or("None", String::as_str)
        )));
    }
    let mut teams = form.words("teams").unwrap_or_default();
    teams.extend(form.owned("team_id"));
    for id in &teams {
        let team = ask.store.get::<Team>(id).await?;
        let organization = team
            .as_ref()
            .and_then(|team| team.organization_id.as_deref());
        if !ask.caller.manages_team(id, organization) {
            return Err(Refusal::forbidden(&format!("You do not manage team={id}")));
        }
    }
    let role: Option<Role> = form.value("user_role");
    let below =
        role.is_none_or(|role| matches!(role, Role::InternalUser | Role::InternalUserViewer));
    if !below || form.get("spend").is_some() || form.get("permissions").is_some() {
        return Err(Refusal::forbidden(
            "You may make internal users only, without spend and without permissions",
        ));
    }
    Ok(())
}

/// `POST /user/update`.
pub(super) async fn update(ask: Ask) -> Answer {
    let id = match (ask.form.owned("user_id"), ask.form.text("user_email")) {
        (Some(id), _) => id,
        (None, Some(email)) => {
            let listing = Listing {
                name: Some(email.to_owned()),
                limit: 1,
                ..Listing::default()
            };
            let found = ask.store.list::<User>(&listing).await?.records.pop();
            found.ok_or_else(|| not_found(email))?.user_id
        }
        (None, None) => return Err(Refusal::bad("user_id", "user_id or user_email is needed")),
    };
    if id == PROXY {
        return update_proxy(&ask).await;
    }
    let mut work = ask.work().await?;
    let before = work.get::<User>(&id).await?.ok_or_else(|| not_found(&id))?;
    let above = ask
        .caller
        .manages_organization(before.organization_id.as_deref());
    if !above && !ask.caller.is(Some(&id)) {
        return Err(Refusal::forbidden("You may change yourself only"));
    }
    let role = before.user_role;
    if !ask.caller.admin() && !ask.caller.is(Some(&id)) && role == Some(Role::ProxyAdmin) {
        return Err(Refusal::forbidden("You may not change a proxy admin"));
    }
    ask.guard(above && !ask.caller.is(Some(&id)))?;
    let mut form = ask.form.clone();
    form.take("user_id");
    form.take("spend");
    let mut user = form.fill(&before)?;
    user.updated_at = Time::now();
    user.updated_by = Some(ask.caller.name().to_owned());
    work.put(&before, &user).await?;
    if let Some(spend) = ask.form.money("spend") {
        work.set_spend(&Scope::User(id.clone()), spend).await?;
    }
    work.commit().await?;
    let user = ask.store.get::<User>(&id).await?.unwrap_or(user);
    Ok(json!({"user_id": id, "data": view::user(&user)}))
}

/// Sets what the whole proxy has spent; its budget stands in the config.
async fn update_proxy(ask: &Ask) -> Answer {
    if !ask.caller.admin() {
        return Err(Refusal::forbidden("You may change yourself only"));
    }
    if ask.form.get("max_budget").is_some() || ask.form.get("budget_duration").is_some() {
        let message = "The budget of the whole proxy is set in the config, as max_budget.";
        return Err(Refusal::bad("max_budget", message));
    }
    if let Some(spend) = ask.form.money("spend") {
        let mut work = ask.work().await?;
        work.set_spend(&Scope::Proxy, spend).await?;
        work.commit().await?;
    }
    Ok(json!({"user_id": PROXY, "data": view::user(&proxy(ask).await?)}))
}

/// `POST /user/delete`: the users, their keys, and their places in teams.
pub(super) async fn delete(ask: Ask) -> Answer {
    let ids = ask.form.words("user_ids").unwrap_or_default();
    let mut work = ask.work().await?;
    for id in &ids {
        let user = work.get::<User>(id).await?.ok_or_else(|| not_found(id))?;
        let listing = Listing {
            user_id: Some(id.clone()),
            limit: u64::MAX,
            ..Listing::default()
        };
        for key in ask.store.list::<Key>(&listing).await?.records {
            if let Some(key) = work.get::<Key>(&key.token).await? {
                work.remove(&key).await?;
            }
        }
        for team in &user.teams {
            team::leave(&mut work, team, id).await?;
        }
        work.remove(&user).await?;
    }
    work.commit().await?;
    Ok(json!(ids.len()))
}

/// The user that is asked for, by the one who may look: the caller's own without an id.
async fn seen(ask: &Ask) -> Result<(String, Option<User>), Refusal> {
    let id = ask
        .form
        .owned("user_id")
        .or_else(|| ask.caller.user_id.clone());
    let id = id.ok_or_else(|| Refusal::bad("user_id", "user_id is needed"))?;
    if id == PROXY && ask.caller.sees_all() {
        return Ok((id, Some(proxy(ask).await?)));
    }
    let user = ask.store.get::<User>(&id).await?;
    if ask.reach == Reach::Own && !ask.caller.is(Some(&id)) {
        let organization = user
            .as_ref()
            .and_then(|user| user.organization_id.as_deref());
        if !ask.caller.manages_organization(organization) {
            return Err(Refusal::forbidden("You may look at yourself only"));
        }
    }
    if user.is_none() && !ask.caller.is(Some(&id)) {
        return Err(not_found(&id));
    }
    Ok((id, user))
}

/// `GET /user/info`: with the user's keys and teams; for those who see everything and name nobody,
/// everybody's.
pub(super) async fn info(ask: Ask) -> Answer {
    let everybody = ask.reach == Reach::All && ask.form.text("user_id").is_none();
    let mut listing = Listing {
        limit: 1_000,
        ..Listing::default()
    };
    if everybody {
        let keys = ask.store.list::<Key>(&listing).await?.records;
        let teams = ask.store.list::<Team>(&listing).await?.records;
        return Ok(json!({
            "user_id": null,
            "user_info": null,
            "keys": keys.iter().map(view::listed_key).collect::<Vec<_>>(),
            "teams": teams.iter().map(view::team).collect::<Vec<_>>(),
        }));
    }
    let (id, user) = seen(&ask).await?;
    listing.user_id = Some(id.clone());
    let keys = ask.store.list::<Key>(&listing).await?.records;
    let places = ask.store.list::<Membership>(&listing).await?.records;
    let teams = user.as_ref().map(|user| &*user.teams).unwrap_or_default();
    let teams = ask.store.several::<Team>(teams).await?;
    let teams = teams.iter().map(|team| {
        let of_team = places.iter().filter(|place| place.team_id == team.team_id);
        let mut shown = view::team(team);
        shown.insert(
            "team_memberships".to_owned(),
            of_team.map(view::membership).collect(),
        );
        shown
    });
    Ok(json!({
        "user_id": id,
        "user_info": user.as_ref().map(view::user),
        "keys": keys.iter().map(view::listed_key).collect::<Vec<_>>(),
        "teams": teams.collect::<Vec<_>>(),
    }))
}

/// `GET /v2/user/info`: the user alone.
pub(super) async fn record(ask: Ask) -> Answer {
    let (id, user) = seen(&ask).await?;
    let user = user.ok_or_else(|| not_found(&id))?;
    Ok(Value::Object(view::user(&user)))
}

/// `GET /user/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("page_size").unwrap_or(25).clamp(1, 1_000);
    let listing = Listing {
        id: ask.form.owned("user_ids"),
        name_part: ask.form.owned("user_email"),
        organization_id: ask.form.owned("organization_id"),
        order: Order::Oldest,
        offset: page.saturating_sub(1).saturating_mul(size),
        limit: size,
        ..Listing::default()
    };
    let listed = ask.store.list::<User>(&listing).await?;
    Ok(json!({
        "users": listed.records.iter().map(view::user).collect::<Vec<_>>(),
        "total": listed.total,
        "page": page,
        "page_size": size,
        "total_pages": listed.total.div_ceil(size),
    }))
}

/// `GET /user/available_roles`.
pub(super) async fn roles(_: Ask) -> Answer {
    let role =
        |description: &str, label: &str| json!({"description": description, "ui_label": label});
    Ok(json!({
        "proxy_admin": role("may do everything", "Admin (All Permissions)"),
        "proxy_admin_viewer": role("may look at everything", "Admin (View Only)"),
        "internal_user": role("may make, change and look at own keys", "Internal User (Create/Delete/View)"),
        "internal_user_viewer": role("may look at own keys and spend", "Internal User (View Only)"),
    }))
}
