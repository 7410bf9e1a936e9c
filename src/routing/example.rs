//! Boards for unit tests.

use std::fmt::Write;

use pointsman_routes::table::{GroupId, Target};

use super::board::{Board, Reach};
use super::decide::{Sheet, decide};
use super::facts::Facts;
use super::moment::Draw;
use super::state::{Registry, Seen};

/// The first group of a table.
pub(super) const GROUP: Target = Target::Group(GroupId(0));

/// The board of a config that must be good.
pub(super) fn board_of(config: &str) -> Board {
    let outcome = pointsman_routes::load("test.yaml", config);
    let Some(loaded) = outcome.loaded else {
        let found: String = outcome
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect();
        panic!("{found}\n{config}")
    };
    Board::new(
        &loaded.routes,
        1,
        &|_| Reach::ALL,
        &Registry::default(),
        None,
    )
}

/// A config of one group; each deployment has these parameters beside a model, and `router` is what
/// stands under `router_settings`. The deployments' ids are d0, d1, …
pub(super) fn config(deployments: &[&str], router: &str) -> String {
    let mut text = String::from("model_list:\n");
    for (n, parameters) in deployments.iter().enumerate() {
        let parameters = if parameters.is_empty() {
            String::new()
        } else {
            format!(", {parameters}")
        };
        let _ = writeln!(
            text,
            "  - {{model_name: g, litellm_params: {{model: openai/m{n}, api_key: os.environ/KEY{parameters}}}, model_info: {{id: d{n}}}}}"
        );
    }
    let _ = writeln!(text, "router_settings: {{{router}}}");
    text
}

/// The board of [`config`].
pub(super) fn board(deployments: &[&str], router: &str) -> Board {
    board_of(&config(deployments, router))
}

/// Decides by a state that was made up.
pub(super) fn choose_seen(board: &Board, seen: &[Seen], draw: u64, facts: &Facts<'_>) -> Sheet {
    let mut sheet = Sheet::default();
    decide(board, GROUP, seen, Draw(draw), facts, &mut sheet);
    sheet
}

/// How often each is chosen in so many draws of a sequence.
pub(super) fn shares(board: &Board, seen: &[Seen], draws: u64, facts: &Facts<'_>) -> Vec<u64> {
    let mut counts = vec![0; seen.len()];
    for draw in 0..draws {
        if let Some(chosen) =
            choose_seen(board, seen, draw.wrapping_mul(0x2545_f491_4f6c_dd1d), facts).chosen
        {
            counts[usize::from(chosen)] += 1;
        }
    }
    counts
}
