// What the tests of the page share: the laptop's process, the browser, and what a person does with a page.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before } from "node:test";
import { launch, root, startLaptop } from "./start.mjs";

const pictures = `${root}target/screenshots`;

/** What the browser says itself of an answer that is no success: the page expects those. */
const REFUSAL = /^Failed to load resource: the server responded with a status of \d+/;

let laptop;
let browser;
/** Where the page is. */
export let url;

before(async () => {
  mkdirSync(pictures, { recursive: true });
  laptop = await startLaptop();
  ({ url } = laptop);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  laptop?.stop();
});

/** A page with an empty storage, and phone 1 in the hands of this user. A complaint of the page fails the test. */
export async function open(t, { user, at = "", ...options } = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1360, height: 940 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => {
    if (message.type() === "error" && !REFUSAL.test(message.text())) complaints.push(message.text());
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  await page.goto(url + at);
  const first = phone(page, 1);
  await first.key("login").waitFor({ state: at ? "attached" : "visible" });
  if (user) await first.handTo(user);
  return { page, first, shot: (name) => page.screenshot({ path: `${pictures}/${name}.png` }) };
}

/** What a person does with a phone. */
export function phone(page, number) {
  const frame = page.locator(`[data-phone=phone${number}]`);
  return {
    frame,
    key: (key) => frame.locator(`[data-key="${key}"]`),
    tap: (key, options) => frame.locator(`[data-key="${key}"]`).click(options),
    answer: (choice) => frame.locator(`[role=dialog] .${choice}`).click(),
    shows: (selector, text) => frame.locator(selector, { hasText: text }).waitFor(),
    toast: (text) => frame.locator(".toasts p", { hasText: text }).waitFor(),
    async handTo(user) {
      await frame.locator("header input").fill(user);
      await frame.locator("header input").press("Enter");
    },
    async login() {
      await this.tap("login");
      await frame.locator("[data-generation]").waitFor();
    },
  };
}

export const press = (page, key) => page.locator(`#panel [data-key="${key}"]`).click();
export const choose = (page, key, option) => page.locator(`#panel [data-choice="${key}"]`).selectOption(option);

/** Rows of the list, oldest first; those that fit the text. */
export const rows = (page, path, text = "") => page.locator(`#feed li[data-path="${path}"]`, { hasText: text });
export const events = (page, name) => page.locator(`#feed li[data-event=${name}]`);
