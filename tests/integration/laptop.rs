//! The laptop itself: it keeps what it should over a restart, and refuses to start half.

use tests::{Folder, Start};

#[tokio::test]
async fn a_refresh_token_from_before_a_restart_still_works() {
    let folder = Folder::new();
    let before = Start::default().folder(&folder).go().await;
    let login = before.login("alice").await;
    before.world.stop().await;

    let after = Start::default().folder(&folder).go().await;
    after.clock.advance(200);

    let successor = after.refresh(&login.refresh).await.text_of("refresh_token");
    assert_ne!(successor, login.refresh);
    assert_eq!(after.login("alice").await.openid, login.openid, "the simulator knows its users again");
}

#[tokio::test]
async fn secret_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    local::secrets::SecretFiles::in_folder(&folder.0, shared::token::jwks::KeyKind::Ec).unwrap();

    for file in ["apps.json", "keyring.json", "signing-keys.json", "jwks.json"] {
        assert_eq!(std::fs::metadata(folder.0.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_variable_that_names_another_wechat_does_what_the_flag_does() {
    let one = tests::Laptop::start().await;

    let two = Start::default().var("WXAUTH_WECHAT_URL", &one.world.wechat_url).without_simulator().await;

    assert_eq!(two.wechat_url, one.world.wechat_url);
    assert!(two.simulator.is_none());
}
