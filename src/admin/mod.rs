//! What runs here and how it does: health, metrics, the front page.

pub mod health;
pub mod metrics;
pub mod page;
