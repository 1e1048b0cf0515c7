//! What `cargo run` prints can be pasted.

use std::process::{Command, Stdio};

use local::ready;
use serde_json::{Value, json};
use tests::{APPID, Laptop, Start};

/// The lines to paste, which two blanks begin, after the sentence that contains this, up to the next empty line.
fn lines_after(printed: &str, sentence: &str) -> Vec<String> {
    let lines = printed.lines().skip_while(|line| !line.contains(sentence)).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ").map(str::to_owned)).collect()
}

/// What this shell prints when the lines are pasted, with `typed` for those that ask. It ends at the first that fails.
async fn pasted(shell: &'static str, lines: &[String], typed: &str) -> String {
    use std::io::Write as _;
    let (script, typed) = (lines.join("\n"), format!("{typed}\n"));
    let run = move || {
        let mut command = Command::new(shell);
        command.args(["-euc", &script]).env_remove("CODE").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn bodies(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{printed}"))).collect()
}

fn two_apps() -> Value {
    json!({ "apps": { APPID: { "secret": "one" }, "wxfedcba9876543210": { "secret": "two" } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_for_a_terminal_works_also_with_two_mini_programs() {
    for (start, shell) in
        [(Start::default(), "sh"), (Start::default(), "bash"), (Start::default().apps(two_apps()), "sh")]
    {
        let laptop = start.go().await;
        let lines = lines_after(&ready::text(&laptop.world, 0, false), "A terminal");
        assert_eq!(lines.len(), 10, "{lines:#?}");

        let printed = pasted(shell, &lines, "").await;

        let [login, refresh, by_data, by_code] = bodies(&printed).try_into().unwrap();
        assert_eq!(login["new_user"], true, "{login}");
        assert_eq!(refresh["refresh_token"], login["refresh_token"]);
        assert!(by_data["phoneNumber"].is_string() && by_code == by_data, "{by_data} {by_code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_a_terminal_work_where_another_wechat_is_asked() {
    let wechat = Laptop::start().await;
    let world = Start::default().var("WXAUTH_WECHAT_URL", &wechat.world.wechat_url).without_simulator().await;
    let lines = lines_after(&ready::text(&world, 0, false), "A terminal");
    assert_eq!(lines.len(), 2, "{lines:#?}");

    let printed = pasted("sh", &lines, &wechat.code("alice")).await;

    assert_eq!(bodies(&printed)[0]["new_user"], true, "{printed}");
}

#[tokio::test]
async fn the_first_lines_say_which_wechat_it_is_and_then_what_the_developer_tools_want() {
    let laptop = Start::default().with(|settings| settings.foreign_codes = true).go().await;
    let real = Start::default().apps(two_apps()).with(|settings| {
        settings.wechat_url = Some("https://api.weixin.qq.com".to_owned());
    });
    let real = real.without_simulator().await;

    let (simulated, real) = (ready::text(&laptop.world, 0, false), ready::text(&real, 60, false));

    let mut lines = simulated.lines();
    assert_eq!(lines.next().unwrap(), format!("wxauth is ready at {}", laptop.world.url));
    assert_eq!(lines.next().unwrap(), format!("WeChat is simulated at {}, for {APPID}", laptop.world.wechat_url));
    assert!(lines.next().unwrap().contains("logs in as one user, \"devtools\""), "{simulated}");
    let second =
        "WeChat is not simulated: https://api.weixin.qq.com is asked, for wx0123456789abcdef, wxfedcba9876543210";
    assert_eq!(real.lines().nth(1), Some(second));
    assert!(real.contains("60 s ahead") && !real.contains("devtools\""), "{real}");
    let first_to_paste =
        |printed: &str| printed.lines().filter(|line| line.starts_with("  ")).nth(1).unwrap().to_owned();
    let base = format!("createAuth({{ baseUrl: \"{}\" }});", laptop.world.url);
    assert!(first_to_paste(&simulated).ends_with(&base), "{simulated}");
    assert!(first_to_paste(&real).ends_with("\", appid: \"wx0123456789abcdef\" });"), "{real}");
    let setting = lines_after(&simulated, "WeChat's developer tools")[0].trim_end_matches(',').to_owned();
    assert_eq!(
        serde_json::from_str::<Value>(&format!("{{{setting}}}")).unwrap(),
        json!({ "setting": { "urlCheck": false } })
    );
}
