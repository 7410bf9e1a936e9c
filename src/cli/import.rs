//! `pointsman import`.

use std::path::Path;
use std::process::ExitCode;

use pointsman::import::{self, Notes, Report, Secrets, Source as Other, Unseal};
use pointsman::live::Live;
use pointsman::store::{Seal, Store};

use super::ImportArgs;
use super::source;
use super::store::DEFAULT;

/// Rows between two words about how far it is.
const TELL_EVERY: u64 = 100_000;

/// Brings a LiteLLM database over, or says what that would do.
pub(super) fn run(args: &ImportArgs) -> ExitCode {
    let source = source::of_config(args.config.as_deref());
    let live = match source.read(None) {
        Ok(read) => read.live,
        Err(reasons) => {
            for reason in reasons {
                eprintln!("{reason}");
            }
            eprintln!("pointsman: nothing is imported, because the config has errors");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(import(args, &live)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("pointsman: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn import(args: &ImportArgs, live: &Live) -> Result<(), String> {
    let folder = args.data_dir.as_deref().unwrap_or(Path::new(DEFAULT));
    let (store, place) = match live.database_url() {
        Some(url) => (
            Store::open(url).await,
            "the database of the config".to_owned(),
        ),
        None => (Store::sqlite(folder).await, folder.display().to_string()),
    };
    let store = store.map_err(|down| format!("cannot open {place}: {down}"))?;
    let mut other = Other::open(&args.from)
        .await
        .map_err(|why| why.to_string())?;
    let version = other.version().unwrap_or("unknown");
    println!("From LiteLLM's database, last migrated by {version}, to {place}.");
    let secrets = args
        .salt_key
        .as_deref()
        .and_then(Unseal::new)
        .zip(live.salt().and_then(Seal::new));
    let secrets = secrets.map(|(theirs, ours)| Secrets { theirs, ours });
    let mut told = 0;
    let mut progress = |kind: &str, rows: u64| {
        if rows / TELL_EVERY != told {
            told = rows / TELL_EVERY;
            eprintln!("{kind}: {rows}");
        }
    };
    let done = import::import(
        &mut other,
        &store,
        secrets.as_ref(),
        args.yes,
        &mut progress,
    )
    .await;
    store.close().await;
    let report = done.map_err(|why| why.to_string())?;
    print!("{}", show(&report));
    println!(
        "{}",
        match (report.nothing(), args.yes) {
            (true, _) => "There is nothing to do.",
            (false, true) => "Done.",
            (false, false) => "Nothing was changed yet: with --yes, this is done.",
        }
    );
    Ok(())
}

fn show(report: &Report) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = writeln!(
        text,
        "{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "there", "new", "changed", "spent", "same", "removed", "left"
    );
    for (kind, counts) in &report.kinds {
        let _ = writeln!(
            text,
            "{kind:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            counts.there,
            counts.added,
            counts.changed,
            counts.spent,
            counts.same,
            counts.removed,
            counts.left
        );
    }
    notes(&mut text, "What cannot be held here", &report.losses);
    notes(&mut text, "What is left as it is", &report.left);
    if !report.tables.is_empty() {
        let _ = writeln!(text, "Tables of which nothing is made:");
        for table in &report.tables {
            let _ = writeln!(text, "  {table}");
        }
    }
    text
}

fn notes(text: &mut String, title: &str, notes: &Notes) {
    use std::fmt::Write as _;

    if notes.is_empty() {
        return;
    }
    let _ = writeln!(text, "{title}:");
    for (kind, what, note) in notes.iter() {
        let _ = writeln!(
            text,
            "  {kind}: {what}: {} ({}{})",
            note.count,
            note.examples.join(", "),
            if note.count > note.examples.len() as u64 {
                ", …"
            } else {
                ""
            }
        );
    }
}
