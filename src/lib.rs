#![doc = include_str!("../README.md")]

pub mod server;

pub mod stack;

pub mod store;

pub mod ingress;

pub mod call;

pub mod dialect;

pub mod access;

pub mod reliable;

pub mod routing;

pub mod upstream;

pub mod spend;

pub mod admin;

pub mod import;

pub mod live;

pub mod models;

pub mod account;

pub mod error;

pub mod wire;

/// The table that this build was compiled with, from `routes.yaml`.
pub mod compiled {
    pointsman_routes::include_routes!();
}
