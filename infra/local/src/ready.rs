//! What is printed once everything runs: which WeChat it is, what belongs where in a mini program, and lines for a shell.
//!
//! A line with two blanks before it is to be pasted where the sentence above it says. All other lines are sentences.

use std::fmt::{self, Write as _};

use qrcode::{QrCode, render::unicode::Dense1x2};
use shared::clock::Secs;
use wechat_simulator::FOREIGN_USER;

use crate::world::World;

/// The text for a laptop whose clock is so far ahead. On a terminal the QR codes are black on white, whatever its colours are.
#[must_use]
pub fn text(world: &World, ahead: Secs, is_terminal: bool) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut text, world, ahead, is_terminal);
    text
}

fn write(out: &mut String, world: &World, ahead: Secs, is_terminal: bool) -> fmt::Result {
    writeln!(out, "wxauth is ready at {}", world.url)?;
    which_wechat(out, world)?;
    if ahead > 0 {
        writeln!(
            out,
            "Its clock is {ahead} s ahead: the page has moved it. Without the data folder it is right again."
        )?;
    }
    developer_tools(out, world)?;
    match &world.simulator {
        Some(_) => simulated(out, world)?,
        None => real(out, world)?,
    }
    networks(out, world, is_terminal)
}

fn which_wechat(out: &mut String, world: &World) -> fmt::Result {
    let (wechat, apps) = (&world.wechat_url, world.appids.join(", "));
    if world.simulator.is_none() {
        return writeln!(out, "WeChat is not simulated: {wechat} is asked, for {apps}");
    }
    writeln!(out, "WeChat is simulated at {wechat}, for {apps}")?;
    if world.admits_foreign_codes {
        writeln!(
            out,
            "Whatever the real wx.login gives, in the developer tools or on a phone, logs in as one user, \"{FOREIGN_USER}\", \
             and so do phone codes."
        )?;
    }
    Ok(())
}

fn developer_tools(out: &mut String, world: &World) -> fmt::Result {
    let appid = world.several_apps().map(|appid| format!(", appid: \"{appid}\"")).unwrap_or_default();
    writeln!(
        out,
        "\nWeChat's developer tools: shared/miniprogram/examples/demo is a project to open, once `npm start` runs in it. \
         In one of your own, this belongs in project.config.json:\n  \
           \"setting\": {{ \"urlCheck\": false }},\n\
         and this in app.js:\n  \
           const auth = require(\"wxauth-miniprogram\").createAuth({{ baseUrl: \"{}\"{appid} }});",
        world.url
    )
}

/// A body of JSON for curl between double quotes: each member is a name and what the shell puts there.
fn body(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!(r#"\"{name}\":\"{value}\""#)).collect();
    format!(r#""{{{}}}""#, members.join(","))
}

fn login(world: &World) -> String {
    let appid = world.several_apps().map(|appid| ("appid", appid));
    let members: Vec<_> = [("code", "$CODE")].into_iter().chain(appid).collect();
    format!("curl -s {}/v1/login -H 'content-type: application/json' -d {}", world.url, body(&members))
}

fn simulated(out: &mut String, world: &World) -> fmt::Result {
    let (api, wechat) = (&world.url, &world.wechat_url);
    let (login, refresh) = (login(world), body(&[("refresh_token", "$REFRESH")]));
    writeln!(
        out,
        "\nA terminal: log in with what wx.login gives to a user of the simulator.\n  \
           CODE=$(curl -s {wechat}/sim/login -d '{{\"user\":\"alice\"}}' | sed -E 's/.*\"code\":\"([^\"]*)\".*/\\1/')\n  \
           LOGIN=$({login}); echo \"$LOGIN\"\n  \
           ACCESS=$(echo \"$LOGIN\" | sed -E 's/.*\"access_token\":\"([^\"]*)\".*/\\1/')\n  \
           REFRESH=$(echo \"$LOGIN\" | sed -E 's/.*\"refresh_token\":\"([^\"]*)\".*/\\1/')\n\
         Refresh. A token younger than two minutes comes back unchanged, as it is meant to.\n  \
           curl -s {api}/v1/refresh -H 'content-type: application/json' -d {refresh}; echo\n\
         Fetch the phone number, by encryptedData and by code, which the button gives.\n  \
           PHONE=$(curl -s {wechat}/sim/phone -d '{{\"user\":\"alice\"}}')\n  \
           DATA=$(echo \"$PHONE\" | sed -E 's/\"code\":\"[^\"]*\",?//; s/,}}/}}/')\n  \
           curl -s {api}/v1/phone -H \"authorization: Bearer $ACCESS\" -H 'content-type: application/json' -d \"$DATA\"; echo\n  \
           TAP=$(echo \"$PHONE\" | sed -E 's/.*(\"code\":\"[^\"]*\").*/{{\\1}}/')\n  \
           curl -s {api}/v1/phone -H \"authorization: Bearer $ACCESS\" -H 'content-type: application/json' -d \"$TAP\"; echo\n\
         \nA browser: phones to play with, and switches that make things fail, at {api}/"
    )?;
    if world.plays_owner {
        writeln!(out, "What WeChat pushes goes to the shop on that page; --push-target names a server of yours.")?;
    }
    Ok(())
}

fn real(out: &mut String, world: &World) -> fmt::Result {
    writeln!(
        out,
        "\nThe console of the developer tools gives a code:\n  \
           wx.login({{ success: ({{ code }}) => console.log(code) }})\n\
         A terminal: log in. The first line waits for the code.\n  \
           read -r CODE\n  \
           {}; echo",
        login(world)
    )
}

fn networks(out: &mut String, world: &World, is_terminal: bool) -> fmt::Result {
    if world.is_on_loopback {
        return writeln!(out);
    }
    writeln!(
        out,
        "\nWARNING: whoever is in a network of this machine can log in here as anybody, move the clock and see on the page \
         what is logged. --listen 127.0.0.1:9000 ends that."
    )?;
    if world.network_urls.is_empty() {
        return writeln!(out, "No address of this machine in a network was found.\n");
    }
    writeln!(out, "A phone in the network: each code leads to the page; the address below it is its baseUrl.\n")?;
    for url in &world.network_urls {
        if let Ok(code) = QrCode::new(format!("{url}/")) {
            let picture = code.render::<Dense1x2>().build();
            let (on, off) = if is_terminal { ("\u{1b}[30;107m", "\u{1b}[0m") } else { ("", "") };
            for line in picture.lines() {
                writeln!(out, "{on}{line}{off}")?;
            }
        }
        writeln!(out, "{url}\n")?;
    }
    Ok(())
}
