//! Models that LiteLLM keeps in its database, as ours.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::notes::Notes;
use super::settle::{ACTION, ACTOR, Run, target};
use super::source::Row;
use super::{Counts, Stopped, Unseal};
use crate::models::Model;
use crate::store::{Imported, Seal, digest_of};

/// What a kind of row is called in reports.
const NAME: &str = "models";
/// The table.
const TABLE: &str = "LiteLLM_ProxyModelTable";
/// The kind, in the notes of what was brought over.
const KIND: &str = "model";

/// What opens LiteLLM's secrets, and what seals them here.
#[derive(Debug)]
pub struct Secrets {
    /// LiteLLM's salt key.
    pub theirs: Unseal,
    /// Ours.
    pub ours: Seal,
}

impl Run<'_> {
    /// Brings over the models of the database; without secrets, they are left there. There are as
    /// many as an operator has added, so they are one transaction.
    pub(super) async fn models(&mut self, secrets: Option<&Secrets>) -> Result<(), Stopped> {
        if !self.source.has(TABLE) {
            return Ok(());
        }
        let mut counts = Counts::default();
        let mut found = Vec::new();
        let mut rows = self
            .source
            .rows("SELECT * FROM \"LiteLLM_ProxyModelTable\"");
        while let Some(row) = rows.next().await {
            counts.there += 1;
            let row = row?;
            let id = row
                .get("model_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let id = id.to_owned();
            let Some(secrets) = secrets else {
                counts.left += 1;
                let why = "sealed: give LITELLM_SALT_KEY, as LiteLLM has it";
                self.report.left.add(NAME, why, &id);
                continue;
            };
            match read(&secrets.theirs, row, &id, &mut self.report.losses) {
                Ok(model) => found.push(model),
                Err(why) => {
                    counts.left += 1;
                    self.report.left.add(NAME, why, &id);
                }
            }
        }
        drop(rows);
        if let Some(secrets) = secrets {
            self.settle_models(&secrets.ours, &found, &mut counts)
                .await?;
        }
        self.report.kinds.push((NAME, counts));
        Ok(())
    }

    async fn settle_models(
        &mut self,
        seal: &Seal,
        found: &[Model],
        counts: &mut Counts,
    ) -> Result<(), Stopped> {
        let mut work = self.store.work(ACTOR, ACTION).await.map_err(target)?;
        let held = work.hold_models().await.map_err(target)?;
        let here: BTreeSet<&str> = held.iter().map(|model| model.id.as_str()).collect();
        for model in found {
            let known = here.contains(model.id.as_str());
            let before = work.imported(&self.name, KIND, &model.id).await;
            let before = before.map_err(target)?;
            let now = Imported {
                // With its secrets.
                digest: digest_of(&model.entry().to_string()),
                ..Imported::default()
            };
            match before {
                None if known => {
                    counts.left += 1;
                    let why = "there is another of this id here";
                    self.report.left.add(NAME, why, &model.id);
                    continue;
                }
                None => counts.added += 1,
                Some(before) if before == now => {
                    counts.same += 1;
                    continue;
                }
                Some(_) if known => counts.changed += 1,
                Some(_) => {
                    counts.left += 1;
                    self.report.left.add(NAME, "removed here since", &model.id);
                    continue;
                }
            }
            let Some(sealed) = model.seal(seal) else {
                counts.left += 1;
                continue;
            };
            work.put_model(&sealed).await?;
            work.note_import(&self.name, (KIND, &model.id, ""), &now)
                .await?;
        }
        // Dropped, it changes nothing.
        if self.write && !counts.nothing() {
            work.commit().await?;
        }
        Ok(())
    }
}

/// The model that comes of a row, or why it is left out.
fn read(theirs: &Unseal, row: Row, id: &str, losses: &mut Notes) -> Result<Model, &'static str> {
    let mut fields = Fields::new(NAME, id, row, losses);
    let mut params = fields.object("litellm_params");
    let mut unopened = false;
    for (name, value) in &mut params {
        if let Value::String(text) = value {
            match theirs.open(text) {
                Some(open) => *text = open,
                None => unopened |= *name == "model" || *name == "api_key",
            }
        }
    }
    if unopened {
        return Err("it does not open with this salt key");
    }
    params.retain(|_, value| !value.is_null());
    let mut info: Map<String, Value> = fields.object("model_info");
    for name in ["id", "db_model"] {
        info.remove(name);
    }
    info.retain(|_, value| !value.is_null());
    let of_team = info.get("team_id").is_some_and(|team| !team.is_null());
    if of_team {
        return Err("of one team, which is not offered yet");
    }
    if fields.flag("blocked") {
        return Err("blocked");
    }
    let missing = "without an id or a name";
    Ok(Model {
        id: fields.text("model_id").ok_or(missing)?,
        name: fields.text("model_name").ok_or(missing)?,
        params,
        info,
        created_at: fields.time("created_at").unwrap_or_default(),
        created_by: fields.text("created_by"),
        updated_at: fields.time("updated_at").unwrap_or_default(),
        updated_by: fields.text("updated_by"),
    })
}
