//! `authorizer` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve_event(authorizer::Deps::from_env, authorizer::handle).await
}
