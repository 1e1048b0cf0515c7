// The log, and what a reload, a second phone and a new start make of the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { choose, events, open, phone, press, rows, url } from "./page.mjs";

const WIDTHS = [360, 768, 1040, 1440];

const fault = (page) => page.locator("[data-choice='wechat.answers']");

test("the log is in view at every width, and follows its end", async (t) => {
  for (const width of WIDTHS) {
    const { page, first, shot } = await open(t, { user: "lena", viewport: { width, height: 800 } });
    await first.login();
    await first.tap("call6");
    const row = rows(page, "/v1/session", "×6");
    await row.waitFor();
    await first.frame.locator("[data-result=tally]").waitFor();

    const box = await row.locator("summary").boundingBox();
    const feed = await page.locator("#feed").boundingBox();
    assert.ok(feed.y + feed.height <= 800 && feed.height > 200, `${width}: the log is from ${feed.y} to ${feed.y + feed.height}`);
    assert.ok(box.y >= feed.y && box.y + box.height <= feed.y + feed.height + 1, `${width}: its last row is at ${box.y}`);
    await shot(`log-${width}`);
  }
});

test("each tap is a group with the line that ran, and what WeChat's own calls gave", async (t) => {
  const { page, first } = await open(t, { user: "tara" });
  await first.login();
  await first.tap("call6");
  await first.frame.locator("[data-result=tally]").waitFor();
  await first.tap("encryptedData");
  await first.tap("phone");
  await first.answer("yes");
  await first.shows("[data-result=phone]", /\d{11}/);
  await first.tap("/pages/me");
  await first.shows("[data-result=session]", "openid");

  const codes = await page.locator("#feed .tap code").allInnerTexts();
  assert.deepEqual(codes, [
    "auth.login()",
    'auth.request({ url: "/v1/session" })  × 6',
    "auth.phone(event)",
    'wx.switchTab({ url: "/pages/me" })\nPromise.all([auth.session(), auth.sessions()])',
  ]);
  const told = await page.locator("#feed .entries > li").evaluateAll((all) => all.map(({ className, dataset }) => dataset.path || dataset.event || className));
  assert.deepEqual(told.slice(0, 6), ["note", "tap", "login", "/v1/login", "login", "tap"], "oldest first");
  assert.match(await rows(page, "login").innerText(), /wx\.login[\s\S]*code [\w-]{6}…/);

  await press(page, "wechat.replace");
  await first.tap("/pages/home");
  await rows(page, "checkSession", "The session_key was replaced").waitFor();
});

test("a reload asks what WeChat and the shop play, and a script of others is shown", async (t) => {
  const { page } = await open(t);
  t.after(async () => {
    await fetch(`${url}/playground/sim/script`, { method: "DELETE" });
    await fetch(`${url}/playground/owner/conduct`, { method: "POST", body: '{"conduct":"takes"}' });
  });
  await choose(page, "wechat.answers", "45011");
  await choose(page, "shop.function", "fails");
  await page.locator(".note", { hasText: "throws an error" }).waitFor();

  await page.reload();

  await page.waitForFunction(() => document.querySelector("[data-choice='wechat.answers']")?.value === "45011");
  assert.equal(await page.locator("[data-choice='shop.function']").inputValue(), "fails");

  await fetch(`${url}/playground/sim/script`, { method: "DELETE" });
  await page.waitForFunction(() => document.querySelector("[data-choice='wechat.answers']").value === "works");
  const body = JSON.stringify({ api: "jscode2session", fault: { kind: "latency", ms: 1 } });
  await fetch(`${url}/playground/sim/script`, { method: "POST", body });
  await page.waitForFunction(() => document.querySelector("[data-choice='wechat.answers']").value === "other");
  assert.match(await fault(page).innerText(), /follow another script/);
});

test("the second phone is the same user's, unless it is handed on", async (t) => {
  const { page, first } = await open(t, { user: "mia" });
  await first.login();
  await page.getByRole("button", { name: "Add a second phone" }).click();
  const second = phone(page, 2);
  assert.equal(await second.frame.locator("header input").inputValue(), "mia");
  await second.login();
  await second.tap("/pages/me");
  await second.shows("[data-result=devices]", "Devices (2)");

  await second.handTo("noah");
  await page.reload();
  assert.equal(await second.frame.locator("header input").inputValue(), "noah");
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("button", { name: "Add a second phone" }).click();
  assert.equal(await second.frame.locator("header input").inputValue(), "mia");
});

test("a page that cannot log in says why, and goes on by a tap or with the network", async (t) => {
  const { page, first, shot } = await open(t, { user: "omar" });
  t.after(() => fetch(`${url}/playground/sim/script`, { method: "DELETE" }));
  await choose(page, "wechat.answers", "-1");
  await page.locator(".note", { hasText: "busy (-1)" }).waitFor();
  await first.tap("/pages/me");
  await first.shows("[data-result=authError]", "WeChat is busy");
  await shot("auth-error");
  await choose(page, "wechat.answers", "works");
  await page.locator(".note", { hasText: "servers: work" }).waitFor();
  await first.tap("retry");
  await page.locator("#feed .tap code", { hasText: "page.retryAuth()" }).waitFor();
  await first.shows("[data-result=session]", "openid");

  await first.tap("logout");
  await first.shows(".hero", "Not logged in");
  await first.handTo("otis");
  await press(page, "net.offline");
  await first.tap("/pages/me");
  await first.shows("[data-result=authError]", /./);
  await press(page, "net.offline");
  await first.shows("[data-result=session]", "openid");
});

test("starting over forgets users, sessions, faults, and how far the clock is ahead", async (t) => {
  const { page, first, shot } = await open(t, { user: "sam" });
  await first.login();
  await press(page, "time.session");
  await page.locator(".clock", { hasText: "8 d 0 h ahead" }).waitFor();
  await choose(page, "wechat.answers", "html");
  await page.locator(".note", { hasText: "HTML page" }).waitFor();

  await page.getByRole("button", { name: "Start over" }).click();
  await shot("start-over");
  await page.locator("#over-dialog .yes").click();

  await page.locator(".clock", { hasText: "real time" }).waitFor();
  assert.equal(await fault(page).inputValue(), "works");
  assert.equal(await first.frame.locator("header input").inputValue(), "ada");
  await first.shows(".hero", "Not logged in");
  await first.handTo("sam");
  await first.login();
  await rows(page, "/v1/login", "A new user").waitFor();
  assert.equal(await events(page, "login").count(), 1);
});
