// The component in a simulated page.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { need } from "./modules.mjs";

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));

const { JSDOM } = need("jsdom");
const { window } = new JSDOM("<!doctype html><body></body>", { url: "http://localhost/" });
globalThis.window = window;
// Node has classes of these names too, and jsdom takes only its own.
for (const name of Object.getOwnPropertyNames(window)) {
  if (/(Event|EventTarget|Element|Node|Observer)$|^(document|navigator|Document|Text|Comment|getComputedStyle)$/.test(name)) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
  }
}
window.requestAnimationFrame = globalThis.requestAnimationFrame = (run) => setTimeout(run, 0);
window.cancelAnimationFrame = globalThis.cancelAnimationFrame = clearTimeout;

const simulate = need("miniprogram-simulate");
const { auth: createFake, fakeWx, ok, problem } = require("../test-support/fake");

const NUMBER = { phoneNumber: "13800138000", purePhoneNumber: "13800138000", countryCode: "86" };
const button = simulate.load(path.join(here, "../components/auth-button/index"), "auth-button");
const soon = () => simulate.sleep(20);

/** A page with the button in it, and what it heard. */
async function show(wx, attributes = "") {
  globalThis.getApp = () => ({ auth: createFake(wx) });
  const heard = [];
  const note = ({ type, detail }) => heard.push([type, detail]);
  const page = simulate.load({
    usingComponents: { "auth-button": button },
    template: `<auth-button id="it" ${attributes} bindlogin="note" bindphone="note" binderror="note">text</auth-button>`,
    methods: { note },
  });
  const rendered = simulate.render(page);
  rendered.attach(document.body);
  await soon();
  const it = rendered.querySelector("#it");
  const inner = it.querySelector(".auth-button");
  return { heard, it, inner, tap: (type = "tap", detail) => (inner.dispatchEvent(type, { detail }), soon()) };
}

test("a tap logs in, and the page hears of it", async () => {
  const wx = fakeWx();
  const { heard, it, inner, tap } = await show(wx);
  assert.match(it.dom.innerHTML, /text/);
  assert.equal(wx.calls.length, 0);
  await tap();
  assert.equal(heard[0][0], "login");
  assert.equal(heard[0][1].openid, "o-ada");
  assert.equal(it.instance.data.busy, false);
  assert.ok(inner);
});

test("a failure is an error event, with what to do", async () => {
  const wx = fakeWx().on("POST /v1/login", problem(403, "user_blocked", "stop"));
  const { heard, tap } = await show(wx);
  await tap();
  assert.deepEqual(heard.map(([type, { code }]) => [type, code]), [["error", "user_blocked"]]);
});

test("two taps are one login", async () => {
  const wx = fakeWx();
  const { heard, tap } = await show(wx);
  await Promise.all([tap(), tap()]);
  assert.equal(wx.made("login").length, 1);
  assert.equal(heard.length, 1);
});

test("a phone button is one only after the login, and a tap then brings the number without wx.login", async () => {
  const wx = fakeWx().on("POST /v1/phone", ok(NUMBER));
  const { heard, it, tap } = await show(wx, 'type="phone"');
  assert.equal(it.instance.data.ready, true);
  assert.equal(wx.made("login").length, 1);
  await tap();
  assert.deepEqual(heard, [], "the tap is the platform's");
  await tap("getphonenumber", { code: "phone-code", errMsg: "getPhoneNumber:ok" });
  assert.deepEqual(heard, [["phone", NUMBER]]);
  assert.equal(wx.made("login").length, 1);
});

test("without a session the phone button logs in first, then becomes one", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" });
  const { heard, it, tap } = await show(wx, 'type="phone"');
  assert.equal(it.instance.data.ready, false);
  wx.on("login", { code: "c" });
  await tap();
  assert.deepEqual(heard.map(([type]) => type), ["login"]);
  assert.equal(it.instance.data.ready, true);
});

test("a session key that is gone asks for another tap", async () => {
  const wx = fakeWx().on("POST /v1/phone", problem(409, "session_key_expired", "relogin_then_retap"));
  const { heard, tap } = await show(wx, 'type="phone"');
  await tap("getphonenumber", { encryptedData: "e", iv: "i", errMsg: "getPhoneNumber:ok" });
  assert.deepEqual(heard.map(([type, { action }]) => [type, action]), [["error", "relogin_then_retap"]]);
  assert.equal(wx.made("login").length, 2);
});
