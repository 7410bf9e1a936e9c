//! `/key`: making keys, changing them, looking at them.

use pointsman_routes::usd::Usd;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::refusal::Refusal;
use super::rights::Reach;
use super::{Answer, Ask, caller, defaults, fields, secret, view};
use crate::account::{Key, Role, Scope, Team, Time, User};
use crate::store::{Listing, Order, Work};

const NOT_FOUND: &str = "Key not found in database";

/// The endpoint in the words of a team's permissions, which know no ids in paths.
fn permission(ask: &Ask) -> &'static str {
    match ask.action {
        "/key/{key}/reset_spend" => "/key/{key_id}/reset_spend",
        action => action,
    }
}

fn not_permitted(ask: &Ask, team: &str) -> Refusal {
    Refusal::member(permission(ask), team, &ask.caller.permissions(team))
}

fn not_yours(ask: &Ask) -> Refusal {
    Refusal::forbidden(&format!(
        "You are not allowed to access this key's info. Your role={}",
        ask.caller.role_word()
    ))
}

/// Names that LiteLLM keeps in `metadata`, where older scripts put them.
const LIFTED: [&str; 6] = [
    "tags",
    "guardrails",
    "policies",
    "enforced_params",
    "model_rpm_limit",
    "model_tpm_limit",
];

/// `POST /key/generate`.
pub(super) async fn generate(mut ask: Ask) -> Answer {
    let live = ask.office.live.load();
    defaults::of_key(&mut ask.form, &live, fields::KEY_NEW)?;
    if ask.reach == Reach::Own {
        own_place(&mut ask).await?;
    }
    let (secret, key) = make(&ask)?;
    let mut work = ask.work().await?;
    add(&mut work, &key, &ask.form).await?;
    work.commit().await?;
    let mut answer = made(&ask, &secret, &key).await?;
    if let Some(team) = &key.team_id
        && ask.store.get::<Team>(team).await?.is_none()
    {
        let warning = format!("there is no team {team} yet; the key is held to no team's limits");
        answer.insert("warning".to_owned(), Value::from(warning));
    }
    Ok(Value::Object(answer))
}

/// `POST /key/service-account/generate`: a key of a team, and of nobody in it.
pub(super) async fn service_account(mut ask: Ask) -> Answer {
    if ask.form.text("team_id").is_none() {
        return Err(Refusal::bad(
            "team_id",
            "team_id is required for service account keys",
        ));
    }
    ask.form.take("user_id");
    let mut metadata: Map<String, Value> = ask.form.value("metadata").unwrap_or_default();
    let name = ask.form.owned("key_alias").map_or_else(secret::id, Ok)?;
    metadata.insert("service_account_id".to_owned(), Value::from(name));
    ask.form.take("metadata");
    ask.form.preset("metadata", Value::Object(metadata));
    generate(ask).await
}

/// The key that a new user gets along.
pub(super) async fn for_user(
    ask: &Ask,
    work: &mut Work,
    user: &str,
) -> Result<(String, Key), Refusal> {
    let (secret, mut key) = make(ask)?;
    key.user_id = Some(user.to_owned());
    // The user has the budget; what the key spends is spent of that.
    key.allowance.max_budget = None;
    key.allowance.soft_budget = None;
    key.allowance.budget_duration = None;
    key.allowance.model_max_budget.clear();
    key.budget_reset_at = None;
    key.spend = Usd::ZERO;
    add(work, &key, &Form::default()).await?;
    Ok((secret, key))
}

async fn add(work: &mut Work, key: &Key, form: &Form) -> Result<(), Refusal> {
    work.add(key).await.map_err(|fault| match fault {
        crate::store::Fault::Exists => Refusal::bad("key", "This key is in use already."),
        crate::store::Fault::NameTaken => taken(key),
        fault @ crate::store::Fault::Down(_) => fault.into(),
    })?;
    if let Some(spend) = form.money("spend") {
        work.set_spend(&Scope::Key(key.token.clone()), spend)
            .await?;
    }
    Ok(())
}

fn taken(key: &Key) -> Refusal {
    let alias = key.key_alias.as_deref().unwrap_or_default();
    let message = format!(
        "Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
    );
    Refusal::bad("key_alias", &message)
}

/// Where those may make keys who do not stand above everything: for themselves, and in teams that
/// they manage or whose members may.
async fn own_place(ask: &mut Ask) -> Result<(), Refusal> {
    ask.guard(true)?;
    let me = ask.caller.user_id.clone();
    let mut manages = false;
    if let Some(id) = ask.form.text("team_id") {
        let team = ask.store.get::<Team>(id).await?;
        let organization = team.as_ref().and_then(|team| team.organization_id.clone());
        manages = ask.caller.manages_team(id, organization.as_deref());
        if !manages && ask.caller.is_member(Some(id)) {
            if !ask.caller.permitted(Some(id), permission(ask)) {
                return Err(not_permitted(ask, id));
            }
        } else if !manages {
            return Err(Refusal::forbidden(&format!(
                "User={} may not make keys for team={id}",
                ask.caller.name()
            )));
        }
    }
    if let Some(id) = ask.form.text("organization_id")
        && !ask.caller.manages_organization(Some(id))
    {
        return Err(Refusal::forbidden("you do not manage this organization"));
    }
    let other = ask
        .form
        .text("user_id")
        .is_some_and(|user| Some(user) != me.as_deref());
    if other && !manages {
        return Err(Refusal::forbidden(&format!(
            "User can only create keys for themselves. Got user_id={}, your user_id={}",
            ask.form.text("user_id").unwrap_or_default(),
            ask.caller.name()
        )));
    }
    if other {
        below(ask, ask.form.text("user_id")).await?;
    }
    if let Some(me) = me
        && ask.form.text("user_id").is_none()
        && ask.action != "/key/service-account/generate"
    {
        // Null would make a key that is held to nobody's budget.
        ask.form.take("user_id");
        ask.form.preset("user_id", Value::from(me));
    }
    Ok(())
}

/// Refuses those who are not proxy admins the secret of a key that can do more than they can: a
/// key acts in the role of its user.
async fn below(ask: &Ask, user: Option<&str>) -> Result<(), Refusal> {
    let Some(user) = user.filter(|user| !ask.caller.admin() && !ask.caller.is(Some(user))) else {
        return Ok(());
    };
    let Some(user) = ask.store.get::<User>(user).await? else {
        return Ok(());
    };
    let above = matches!(
        user.role(),
        Role::ProxyAdmin | Role::ProxyAdminViewer | Role::OrgAdmin
    );
    if above || !caller::managed(&ask.store, &user).await?.is_empty() {
        return Err(Refusal::forbidden(
            "You may not hold a key of a user whose role is above yours",
        ));
    }
    Ok(())
}

/// A key as the form says, with its secret.
fn make(ask: &Ask) -> Result<(String, Key), Refusal> {
    let own = ask.form.owned("key").filter(|_| ask.action != "/user/new");
    let secret = match own {
        Some(own) => {
            secret::check(&own)?;
            own
        }
        None => secret::new()?,
    };
    if ask
        .office
        .live
        .load()
        .master_key()
        .is_some_and(|master| master.digest.to_string() == secret::hash(&secret))
    {
        return Err(Refusal::bad("key", "This is the master key."));
    }
    let now = Time::now();
    let mut key = Key {
        token: secret::hash(&secret),
        key_name: secret::name(&secret),
        created_by: Some(ask.caller.name().to_owned()),
        updated_by: Some(ask.caller.name().to_owned()),
        created_at: now,
        updated_at: now,
        ..Key::default()
    };
    key = fill(&key, &ask.form)?;
    if let Some(duration) = ask.form.period("duration") {
        key.expires = Some(duration.after(now));
    }
    key.spend = ask.form.money("spend").unwrap_or_default();
    key.budget_reset_at = key
        .allowance
        .budget_duration
        .as_ref()
        .map(|period| period.next_reset(now));
    Ok((secret, key))
}

/// Puts a form's fields into a key.
fn fill(key: &Key, form: &Form) -> Result<Key, Refusal> {
    let mut form = form.clone();
    for other in [
        "key",
        "duration",
        "spend",
        "expires",
        "grace_period",
        "new_key",
    ] {
        form.take(other);
    }
    if let Some(metadata) = form.value::<Map<String, Value>>("metadata") {
        for name in LIFTED {
            let field = fields::KEY_FIELDS.iter().find(|field| field.name == name);
            let lifted = metadata.get(name).zip(field);
            if let Some(Ok(value)) = lifted.map(|(value, field)| field.kind.read(value)) {
                form.preset(name, value);
            }
        }
    }
    let mut filled: Key = form.fill(key)?;
    for name in [
        &mut filled.key_alias,
        &mut filled.team_id,
        &mut filled.user_id,
        &mut filled.budget_id,
    ] {
        *name = name.take().filter(|name| !name.is_empty());
    }
    if filled.auto_rotate
        && let Some(interval) = &filled.rotation_interval
        && filled.key_rotation_at.is_none()
    {
        filled.key_rotation_at = Some(interval.after(Time::now()));
    }
    Ok(filled)
}

/// The answer that shows a secret, once.
async fn made(ask: &Ask, secret: &str, key: &Key) -> Result<Map<String, Value>, Refusal> {
    let key = ask
        .store
        .get::<Key>(&key.token)
        .await?
        .unwrap_or_else(|| key.clone());
    let mut answer = view::key(&key);
    answer.insert("key".to_owned(), json!(secret));
    answer.insert("token".to_owned(), json!(key.token));
    answer.insert("token_id".to_owned(), json!(key.token));
    Ok(answer)
}

/// The key that is meant, held for a change, if the caller may change it.
async fn held(ask: &Ask, work: &mut Work, key: &str, above: bool) -> Result<Key, Refusal> {
    let hash = secret::meant(key);
    let key = work.get::<Key>(&hash).await?;
    let key = key.ok_or_else(|| Refusal::unknown(NOT_FOUND))?;
    let may = if above {
        ask.caller.manages_key(&key)
    } else {
        ask.caller.changes_key(&key)
    };
    let team = key.team_id.as_deref();
    if may || ask.caller.permitted(team, permission(ask)) {
        return Ok(key);
    }
    Err(match team.filter(|_| ask.caller.is_member(team)) {
        Some(team) => not_permitted(ask, team),
        None => not_yours(ask),
    })
}

/// Whether the caller stands above a key: as who manages it, or as a member of its team whom the
/// team lets do this with the keys of others.
fn above(ask: &Ask, key: &Key) -> bool {
    ask.caller.manages_key(key)
        || (!ask.caller.is(key.user_id.as_deref())
            && ask
                .caller
                .permitted(key.team_id.as_deref(), permission(ask)))
}

fn wanted(ask: &Ask) -> Result<String, Refusal> {
    let given = ask
        .form
        .owned("key")
        .or_else(|| Some(ask.id.clone()).filter(|id| !id.is_empty()));
    given.ok_or_else(|| Refusal::bad("key", "No key was given"))
}

/// `POST /key/update`.
pub(super) async fn update(mut ask: Ask) -> Answer {
    let live = ask.office.live.load();
    defaults::ceiling(&mut ask.form, &live, false)?;
    let given = wanted(&ask)?;
    let mut work = ask.work().await?;
    let key = change(&ask, &mut work, &given).await?;
    work.commit().await?;
    let key = ask.store.get::<Key>(&key.token).await?.unwrap_or(key);
    let mut answer = view::key(&key);
    answer.insert("key".to_owned(), json!(given));
    answer.insert("token".to_owned(), json!(key.token));
    Ok(Value::Object(answer))
}

async fn change(ask: &Ask, work: &mut Work, given: &str) -> Result<Key, Refusal> {
    let before = held(ask, work, given, false).await?;
    ask.guard(above(ask, &before))?;
    may_move(ask, work, &before).await?;
    let mut key = fill(&before, &ask.form)?;
    stamp(ask, &mut key);
    work.put(&before, &key).await.map_err(|fault| match fault {
        crate::store::Fault::NameTaken => taken(&key),
        fault => fault.into(),
    })?;
    if let Some(spend) = ask.form.money("spend") {
        work.set_spend(&Scope::Key(key.token.clone()), spend)
            .await?;
    }
    Ok(key)
}

/// Nobody gives a key to a team, a user or an organisation that is not theirs to give to.
async fn may_move(ask: &Ask, work: &mut Work, key: &Key) -> Result<(), Refusal> {
    if ask.caller.admin() {
        return Ok(());
    }
    let moved =
        |name: &str, now: &Option<String>| ask.form.has(name) && ask.form.owned(name) != *now;
    if moved("user_id", &key.user_id) || moved("organization_id", &key.organization_id) {
        return Err(not_yours(ask));
    }
    if moved("team_id", &key.team_id) {
        let id = ask.form.text("team_id").unwrap_or_default();
        let team = work.get::<Team>(id).await?;
        let organization = team
            .as_ref()
            .and_then(|team| team.organization_id.as_deref());
        if !ask.caller.manages_key(key) || !ask.caller.manages_team(id, organization) {
            return Err(not_yours(ask));
        }
    }
    Ok(())
}

fn stamp(ask: &Ask, key: &mut Key) {
    let now = Time::now();
    if let Some(duration) = ask.form.period("duration") {
        key.expires = Some(duration.after(now));
    } else if ask.form.has("duration") {
        key.expires = None;
    }
    key.updated_at = now;
    key.updated_by = Some(ask.caller.name().to_owned());
}

/// `POST /key/bulk_update`: each change is a transaction of its own.
pub(super) async fn bulk_update(ask: Ask) -> Answer {
    let changes: Vec<Value> = ask.form.value("keys").unwrap_or_default();
    let live = ask.office.live.load();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one_change in &changes {
        let mut one = Ask {
            form: Form::of_body(one_change.to_string().as_bytes(), fields::KEY_UPDATE)?,
            office: ask.office.clone(),
            store: ask.store.clone(),
            caller: ask.caller.clone(),
            principal: ask.principal.clone(),
            reach: ask.reach,
            id: String::new(),
            action: "/key/update",
        };
        let given = wanted(&one)?;
        let outcome = async {
            defaults::ceiling(&mut one.form, &live, false)?;
            let mut work = one.work().await?;
            let key = change(&one, &mut work, &given).await?;
            work.commit().await?;
            Ok::<_, Refusal>(key)
        };
        match outcome.await {
            Ok(key) => done.push(json!({"key": given, "key_info": view::key(&key)})),
            Err(refusal) => failed.push(json!({
                "key": given,
                "failed_reason": refusal.message(),
            })),
        }
    }
    Ok(json!({
        "total_requested": changes.len(),
        "successful_updates": done,
        "failed_updates": failed,
    }))
}

/// `POST /key/delete`.
pub(super) async fn delete(ask: Ask) -> Answer {
    let mut keys = ask.form.words("keys").unwrap_or_default();
    for alias in ask.form.words("key_aliases").unwrap_or_default() {
        let key = ask.store.key_by_alias(&alias).await?;
        keys.push(key.ok_or_else(|| Refusal::unknown(NOT_FOUND))?.token);
    }
    if keys.is_empty() {
        return Err(Refusal::bad(
            "keys",
            "Neither keys nor key_aliases were given",
        ));
    }
    keys.sort_by_key(|key| secret::meant(key));
    keys.dedup_by_key(|key| secret::meant(key));
    let mut work = ask.work().await?;
    for given in &keys {
        let key = held(&ask, &mut work, given, false).await?;
        work.remove(&key).await?;
    }
    work.commit().await?;
    Ok(json!({"deleted_keys": keys}))
}

/// `GET /key/info`.
pub(super) async fn info(ask: Ask) -> Answer {
    let given = match ask.form.owned("key") {
        Some(given) => given,
        None => ask
            .caller
            .record
            .as_ref()
            .map(|key| key.token.clone())
            .ok_or_else(|| {
                Refusal::unknown("Key not found in database: the master key is not kept there")
            })?,
    };
    let key = ask.store.get::<Key>(&secret::meant(&given)).await?;
    let key = key.ok_or_else(|| Refusal::unknown(NOT_FOUND))?;
    if !ask.caller.sees_key(&key) {
        return Err(not_yours(&ask));
    }
    let mut info = view::key(&key);
    let by_model = ask.store.spent_by_model(&key.token).await?;
    let by_model = by_model
        .into_iter()
        .map(|(model, spend)| (model, view::dollars(spend)));
    info.insert("model_spend".to_owned(), Value::Object(by_model.collect()));
    let reserved = ask.office.access.reserved(&Scope::Key(key.token.clone()));
    info.insert("reserved".to_owned(), view::dollars(reserved));
    Ok(json!({"key": given, "info": info}))
}

/// `POST /v2/key/info`.
pub(super) async fn info_of_several(ask: Ask) -> Answer {
    let given = ask.form.words("keys").unwrap_or_default();
    let hashes: Vec<_> = given.iter().map(|key| secret::meant(key)).collect();
    let keys = ask.store.several::<Key>(&hashes).await?;
    if keys.is_empty() {
        return Err(Refusal::unknown("No keys found"));
    }
    let seen: Vec<_> = keys.iter().filter(|key| ask.caller.sees_key(key)).collect();
    if seen.is_empty() {
        return Err(not_yours(&ask));
    }
    let info: Vec<_> = seen.into_iter().map(view::listed_key).collect();
    Ok(json!({"key": given, "info": info}))
}

/// The listing that a form asks for, as far as the caller may see.
fn listing(ask: &Ask) -> Result<(Listing, u64, u64), Refusal> {
    let page = ask.form.count("page").unwrap_or(1).max(1);
    let size = ask.form.count("size").unwrap_or(10).clamp(1, 1_000);
    let mut listing = Listing {
        name: ask.form.owned("key_alias"),
        name_part: ask.form.owned("search"),
        id: ask.form.owned("key_hash").map(|key| secret::meant(&key)),
        user_id: ask.form.owned("user_id"),
        team_id: ask.form.owned("team_id"),
        organization_id: ask.form.owned("organization_id"),
        order: match ask.form.text("sort_order") {
            Some("asc") => Order::Oldest,
            _ => Order::Newest,
        },
        offset: page.saturating_sub(1).saturating_mul(size),
        limit: size,
    };
    if ask.reach == Reach::Own {
        let team = listing.team_id.as_deref();
        let manages = team.is_some_and(|team| ask.caller.manages_team(team, None))
            || ask
                .caller
                .manages_organization(listing.organization_id.as_deref());
        let mine = ask.caller.user_id.as_deref();
        if !manages {
            if listing
                .user_id
                .as_deref()
                .is_some_and(|user| Some(user) != mine)
            {
                return Err(Refusal::forbidden("You may list your own keys only"));
            }
            match mine {
                Some(mine) => listing.user_id = Some(mine.to_owned()),
                None => listing.id = Some(ask.caller.key.clone()),
            }
        }
    }
    Ok((listing, page, size))
}

/// `GET /key/list`.
pub(super) async fn list(ask: Ask) -> Answer {
    let (listing, page, size) = listing(&ask)?;
    let listed = ask.store.list::<Key>(&listing).await?;
    let full = ask.form.flag("return_full_object").unwrap_or(false);
    let keys: Vec<Value> = listed
        .records
        .iter()
        .map(|key| {
            if full {
                view::listed_key(key)
            } else {
                json!(key.token)
            }
        })
        .collect();
    Ok(json!({
        "keys": keys,
        "total_count": listed.total,
        "current_page": page,
        "total_pages": listed.total.div_ceil(size),
    }))
}

/// `GET /key/aliases`.
pub(super) async fn aliases(ask: Ask) -> Answer {
    let (listing, page, size) = listing(&ask)?;
    let listed = ask.store.list::<Key>(&listing).await?;
    let aliases: Vec<_> = listed
        .records
        .iter()
        .filter_map(|key| key.key_alias.as_deref())
        .collect();
    Ok(json!({
        "aliases": aliases,
        "total_count": listed.total,
        "current_page": page,
        "total_pages": listed.total.div_ceil(size),
    }))
}

/// `POST /key/regenerate` and `/key/{key}/regenerate`.
pub(super) async fn regenerate(mut ask: Ask) -> Answer {
    if ask.form.has("new_master_key") {
        let message = "The master key is changed in the config, not here.";
        return Err(Refusal::bad("new_master_key", message));
    }
    let live = ask.office.live.load();
    defaults::ceiling(&mut ask.form, &live, false)?;
    let given = match Some(ask.id.clone()).filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => wanted(&ask)?,
    };
    let new = match ask.form.owned("new_key") {
        Some(own) => {
            secret::check(&own)?;
            own
        }
        None => secret::new()?,
    };
    let now = Time::now();
    let until = ask
        .form
        .period("grace_period")
        .map_or(now, |grace| grace.after(now));
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &given, false).await?;
    ask.guard(above(&ask, &before))?;
    may_move(&ask, &mut work, &before).await?;
    below(&ask, before.user_id.as_deref()).await?;
    let mut key = fill(&before, &ask.form)?;
    stamp(&ask, &mut key);
    key.token = secret::hash(&new);
    key.key_name = secret::name(&new);
    key.rotation_count = before.rotation_count.saturating_add(1);
    key.last_rotation_at = Some(now);
    key.key_rotation_at = key
        .rotation_interval
        .as_ref()
        .filter(|_| key.auto_rotate)
        .map(|interval| interval.after(now));
    work.rename_key(&before.token, &key.token, until)
        .await
        .map_err(|fault| match fault {
            crate::store::Fault::Exists => Refusal::bad("new_key", "This key is in use already."),
            fault => fault.into(),
        })?;
    work.put(&before, &key).await.map_err(|fault| match fault {
        crate::store::Fault::NameTaken => taken(&key),
        fault => fault.into(),
    })?;
    work.commit().await?;
    Ok(Value::Object(made(&ask, &new, &key).await?))
}

async fn set_blocked(ask: Ask, blocked: bool) -> Answer {
    let given = wanted(&ask)?;
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &given, true).await?;
    let mut key = before.clone();
    key.blocked = blocked;
    stamp(&ask, &mut key);
    work.put(&before, &key).await?;
    work.commit().await?;
    Ok(view::listed_key(&key))
}

/// `POST /key/block`.
pub(super) async fn block(ask: Ask) -> Answer {
    set_blocked(ask, true).await
}

/// `POST /key/unblock`.
pub(super) async fn unblock(ask: Ask) -> Answer {
    set_blocked(ask, false).await
}

/// `POST /key/health`: that the call came this far says that the key is good.
pub(super) async fn health(_: Ask) -> Answer {
    Ok(json!({"key": "healthy", "logging_callbacks": null}))
}

/// `POST /key/{key}/reset_spend`.
pub(super) async fn reset_spend(ask: Ask) -> Answer {
    let reset_to = ask.form.money("reset_to").unwrap_or_default();
    let hash = secret::meant(&ask.id);
    let shown = ask.store.get::<Key>(&hash).await?;
    let shown = shown.ok_or_else(|| Refusal::unknown(NOT_FOUND))?;
    if reset_to > shown.spend {
        let message = format!(
            "reset_to must not be more than the key's spend, which is {}",
            shown.spend
        );
        return Err(Refusal::bad("reset_to", &message));
    }
    let mut work = ask.work().await?;
    let before = held(&ask, &mut work, &hash, true).await?;
    let mut key = before.clone();
    stamp(&ask, &mut key);
    work.put(&before, &key).await?;
    work.set_spend(&Scope::Key(hash.clone()), reset_to).await?;
    work.commit().await?;
    let key = ask.store.get::<Key>(&hash).await?.unwrap_or(key);
    let after = view::key(&key);
    Ok(json!({
        "key_hash": hash,
        "spend": after["spend"],
        "previous_spend": view::key(&shown)["spend"],
        "max_budget": after["max_budget"],
        "budget_reset_at": after["budget_reset_at"],
    }))
}
