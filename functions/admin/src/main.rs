//! `admin` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve_event(admin::Deps::from_env, admin::handle).await
}
