//! The simulator as a process of its own; everything is in the library.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    wechat_simulator::command::run().await
}
