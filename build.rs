//! Compiles `routes.yaml` into the table that the binary is born with.

fn main() {
    pointsman_routes::compile("routes.yaml");
}
