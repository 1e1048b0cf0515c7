//! `rotation` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve_event(rotation::Deps::from_env, rotation::handle).await
}
