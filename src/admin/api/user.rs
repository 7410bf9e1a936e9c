//! `/user`: those who hold keys.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, defaults, key, secret, table, team, view};
use crate::account::{Key, MemberRole, Role, Scope, Team, Time, User};
use crate::store::{Listing, Order};

fn not_found(id: &str) -> Refusal {
    Refusal::unknown(&format!("User {id} not found"))
}

/// `POST /user/new`: makes a user, and a key unless `auto_create_key` is false.
pub(super) async fn new(mut ask: Ask) -> Answer {
    let live = ask.office.live.load();
    defaults::of_user(&mut ask.form, &live, table::USER_NEW);
    let mut form = ask.form.clone();
    let auto = form.flag("auto_create_key").unwrap_or(true);
    let teams = form.words("teams").unwrap_or_default();
    for other in ["auto_create_key", "teams", "spend"] {
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
    answer.insert("expires".to_owned(), Value::Null);
    Ok(Value::Object(answer))
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
    Ok(json!({"deleted_users": ids.len(), "user_ids": ids}))
}

/// `GET /user/info`.
pub(super) async fn info(ask: Ask) -> Answer {
    let id = ask
        .form
        .owned("user_id")
        .or_else(|| ask.caller.user_id.clone());
    let id = id.ok_or_else(|| Refusal::bad("user_id", "user_id is needed"))?;
    if ask.reach == Reach::Own && !ask.caller.is(Some(&id)) {
        let user = ask.store.get::<User>(&id).await?;
        let organization = user
            .as_ref()
            .and_then(|user| user.organization_id.as_deref());
        if !ask.caller.manages_organization(organization) {
            return Err(Refusal::forbidden("You may look at yourself only"));
        }
    }
    let user = ask.store.get::<User>(&id).await?;
    if user.is_none() && !ask.caller.is(Some(&id)) {
        return Err(not_found(&id));
    }
    let listing = Listing {
        user_id: Some(id.clone()),
        limit: 1_000,
        ..Listing::default()
    };
    let keys = ask.store.list::<Key>(&listing).await?.records;
    let teams = user
        .as_ref()
        .map(|user| user.teams.clone())
        .unwrap_or_default();
    let teams = ask.store.several::<Team>(&teams).await?;
    Ok(json!({
        "user_id": id,
        "user_info": user.as_ref().map(view::user),
        "keys": keys.iter().map(view::listed_key).collect::<Vec<_>>(),
        "teams": teams.iter().map(view::team).collect::<Vec<_>>(),
    }))
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
