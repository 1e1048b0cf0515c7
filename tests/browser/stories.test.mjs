// The five stories: both clients really run, and the two numbers at the end are counted from what they did.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, phone, rows, url } from "./page.mjs";

/** Opens a story by its address and plays it to its end. */
async function played(t, name, options) {
  const opened = await open(t, { at: `/#story=${name}`, ...options });
  const { page } = opened;
  await page.locator(".told-steps > li").first().waitFor();
  while ((await page.locator("[data-number]").count()) === 0) {
    // Fifty logins with RSA keys take their time where nothing is optimized.
    await page.locator(".told-steps > li:last-child.is-done").waitFor({ timeout: 60_000 });
    if ((await page.locator("[data-number]").count()) > 0) break;
    await page.locator("[data-key=next]:not([disabled])").click();
  }
  return opened;
}

const numbers = (page) => page.locator("[data-number] strong").allInnerTexts();
const lane = (page, step, side, text) =>
  page.locator(`[data-step=${step}] .of-${side} li`, { hasText: text }).first().waitFor();

test("fifty requests at once: one renewal, or fifty", async (t) => {
  const { page, shot } = await played(t, "fifty");

  assert.deepEqual(await numbers(page), ["1", "50"]);
  await lane(page, "page", "ours", "ROTATED");
  await lane(page, "page", "ours", "The page has all its data (50 of 50)");
  await lane(page, "page", "tutorial", "wx.login×50");
  await shot("story-fifty");
});

test("a lost response: one session for the phone, or two", async (t) => {
  const { page, shot } = await played(t, "lost");

  assert.deepEqual(await numbers(page), ["1", "2"]);
  await lane(page, "login", "ours", "LOGIN_REPLAY");
  await lane(page, "login", "tutorial", "The user sees an error");
  await shot("story-lost");
});

test("a copied token: the thief is thrown out, or stays", async (t) => {
  const { page, shot } = await played(t, "stolen");

  assert.deepEqual(await numbers(page), ["0", "3"]);
  await lane(page, "owner", "ours", "REUSE");
  await lane(page, "thief", "ours", "GONE");
  await lane(page, "thief", "tutorial", "ROTATED");
  await shot("story-stolen");
});

test("WeChat is down: nothing fails, or everything; a login waits until WeChat is back", async (t) => {
  const { page, shot } = await played(t, "down");

  assert.deepEqual(await numbers(page), ["0", "6"]);
  await lane(page, "guest", "ours", "wechat_busy");
  await lane(page, "guest", "ours", "The page says why it waits");
  await lane(page, "back", "ours", "The page goes on where it waited");
  await shot("story-down");

  await page.getByRole("link", { name: "Back to the phones" }).click();
  await phone(page, 1).login();
  assert.equal(await rows(page, "/v1/login").count(), 1, "the log of the phones has the phones' own");
});

test("a story that is left while WeChat is down leaves WeChat in order", async (t) => {
  const { page } = await open(t, { at: "/#story=down" });
  await page.locator("[data-step=login].is-done").waitFor();
  await page.locator("[data-key=next]").click();
  await page.locator("[data-step=down].is-done").waitFor();
  await page.locator("#panel [data-choice='wechat.answers']", { hasText: "are busy" }).waitFor({ state: "attached" });

  await page.getByRole("link", { name: "Back to the phones" }).click();

  await page.waitForFunction(() => document.querySelector("[data-choice='wechat.answers']").value === "works");
  await phone(page, 1).login();
});

test("a story that is left in the moment in which WeChat goes down leaves WeChat in order", async (t) => {
  const { page } = await open(t, { at: "/#story=down" });
  await page.locator("[data-step=login].is-done").waitFor();
  // Both scripts are under way at the same time.
  const answered = page.waitForResponse((response) => response.url().endsWith("/sim/script") && response.request().method() === "POST");
  await page.evaluate(() => {
    document.querySelector("[data-key=next]").click();
    document.querySelector(".story .back").click();
  });
  await answered;

  await page.locator("#feed .note", { hasText: "servers: work" }).waitFor();
  const { script } = await (await fetch(`${url}/playground/log`)).json();
  assert.deepEqual(script, []);
});

test("the number after another login: one tap, or two", async (t) => {
  const { page, shot } = await played(t, "phone");

  assert.deepEqual(await numbers(page), ["1", "2"]);
  await lane(page, "show", "ours", "wx.checkSession");
  await lane(page, "tap", "tutorial", "session_key_expired");
  await shot("story-phone");
});

test("a story is a link, works by the keyboard, and can be played again", async (t) => {
  const { page } = await open(t, { locale: "zh-CN" });
  await page.getByRole("link", { name: "响应丢在路上" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("[data-step=login].is-done").waitFor();
  assert.match(page.url(), /#story=lost$/);

  await page.locator("[data-key=next]").focus();
  await page.keyboard.press("Enter");
  await page.locator("[data-step=again].is-done").waitFor();
  await page.keyboard.press("Enter");
  await page.locator("[data-number]").first().waitFor();
  assert.deepEqual(await numbers(page), ["1", "2"]);

  await page.keyboard.press("Enter");
  await page.locator("[data-step=login].is-done").waitFor();
  assert.equal(await page.locator(".told-steps > li").count(), 1);
  await page.goBack();
  await page.locator("#phones").waitFor();
  assert.equal(await page.locator("#story").isHidden(), true);
});
