//! What runs here and how it does: health, metrics, decisions, the front page; and the admin API.

pub mod api;
pub mod checks;
pub mod gauges;
pub mod health;
pub mod metrics;
pub mod page;
pub mod probe;
pub mod router;
