//! `userinfo` on Lambda.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve(userinfo::Deps::from_env, userinfo::router).await
}
