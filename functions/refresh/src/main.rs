//! `refresh` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve(refresh::Deps::from_env, refresh::router).await
}
