//! A model of the database, as it is sealed there and as the compiler reads it.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::account::Time;
use crate::store::{Seal, StoredModel};

/// An entry of `model_list` that was added at run time.
#[derive(Clone, PartialEq)]
pub struct Model {
    /// `model_info.id`, which the deployment has.
    pub id: String,
    /// `model_name`.
    pub name: String,
    /// `litellm_params`, with its secrets.
    pub params: Map<String, Value>,
    /// `model_info`, without the id.
    pub info: Map<String, Value>,
    /// When it was added.
    pub created_at: Time,
    /// Who added it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub updated_at: Time,
    /// Who changed it.
    pub updated_by: Option<String>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// As the file would have it.
    pub fn entry(&self) -> Value {
        let mut info = self.info.clone();
        info.insert("id".to_owned(), json!(self.id));
        json!({"model_name": self.name, "litellm_params": self.params, "model_info": info})
    }

    /// For the database. `None` if the system has no random numbers.
    pub fn seal(&self, seal: &Seal) -> Option<StoredModel> {
        let text = json!({"litellm_params": self.params, "model_info": self.info}).to_string();
        Some(StoredModel {
            id: self.id.clone(),
            name: self.name.clone(),
            sealed: seal.seal(&self.id, &text)?,
            created_at: self.created_at,
            created_by: self.created_by.clone(),
            updated_at: self.updated_at,
            updated_by: self.updated_by.clone(),
        })
    }

    /// Of the database; `None` if it was sealed with another secret, or changed since.
    pub fn open(stored: &StoredModel, seal: &Seal) -> Option<Self> {
        let text = seal.open(&stored.id, &stored.sealed).ok()?;
        let mut sealed: Map<String, Value> = serde_json::from_str(&text).ok()?;
        let mut part = |name: &str| match sealed.remove(name) {
            Some(Value::Object(part)) => Some(part),
            _ => None,
        };
        Some(Self {
            id: stored.id.clone(),
            name: stored.name.clone(),
            params: part("litellm_params")?,
            info: part("model_info")?,
            created_at: stored.created_at,
            created_by: stored.created_by.clone(),
            updated_at: stored.updated_at,
            updated_by: stored.updated_by.clone(),
        })
    }
}

/// These models as a file of their own.
pub(super) fn file_of(models: &[Model]) -> String {
    let entries: Vec<_> = models.iter().map(Model::entry).collect();
    json!({"model_list": entries}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_opened_as_it_was_sealed() {
        let model = Model {
            id: "m-1".to_owned(),
            name: "chat".to_owned(),
            params: Map::from_iter([("api_key".to_owned(), json!("sk-provider"))]),
            info: Map::new(),
            created_at: Time(1),
            created_by: None,
            updated_at: Time(2),
            updated_by: Some("admin".to_owned()),
        };
        let seal = Seal::new(b"salt").unwrap();
        let stored = model.seal(&seal).unwrap();
        assert!(!stored.sealed.contains("provider"));
        assert!(!format!("{model:?}").contains("provider"));
        assert_eq!(Model::open(&stored, &seal), Some(model));
        let other = Seal::new(b"another").unwrap();
        assert_eq!(Model::open(&stored, &other), None);
    }
}
