// What the tests of the page share: the laptop's process, the browser, and what a person does with a page.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Finds the packages that the tests use. */
export const modules = createRequire(`${process.env.WXAUTH_BROWSER_MODULES ?? `${root}target/browser/node_modules`}/`);
const { chromium } = modules("playwright-core");
const pictures = `${root}target/screenshots`;

/** What the browser says itself of an answer that is no success: the page expects those. */
const REFUSAL = /^Failed to load resource: the server responded with a status of \d+/;

const QUIET = [
  "no-sandbox",
  "disable-gpu",
  "disable-quic",
  "no-first-run",
  "disable-background-networking",
  "disable-component-update",
  "disable-sync",
];

let laptop;
let browser;
/** Where the page is. */
export let url;

before(async () => {
  mkdirSync(pictures, { recursive: true });
  const [api, wechat] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${api}`;
  const flags = ["--memory", "--listen", `127.0.0.1:${api}`, "--wechat-listen", `127.0.0.1:${wechat}`];
  laptop = spawn(process.env.WXAUTH_LOCAL ?? `${root}target/debug/local`, flags, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((ready, broken) => {
    laptop.once("error", broken);
    laptop.once("exit", (code) => broken(new Error(`the laptop ended with ${code}`)));
    laptop.stdout.on("data", (text) => String(text).includes("wxauth is ready") && ready());
  });
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: QUIET.map((flag) => `--${flag}`) });
});

after(async () => {
  await browser?.close();
  laptop?.kill();
});

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

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
