//! `/model/new`, `/model/update`, `/model/delete`: models that are kept in the database and compiled
//! together with those of the file.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{Answer, Ask};
use super::{model, secret};
use crate::account::Time;
use crate::models::{self, Model, Models, Turn};
use crate::store::Work;

/// Fields of `model_info` that say what the gateway knows itself.
const KNOWN: [&str; 5] = ["id", "db_model", "created_at", "updated_at", "created_by"];

fn offered(ask: &Ask) -> Result<Models, Refusal> {
    let keeps = ask.office.live.peek().keeps_models();
    let models = ask.office.models.clone().filter(|_| keeps);
    models.ok_or_else(|| {
        Refusal::bad(
            "store_model_in_db",
            "Set `general_settings.store_model_in_db: true`, or 'STORE_MODEL_IN_DB=True' in your env, \
             to enable this feature.",
        )
    })
}

/// The models that are in force, as the transaction has them until it ends.
async fn held(ask: &Ask, work: &mut Work) -> Result<Vec<Model>, Refusal> {
    let live = ask.office.live.load();
    let stored = work.hold_models().await?;
    let mut models = models::open(&live, &stored);
    // One that is left out would be a fault of every change.
    models.retain(|model| served(ask, &model.id));
    Ok(models)
}

fn served(ask: &Ask, id: &str) -> bool {
    let live = ask.office.live.peek();
    let mut deployments = live.routes().deployments.iter();
    deployments.any(|deployment| deployment.id == id)
}

/// Puts the models in force as they would be, once the database has the one that changed.
async fn settle(
    ask: &Ask,
    turn: Turn<'_>,
    mut work: Work,
    models: Vec<Model>,
    changed: Option<&Model>,
) -> Result<(), Refusal> {
    let compiled = turn.compile(&models).await;
    let read = compiled.map_err(|reasons| Refusal::bad("litellm_params", &reasons.join("\n")))?;
    if let Some(model) = changed {
        let sealed = turn.seal().and_then(|seal| model.seal(&seal));
        let sealed = sealed.ok_or_else(|| {
            Refusal::unavailable(
                "Models are sealed with LITELLM_SALT_KEY or the master key: set one.",
            )
        })?;
        work.put_model(&sealed).await?;
    }
    work.commit().await?;
    turn.put_in_force(read, models);
    let live = ask.office.live.load();
    tracing::info!(config = live.origin(), "a model was changed at run time");
    Ok(())
}

/// A model as LiteLLM answers with it, without its secrets.
fn row(ask: &Ask, changed: &Model) -> Value {
    let live = ask.office.live.load();
    let mut shown = model::shown(
        &live,
        |deployment| deployment.id == changed.id,
        std::slice::from_ref(&changed.id),
    );
    let mut row = shown.pop().unwrap_or_else(|| json!({}));
    row["model_id"] = json!(changed.id);
    row["model_name"] = json!(changed.name);
    row["created_at"] = json!(changed.created_at);
    row["created_by"] = json!(changed.created_by);
    row["updated_at"] = json!(changed.updated_at);
    row["updated_by"] = json!(changed.updated_by);
    row
}

/// What a request says of `model_info`, and the id in it.
fn info(ask: &Ask) -> Result<(Option<String>, Map<String, Value>), Refusal> {
    let mut info: Map<String, Value> = ask.form.value("model_info").unwrap_or_default();
    let id = match info.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id_fits(&id) => Some(id),
        Some(_) => {
            let message = "an id is a text of 1 to 200 printable characters";
            return Err(Refusal::bad("model_info.id", message));
        }
    };
    for name in KNOWN {
        info.remove(name);
    }
    if info.get("team_id").is_some_and(|team| !team.is_null()) {
        let message = "A model of one team is not offered yet: everybody would see it.";
        return Err(Refusal::bad("model_info.team_id", message));
    }
    Ok((id, info))
}

fn id_fits(id: &str) -> bool {
    (1..=200).contains(&id.len()) && !id.contains(char::is_control)
}

fn not_found(id: &str) -> Refusal {
    Refusal::bad("id", &format!("Model with id={id} not found in db"))
}

/// `POST /model/new`.
pub(super) async fn new(ask: Ask) -> Answer {
    let models = offered(&ask)?;
    let (id, info) = info(&ask)?;
    let now = Time::now();
    let by = Some(ask.caller.name().to_owned());
    let model = Model {
        id: id.map_or_else(secret::id, Ok)?,
        name: ask.form.owned("model_name").unwrap_or_default(),
        params: ask.form.value("litellm_params").unwrap_or_default(),
        info,
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by,
    };
    let turn = models.turn().await;
    let mut work = ask.work().await?;
    let mut held = held(&ask, &mut work).await?;
    let known = work.models().await?;
    if served(&ask, &model.id) || known.iter().any(|known| known.id == model.id) {
        let message = format!("Model with id={} exists already", model.id);
        return Err(Refusal::bad("model_info.id", &message));
    }
    held.push(model.clone());
    settle(&ask, turn, work, held, Some(&model)).await?;
    Ok(row(&ask, &model))
}

/// `POST /model/update` and `PATCH /model/{id}/update`: what is given takes the place of what was
/// there, and null takes it away.
pub(super) async fn update(ask: Ask) -> Answer {
    let models = offered(&ask)?;
    let (named, info) = info(&ask)?;
    let id = Some(ask.id.clone()).filter(|id| !id.is_empty()).or(named);
    let id = id.ok_or_else(|| Refusal::bad("model_info.id", "model_info.id is needed"))?;
    let turn = models.turn().await;
    let mut work = ask.work().await?;
    let mut held = held(&ask, &mut work).await?;
    let Some(model) = held.iter_mut().find(|model| model.id == id) else {
        return Err(if served(&ask, &id) {
            Refusal::bad(
                "model_info.id",
                "Can't edit model. Model in config. Store model in db via `/model/new`. to edit.",
            )
        } else {
            not_found(&id)
        });
    };
    if let Some(name) = ask.form.owned("model_name") {
        model.name = name;
    }
    let params: Map<String, Value> = ask.form.value("litellm_params").unwrap_or_default();
    merge(&mut model.params, params);
    merge(&mut model.info, info);
    model.updated_at = Time::now();
    model.updated_by = Some(ask.caller.name().to_owned());
    let changed = model.clone();
    settle(&ask, turn, work, held, Some(&changed)).await?;
    Ok(row(&ask, &changed))
}

fn merge(into: &mut Map<String, Value>, given: Map<String, Value>) {
    for (name, value) in given {
        if value.is_null() {
            into.remove(&name);
        } else {
            into.insert(name, value);
        }
    }
}

/// `POST /model/delete`.
pub(super) async fn delete(ask: Ask) -> Answer {
    let models = offered(&ask)?;
    let id = ask.form.owned("id").unwrap_or_default();
    let turn = models.turn().await;
    let mut work = ask.work().await?;
    let mut held = held(&ask, &mut work).await?;
    held.retain(|model| model.id != id);
    // One that is left out of the table can be removed, too; one of the file is not in the database.
    if !work.remove_model(&id).await? {
        return Err(not_found(&id));
    }
    settle(&ask, turn, work, held, None).await?;
    Ok(json!({"message": format!("Model: {id} deleted successfully")}))
}
