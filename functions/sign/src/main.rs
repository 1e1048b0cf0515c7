//! `sign` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve_event(sign::Deps::from_env, sign::handle).await
}
