//! Compiles the table of the lookup bench.

fn main() {
    pointsman_routes::compile("routes.yaml");
}
