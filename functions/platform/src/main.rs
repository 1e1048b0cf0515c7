//! `platform` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve_event(platform::Deps::from_env, platform::handle).await
}
