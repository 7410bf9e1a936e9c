//! Counts what a call took and what it cost.

pub mod entry;
pub mod journal;
pub mod ledger;
pub mod meter;
pub mod pass;
pub mod price;
pub mod record;
pub mod report;
