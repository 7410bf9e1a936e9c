//! Compiles this program's `routes.yaml`.

fn main() {
    pointsman_routes::compile("routes.yaml");
}
