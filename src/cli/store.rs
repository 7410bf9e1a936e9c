//! Which database is opened at the start.

use std::path::Path;

use pointsman::live::Live;
use pointsman::store::Store;

/// Where SQLite's file is if nobody says.
pub(super) const DEFAULT: &str = "pointsman-data";

/// Opens the database that the config names, else the one in the data directory. Without a master
/// key there are no virtual keys, and without a database that somebody asked for, none is opened.
///
/// A database that somebody asked for must open. The default directory may be on a disk that
/// cannot be written: then the gateway serves as it is configured, and says what is missing.
pub(super) async fn open(folder: Option<&Path>, live: &Live) -> Result<Option<Store>, String> {
    if let Some(url) = live.database_url() {
        return match Store::open(url).await {
            Ok(store) => Ok(Some(store)),
            Err(down) => Err(format!("cannot open the database of the config: {down}")),
        };
    }
    if live.master_key().is_none() {
        return Ok(None);
    }
    let asked = folder.is_some();
    let folder = folder.unwrap_or(Path::new(DEFAULT));
    match Store::sqlite(folder).await {
        Ok(store) => {
            tracing::info!("keys and spend are kept in {}", folder.display());
            Ok(Some(store))
        }
        Err(down) if asked => Err(format!("cannot open {}: {down}", folder.display())),
        Err(down) => {
            tracing::warn!(
                "no virtual keys and no record of spend: cannot open {}: {down}; name a directory \
                 with --data-dir or POINTSMAN_DATA_DIR, or a database with DATABASE_URL",
                folder.display()
            );
            Ok(None)
        }
    }
}
