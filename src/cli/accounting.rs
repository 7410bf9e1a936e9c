//! The ledger and the accounts, from the start of the process to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pointsman::access::Access;
use pointsman::account::{Accounts, Scope};
use pointsman::live::Handle;
use pointsman::spend::journal::Options;
use pointsman::spend::ledger::Ledger;
use pointsman::store::Store;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::store::DEFAULT;

/// How long the start waits for the accounts to take what an earlier process left behind.
const RECOVERY: Duration = Duration::from_secs(30);
/// How long the end waits for the accounts to take the last records; what they do not take, the next
/// start gives them.
const LAST_DRAIN: Duration = Duration::from_secs(10);

/// What runs beside the server.
pub(super) struct Accounting {
    /// Who may ask.
    pub(super) access: Access,
    /// Where spend is written down, if there are accounts.
    pub(super) ledger: Option<Ledger>,
    stop: Option<oneshot::Sender<()>>,
    drain: Option<JoinHandle<()>>,
}

impl Accounting {
    /// Opens the ledger beside the accounts and settles what an earlier process left.
    pub(super) async fn begin(
        folder: Option<&Path>,
        live: &Handle,
        store: Option<&Store>,
    ) -> Result<Self, String> {
        let Some(store) = store else {
            return Ok(Self {
                access: Access::new(live.clone(), None),
                ledger: None,
                stop: None,
                drain: None,
            });
        };
        let table = live.load();
        let period = table.proxy_period();
        if let Err(down) = store.set_period(&Scope::Proxy, period.as_ref()).await {
            tracing::warn!(%down, "the window of the whole proxy's budget is not set");
        }
        let rules = *table.ledger();
        let folder = folder.unwrap_or(Path::new(DEFAULT)).join("journal");
        let options = Options {
            most: rules.most,
            ..Options::in_folder(&folder)
        };
        let cannot = |error| format!("cannot open the journal in {}: {error}", folder.display());
        let ledger = Ledger::open(options, rules).map_err(cannot)?;
        let accounts: Arc<dyn Accounts> = Arc::new(store.clone());
        let access = Access::reckoning(live.clone(), Some(accounts), ledger.notes_beginnings());
        let drain = ledger.recover(&access, RECOVERY).await.map_err(cannot)?;
        if let Err(down) = access.begin().await {
            tracing::warn!(%down, "what the whole proxy has spent is not known yet");
        }
        tokio::spawn(access.clone().watch());
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // The sender is dropped only with the whole process.
            let _ = stopped.await;
        };
        let drain = tokio::spawn(
            ledger
                .clone()
                .drain(drain, Arc::new(access.clone()), stopped),
        );
        Ok(Self {
            access,
            ledger: Some(ledger),
            stop: Some(stop),
            drain: Some(drain),
        })
    }

    /// Gives the accounts the last records.
    pub(super) async fn end(mut self) {
        if let (Some(stop), Some(drain)) = (self.stop.take(), self.drain.take()) {
            let _ = stop.send(());
            if tokio::time::timeout(LAST_DRAIN, drain).await.is_err() {
                tracing::warn!("some records stay in the journal until the next start");
            }
        }
    }
}
