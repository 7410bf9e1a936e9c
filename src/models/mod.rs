//! Models that are added at run time (`store_model_in_db`): they are kept in the database, sealed,
//! and compiled together with the file into one table.
//!
//! What the database adds goes through the same compiler as the file: a model that it refuses is not
//! added. One that it refuses later, because the file has changed or a variable is missing, is left
//! out and told of in the log; the file and the other models are served.

mod model;

use std::path::PathBuf;
use std::sync::Arc;

use pointsman_routes::More;
use tokio::sync::{Mutex, MutexGuard, broadcast};

pub use self::model::Model;
use crate::account::{Accounts, Change, Time};
use crate::live::source::{Read, Source};
use crate::live::{Handle, Live, Registered};
use crate::store::{Seal, Store, StoredModel};

/// What diagnostics call the database.
const NAME: &str = "the database";

/// The source of the table, and what the database adds to it. Clones share it.
#[derive(Clone, Debug)]
pub struct Models(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    live: Handle,
    store: Option<Store>,
    kept: Mutex<Kept>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Kept {
    /// The database's models, those that are left out among them.
    models: Vec<Model>,
    /// Each row that was read, and its version.
    seen: Vec<(String, Time)>,
    /// The files to watch.
    files: Vec<PathBuf>,
}

/// The right to change the table: nobody else of this process does meanwhile.
#[derive(Debug)]
pub struct Turn<'a> {
    models: &'a Models,
    kept: MutexGuard<'a, Kept>,
}

impl Models {
    /// Over the table in force, which came of this source and these files.
    pub fn new(source: Source, live: Handle, store: Option<Store>, files: Vec<PathBuf>) -> Self {
        let kept = Kept {
            files,
            ..Kept::default()
        };
        Self(Arc::new(Inner {
            source,
            live,
            store,
            kept: Mutex::new(kept),
        }))
    }

    /// Puts what the database has in force, if it has changed.
    pub async fn refresh(&self) {
        let mut kept = self.0.kept.lock().await;
        if self.read_stored(&mut kept).await {
            self.put_in_force(&mut kept).await;
        }
    }

    /// Reads the file again and puts it in force, with what the database has; gives the files to
    /// watch. If the file has errors, the table in force stays.
    pub async fn reload(&self) -> Vec<PathBuf> {
        let mut kept = self.0.kept.lock().await;
        self.read_stored(&mut kept).await;
        if self.put_in_force(&mut kept).await {
            let live = self.0.live.load();
            tracing::info!(config = live.origin(), "a new table is in force");
        }
        kept.files.clone()
    }

    /// Follows the changes of the database. Ends with the database.
    pub async fn watch(self) {
        let Some(store) = &self.0.store else { return };
        let mut changes = store.changes();
        loop {
            match changes.recv().await {
                Ok(Change::Models | Change::Everything)
                | Err(broadcast::error::RecvError::Lagged(_)) => self.refresh().await,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Waits until nobody else changes the table.
    pub async fn turn(&self) -> Turn<'_> {
        Turn {
            models: self,
            kept: self.0.kept.lock().await,
        }
    }

    /// Reads the database's models; whether they are others than before. Without a word from the
    /// database, those that are known stay.
    async fn read_stored(&self, kept: &mut Kept) -> bool {
        let live = self.0.live.load();
        let stored = match &self.0.store {
            Some(store) if live.keeps_models() => store.models().await,
            _ => Ok(Vec::new()),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(down) => {
                tracing::error!(%down, "the models of the database cannot be read");
                return false;
            }
        };
        let seen: Vec<_> = stored
            .iter()
            .map(|model| (model.id.clone(), model.updated_at))
            .collect();
        if seen == kept.seen {
            return false;
        }
        kept.models = open(&live, &stored);
        kept.seen = seen;
        true
    }

    /// Compiles file and models, leaving out what the compiler refuses; whether the file is right.
    async fn put_in_force(&self, kept: &mut Kept) -> bool {
        let source = self.0.source.clone();
        let models = kept.models.clone();
        let known = self.0.live.load().registered().clone();
        let compiled =
            tokio::task::spawn_blocking(move || compile_most(&source, &known, &models)).await;
        match compiled {
            Ok(Ok(read)) => {
                kept.files = read.files;
                self.0.live.store(read.live);
                true
            }
            Ok(Err(reasons)) => {
                for reason in reasons {
                    tracing::error!("{reason}");
                }
                tracing::error!("the new table has errors; the old one stays in force");
                false
            }
            Err(_) => {
                tracing::error!("the new table could not be made; the old one stays in force");
                false
            }
        }
    }
}

impl Turn<'_> {
    /// The seal of the models, if there is a secret to seal them with.
    pub fn seal(&self) -> Option<Seal> {
        Seal::new(self.models.0.live.load().salt()?)
    }

    /// Compiles the file with models as the database would have them then. The reasons, if the
    /// compiler refuses them; nothing changes either way.
    pub async fn compile(&self, stored: &[Model]) -> Result<Read, Vec<String>> {
        let source = self.models.0.source.clone();
        let models = stored.to_vec();
        let known = self.models.0.live.load().registered().clone();
        let compiled = tokio::task::spawn_blocking(move || compile(&source, &known, &models)).await;
        compiled.unwrap_or_else(|_| Err(vec!["the table could not be made".to_owned()]))
    }

    /// Puts in force what was compiled of these models, which the database has now.
    pub fn put_in_force(mut self, read: Read, stored: Vec<Model>) {
        self.kept.seen = stored
            .iter()
            .map(|model| (model.id.clone(), model.updated_at))
            .collect();
        self.kept.models = stored;
        self.kept.files = read.files;
        self.models.0.live.store(read.live);
    }
}

/// Opens what is sealed; what cannot be opened is told of and left out.
pub fn open(live: &Live, stored: &[StoredModel]) -> Vec<Model> {
    let seal = live.salt().and_then(Seal::new);
    let opened = stored.iter().filter_map(|stored| {
        let model = seal.as_ref().and_then(|seal| Model::open(stored, seal));
        if model.is_none() {
            tracing::error!(
                id = stored.id,
                model = stored.name,
                "a model of the database was sealed with another salt key, and is left out"
            );
        }
        model
    });
    opened.collect()
}

fn compile(source: &Source, known: &Registered, models: &[Model]) -> Result<Read, Vec<String>> {
    if models.is_empty() {
        return source.read_for(known, None);
    }
    let text = model::file_of(models);
    let more = More {
        name: NAME,
        text: &text,
    };
    source.read_for(known, Some(more))
}

/// Compiles the file with all the models that the compiler takes.
fn compile_most(
    source: &Source,
    known: &Registered,
    models: &[Model],
) -> Result<Read, Vec<String>> {
    match compile(source, known, models) {
        Ok(read) => return Ok(read),
        Err(reasons) if models.is_empty() => return Err(reasons),
        Err(_) => {}
    }
    // Either the file is wrong, or some models are: the file alone tells.
    let mut read = compile(source, known, &[])?;
    let mut good = Vec::with_capacity(models.len());
    for model in models {
        good.push(model.clone());
        match compile(source, known, &good) {
            Ok(more) => read = more,
            Err(reasons) => {
                good.pop();
                tracing::error!(
                    id = model.id,
                    model = model.name,
                    reasons = reasons.join("; "),
                    "a model of the database is left out"
                );
            }
        }
    }
    Ok(read)
}
