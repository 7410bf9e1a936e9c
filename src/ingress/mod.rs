//! Reads a request of a front door into a [`Call`](crate::call::Call), and writes the
//! [`Answer`](crate::call::Answer) as that front door's response. One file for each step.

pub mod answer;
mod answered;
pub mod background;
pub mod body;
pub mod cors;
mod form;
pub mod front;
pub mod gemini;
pub mod headers;
mod id;
pub mod kept;
pub mod models;
mod names;
pub mod pass;
mod read;
pub mod respond;
