// The playground as a person uses it: a real browser, the laptop's process, the client package as it stands.
//
//     npm ci --prefix target/browser && node --test tests/browser/*.test.mjs
//
// start.mjs says which variables name the programs. Every step leaves a picture in target/screenshots. An error on the page's
// console fails the test that caused it.

import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { choose, events, open, phone, press, rows, url } from "./page.mjs";

test("login, profile and phone number, by both ways", async (t) => {
  const { page, first, shot } = await open(t, { user: "ada" });
  await shot("01-not-logged-in");

  await first.login();
  await rows(page, "/v1/login", "A new user").waitFor();
  await first.shows("[data-generation='0']", "generation 0");

  await first.tap("profile");
  await first.shows(".hero strong", "Ada");

  await first.tap("phone");
  await shot("02-phone-sheet");
  await first.answer("yes");
  await first.shows("[data-result=phone]", /\d{11}/);

  await first.tap("encryptedData");
  await first.tap("phone");
  await first.answer("yes");
  await rows(page, "/v1/phone", "200").nth(1).waitFor();
  await first.tap("phone");
  await first.answer("no");
  await first.toast("Phone number not shared");
  await shot("03-phone-number");

  await rows(page, "/v1/login").locator("summary").click();
  await page.locator(".inside", { hasText: "at+jwt" }).waitFor();
  await page.locator(".inside", { hasText: '"generation": 0' }).waitFor();
  const inside = await page.locator(".inside").innerText();
  assert.match(inside, /"access_token": "eyJ[^"]{3,12}…/, "tokens are shortened");
  await shot("04-opened-row");
});

test("steps are given, and on the wrong route nobody is asked to tap again", async (t) => {
  const { page, first, shot } = await open(t, { user: "walt" });
  await first.login();

  await first.tap("steps");
  await first.shows("[data-result=steps]", "8642");
  await rows(page, "/v1/opendata", "200").waitFor();
  await first.tap("userInfo");
  await first.tap("steps");
  await first.toast("of another kind");
  await rows(page, "/v1/userinfo", "wrong_data_kind").waitFor();
  await shot("04-steps");
  assert.equal(await rows(page, "/v1/login").count(), 1);

  await press(page, "wechat.replace");
  await page.locator(".note", { hasText: "walt logs in elsewhere" }).waitFor();
  await first.tap("openData");
  await first.tap("steps");
  await first.toast("tap once more");
  await rows(page, "/v1/opendata", "session_key_expired").waitFor();
  await first.tap("steps");
  await rows(page, "/v1/opendata", "×").or(rows(page, "/v1/opendata", "200").nth(1)).first().waitFor();
});

test("a session_key that was replaced costs one more tap", async (t) => {
  const { page, first, shot } = await open(t, { user: "eve" });
  await first.login();
  await first.tap("encryptedData");

  await page.locator("#panel [data-key='wechat.replace']").click();
  await page.locator(".note", { hasText: "eve logs in elsewhere" }).waitFor();
  await first.tap("phone");
  await first.answer("yes");
  await first.toast("tap once more");
  await rows(page, "/v1/phone", "session_key_expired").waitFor();
  await shot("05-session-key-replaced");

  await first.tap("phone");
  await first.answer("yes");
  await first.shows("[data-result=phone]", /\d{11}/);
});

test("what ran out is renewed without the user noticing", async (t) => {
  const { page, first, shot } = await open(t, { user: "bob" });
  await first.login();

  await press(page, "time.access");
  await first.shows("[data-left]", "0 s");
  await first.tap("call1");
  await first.shows("[data-result=tally]", "1 × 200");
  await rows(page, "/v1/session", "token_expired").waitFor();
  await rows(page, "/v1/refresh", "ROTATED").waitFor();
  await first.shows("[data-generation='1']", "generation 1");
  await shot("06-silent-refresh");

  await press(page, "time.session");
  await first.tap("call1");
  await rows(page, "/v1/refresh", "login_required").waitFor();
  await first.shows("[data-generation='0']", "generation 0");
  await first.shows("[data-result=tally]", "1 × 200");
  assert.equal(await rows(page, "/v1/login").count(), 2);
  await shot("07-silent-login");
});

test("fifty requests at once make one refresh", async (t) => {
  const { page, first, shot } = await open(t, { user: "fifi" });
  await first.login();
  await press(page, "time.access");

  await first.tap("call50");
  await first.shows("[data-result=tally]", "50 × 200");

  await rows(page, "/v1/refresh", "ROTATED").waitFor();
  await rows(page, "/v1/session", "×50").last().waitFor();
  assert.equal(await rows(page, "/v1/refresh").count(), 1);
  assert.equal(await rows(page, "/v1/refresh", "×").count(), 0);
  assert.equal(await rows(page, "/v1/login").count(), 1);
  await shot("08-fifty-at-once");
});

test("the same session goes on when the answer to a refresh is lost", async (t) => {
  const { page, first, shot } = await open(t, { user: "lost" });
  await first.login();
  await choose(page, "net.of", "/v1/refresh");
  await press(page, "net.answer");
  await page.locator("[data-key='net.answer'][aria-pressed=true]").waitFor();
  await shot("09-answer-will-be-lost");

  await press(page, "time.access");
  await first.tap("call1");

  await first.shows("[data-result=tally]", "1 × 200");
  await rows(page, "/v1/refresh", "response lost").waitFor();
  await rows(page, "/v1/refresh", "REPLAY").waitFor();
  await first.shows("[data-generation='1']", "generation 1");
  assert.equal(await rows(page, "/v1/login").count(), 1);
  await page.locator("[data-key='net.answer'][aria-pressed=false]").waitFor();
  await shot("10-replay");
});

test("a login whose answer or request is lost is repeated", async (t) => {
  const { page, first, shot } = await open(t, { user: "lola" });
  await press(page, "net.answer");

  await first.login();

  await rows(page, "/v1/login", "response lost").waitFor();
  assert.equal(await rows(page, "/v1/login").count(), 2);
  await press(page, "net.request");
  await first.tap("login");
  await rows(page, "/v1/login", "request lost").waitFor();
  await events(page, "login").nth(1).waitFor();
  await shot("11-login-repeated");
});

test("an app that is killed while it refreshes has its session when it comes back", async (t) => {
  const { page, first, shot } = await open(t, { user: "kim" });
  await first.login();
  await press(page, "time.access");
  await press(page, "net.slow");
  await first.tap("call1");
  await rows(page, "/v1/refresh").waitFor();

  await first.frame.getByRole("button", { name: "Close and reopen" }).click();
  await press(page, "net.slow");
  await rows(page, "/v1/refresh", "ROTATED").waitFor();
  await first.tap("call1");

  await first.shows("[data-result=tally]", "1 × 200");
  await first.shows("[data-generation='1']", "generation 1");
  assert.equal(await rows(page, "/v1/login").count(), 1);
  await shot("12-killed-while-it-refreshed");
});

test("a phone without a network says so, and goes on when it is back", async (t) => {
  const { page, first, shot } = await open(t, { user: "otto" });
  await first.login();
  await press(page, "net.offline");
  await first.tap("call6");
  await first.toast("No response. Please try again.");
  await rows(page, "/v1/session", "The phone is offline").waitFor();
  await shot("13-offline");

  await press(page, "net.offline");
  await first.tap("call6");
  await first.shows("[data-result=tally]", "6 × 200");
});

test("a stolen refresh token raises the alarm, and its owner goes on", async (t) => {
  const { page, first, shot } = await open(t, { user: "nora" });
  await press(page, "thief.steal");
  await page.locator(".hint", { hasText: "Log in on phone 1 first" }).waitFor();
  await first.login();

  await press(page, "thief.steal");
  await rows(page, "/v1/refresh", "Thief").waitFor();
  await press(page, "thief.owner");
  await page.locator(".alarm").waitFor();
  await rows(page, "/v1/refresh", "REUSE").waitFor();
  await events(page, "kicked").waitFor();
  await events(page, "login").nth(1).waitFor();
  await first.shows("[data-generation='0']", "generation 0");
  await shot("14-alarm");

  await press(page, "thief.again");
  await rows(page, "/v1/refresh", "GONE").waitFor();
  await first.tap("call1");
  await first.shows("[data-result=tally]", "1 × 200");
});

test("a guarded page asks, and takes both answers", async (t) => {
  const { page, first, shot } = await open(t, { user: "gus" });
  await first.login();
  await first.tap("/pages/me");
  await first.shows("[data-result=session]", "openid");
  await first.tap("check");
  await first.shows("[data-result=session]", "valid");
  await shot("15-me");
  await first.tap("logout");
  await first.shows(".hero", "Not logged in");
  await events(page, "logout").waitFor();

  await first.tap("/pages/me");
  await first.shows("[role=dialog]", "Log in to see this page");
  await shot("16-guard");
  await first.answer("no");
  await first.shows(".hero", "Not logged in");

  await first.tap("/pages/me");
  await first.frame.locator("[role=dialog]").press("Escape");
  await first.shows(".hero", "Not logged in");

  await first.tap("/pages/me");
  await first.answer("yes");
  await first.shows("[data-result=session]", "openid");
});

test("whoever deletes their data is a new user afterwards", async (t) => {
  const { page, first, shot } = await open(t, { user: "dora" });
  await first.login();
  await first.tap("/pages/me");
  await first.tap("delete");
  await first.shows("[role=dialog]", "Delete everything?");
  await shot("17-delete");
  await first.answer("yes");
  await first.shows(".hero", "Not logged in");

  await first.login();
  await page.locator(".entries > li[data-path='/v1/login']", { hasText: "A new user" }).nth(1).waitFor();
});

test("what the user takes back at WeChat is forgotten here", async (t) => {
  const { page, first, shot } = await open(t, { user: "revoker" });
  await first.login();

  await press(page, "wechat.revoke");
  await rows(page, "/v1/push", "USER_AUTHORIZATION_REVOKE").first().waitFor();
  await press(page, "wechat.cancel");
  await rows(page, "/v1/push", "USER_AUTHORIZATION_CANCELLATION").first().waitFor();
  await shot("17-account-closed");

  await first.tap("call1");
  await rows(page, "/v1/login", "A new user").first().waitFor();
});

test("two phones of one user are two devices, and one can log out both", async (t) => {
  const { page, first, shot } = await open(t, { user: "tom" });
  await page.getByRole("button", { name: "Add a second phone" }).click();
  const second = phone(page, 2);
  await second.handTo("tom");
  await first.login();
  await second.login();

  await first.tap("/pages/me");
  await first.shows("[data-result=devices]", "Devices (2)");
  await shot("18-two-devices");
  await first.tap("everywhere");
  await first.shows(".hero", "Not logged in");
  await second.tap("call1");
  await second.shows("[data-result=tally]", "1 × 200");
  await rows(page, "/v1/session", "token_invalid").waitFor();
  await page.locator(".event.is-kicked", { hasText: "Phone 2" }).waitFor();

  await second.handTo("ursula");
  await second.shows(".hero", "Not logged in");
  await second.handTo("tom");
  await second.shows(".hero", "tom");
});

test("both languages, kept over a reload with the session", async (t) => {
  const { page, first, shot } = await open(t, { user: "小明", locale: "zh-CN", colorScheme: "dark" });
  await first.shows("[data-key=login]", "一键登录");
  await first.login();
  await shot("19-chinese-dark");

  await page.getByRole("button", { name: "English" }).click();
  await first.shows("[data-key=login]", "Log in with one tap");
  await page.locator(".event", { hasText: "logged in" }).waitFor();
  await page.reload();
  await first.shows("[data-generation='0']", "generation 0");
  assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
});

test("nothing sticks out, whatever the width", async (t) => {
  for (const locale of ["en-GB", "zh-CN"]) {
    for (const width of [1680, 1360, 1100, 800, 390]) {
      const { page, first, shot } = await open(t, { user: "will", locale, viewport: { width, height: 900 } });
      await page.locator(".add").click();
      await first.login();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} px on ${width} px (${locale})`);
      await shot(`width-${width}-${locale}`);
    }
  }
});

test("what a terminal sends is in the list too", async (t) => {
  const { page } = await open(t);
  await fetch(`${url}/v1/refresh`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"refresh_token":"wxr1_x"}',
  });

  await rows(page, "/v1/refresh", "Elsewhere").waitFor();
});

// The last one that logs in: WeChat is left alone for a moment after it has failed.
test("while WeChat is down sessions go on, and a login says that it is busy", async (t) => {
  const { page, first, shot } = await open(t, { user: "wes" });
  await first.login();
  await choose(page, "wechat.answers", "-1");
  await page.locator(".note", { hasText: "busy (-1)" }).waitFor();
  await press(page, "time.access");

  await first.tap("call6");
  await first.shows("[data-result=tally]", "6 × 200");
  await first.tap("login");
  await rows(page, "/v1/login", "wechat_busy").first().waitFor();
  await first.frame.locator(".toasts p").waitFor();
  await shot("20-wechat-busy");

  await choose(page, "wechat.answers", "works");
  await page.locator(".note", { hasText: "servers: work" }).waitFor();
  await page.waitForFunction(() => !document.querySelector("[data-key=login][aria-busy]"));
  await press(page, "time.access");
  await first.tap("call1");
  await first.shows("[data-result=tally]", "1 × 200");
});

test("strangers get the gateway's 404, on the page's routes and on all others", async () => {
  const port = new URL(url).port;
  const ask = (method, path, headers = {}) =>
    new Promise((done, failed) => {
      const asked = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
        answer.setEncoding("utf8");
        let body = "";
        answer.on("data", (text) => (body += text));
        answer.on("end", () =>
          done({ status: answer.statusCode, body, policy: answer.headers["content-security-policy"] }),
        );
      });
      asked.once("error", failed);
      asked.end(method === "POST" ? '{"advance":60}' : undefined);
    });
  const notFound = { status: 404, body: '{"message":"Not Found"}', policy: undefined };

  assert.deepEqual(await ask("POST", "/playground/clock", { host: `evil.example:${port}` }), notFound);
  assert.deepEqual(await ask("GET", "/", { host: `evil.example:${port}` }), notFound);
  assert.deepEqual(await ask("POST", "/playground/clock", { origin: "https://evil.example" }), notFound);
  assert.deepEqual(await ask("POST", "/playground/start-over", { host: `evil.example:${port}` }), notFound);
  assert.deepEqual(await ask("POST", "/playground/start-over", { origin: "https://evil.example" }), notFound);
  const sign = "/2015-03-31/functions/wxauth-sign/invocations";
  assert.deepEqual(await ask("POST", sign, { host: `evil.example:${port}` }), notFound);
  assert.deepEqual(await ask("POST", sign, { origin: "https://evil.example" }), notFound);
  assert.deepEqual(await ask("POST", "/playground/owner", { origin: "https://evil.example" }), notFound);
  assert.deepEqual(await ask("GET", "/playground/nothing.js"), notFound);
  assert.deepEqual(await ask("POST", "/"), notFound);
  assert.deepEqual(await ask("GET", "/nothing"), notFound);

  const page = await ask("GET", "/");
  assert.equal(page.status, 200);
  assert.match(page.policy, /default-src 'self'/);
  assert.doesNotMatch(page.policy, /unsafe/);
  assert.equal((await ask("POST", "/playground/clock", { origin: url })).status, 200);
});
