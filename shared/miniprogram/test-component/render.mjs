// The component in a simulated page.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { simulate } from "../test-support/simulate.mjs";

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const { auth: createFake, fakeWx, loggedOut, ok, problem } = require("../test-support/fake");

const NUMBER = { phoneNumber: "13800138000", purePhoneNumber: "13800138000", countryCode: "86" };
const button = simulate.load(path.join(here, "../components/auth-button/index"), "auth-button");
const soon = () => simulate.sleep(20);

/** A page with the button in it, and what it heard. */
async function show(client, attributes = "") {
  globalThis.getApp = () => ({ auth: client });
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
  const lives = (name) => (rendered.triggerPageLifeTime(name), soon());
  return { heard, it, inner, lives, tap: (type = "tap", detail) => (inner.dispatchEvent(type, { detail }), soon()) };
}

test("a tap logs in, and the page hears of it", async () => {
  const wx = fakeWx();
  const { heard, it, inner, tap } = await show(createFake(wx));
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
  const { heard, tap } = await show(createFake(wx));
  await tap();
  assert.deepEqual(heard.map(([type, { code }]) => [type, code]), [["error", "user_blocked"]]);
});

test("two taps are one login", async () => {
  const wx = fakeWx();
  const { heard, tap } = await show(createFake(wx));
  await Promise.all([tap(), tap()]);
  assert.equal(wx.made("login").length, 1);
  assert.equal(heard.length, 1);
});

test("a phone button is one only after the login, and a tap then brings the number without wx.login", async () => {
  const wx = fakeWx().on("POST /v1/phone", ok(NUMBER));
  const { heard, it, tap } = await show(createFake(wx), 'type="phone"');
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
  const { heard, it, tap } = await show(createFake(wx), 'type="phone"');
  assert.equal(it.instance.data.ready, false);
  wx.on("login", { code: "c" });
  await tap();
  assert.deepEqual(heard.map(([type]) => type), ["login"]);
  assert.equal(it.instance.data.ready, true);
});

test("a session key that is gone asks for another tap", async () => {
  const wx = fakeWx().on("POST /v1/phone", problem(409, "session_key_expired", "relogin_then_retap"));
  const { heard, tap } = await show(createFake(wx), 'type="phone"');
  await tap("getphonenumber", { encryptedData: "e", iv: "i", errMsg: "getPhoneNumber:ok" });
  assert.deepEqual(heard.map(([type, { action }]) => [type, action]), [["error", "relogin_then_retap"]]);
  assert.equal(wx.made("login").length, 2);
});

test("after a logout the tap logs in, and no modal asks once more", async () => {
  const { wx, client } = await loggedOut();
  const { heard, tap } = await show(client);
  await tap();
  assert.deepEqual(heard.map(([type]) => type), ["login"]);
  assert.deepEqual([wx.made("login").length, wx.made("showModal").length], [1, 0]);
});

test("whoever is logged in already is not logged in again by the tap", async () => {
  const wx = fakeWx();
  const client = createFake(wx);
  await client.login();
  const { heard, tap } = await show(client);
  await tap();
  assert.deepEqual([heard.map(([type]) => type), wx.made("login").length], [["login"], 1]);
});

test("the session key is looked after once when the page is shown, and once whenever it is shown again", async () => {
  const wx = fakeWx();
  const { lives } = await show(createFake(wx), 'type="phone"');
  await lives("show");
  assert.equal(wx.made("checkSession").length, 1);
  await lives("hide");
  await lives("show");
  assert.equal(wx.made("checkSession").length, 2);
});

for (const [attributes, type] of [
  ['type="phone"', "getPhoneNumber"],
  ['type="phone" realtime', "getRealtimePhoneNumber"],
  ['type="phone" privacy', "getPhoneNumber|agreePrivacyAuthorization"],
  ['type="phone" realtime privacy', "getRealtimePhoneNumber|agreePrivacyAuthorization"],
  ["privacy", "agreePrivacyAuthorization"],
  ["", ""],
]) {
  test(`<auth-button ${attributes}> opens ${type || "nothing"}`, async () => {
    globalThis.wx = { getPrivacySetting() {} };
    const { it } = await show(createFake(fakeWx()), attributes);
    assert.equal(it.instance.data.openType, type);
    delete globalThis.wx.getPrivacySetting;
    const older = await show(createFake(fakeWx()), attributes);
    assert.equal(older.it.instance.data.openType, type.split("|").filter((name) => name !== "agreePrivacyAuthorization").join(""));
  });
}

test("a number by the real-time button is a number, and a tap that agrees logs in", async () => {
  globalThis.wx = { getPrivacySetting() {} };
  const wx = fakeWx().on("POST /v1/phone", ok(NUMBER));
  const { heard, tap } = await show(createFake(wx), 'type="phone" realtime privacy');
  await tap("getrealtimephonenumber", { code: "phone-code", errMsg: "getRealtimePhoneNumber:ok" });
  assert.deepEqual(heard, [["phone", NUMBER]]);
  const login = await show(createFake(fakeWx()), "privacy");
  await login.tap();
  assert.deepEqual(login.heard.map(([type]) => type), ["login"]);
});

for (const [errno, code] of [[104, "user_denied"], [112, "privacy_undeclared"], [1400001, "phone_quota"]]) {
  test(`errno ${errno} of the button is told as ${code}`, async () => {
    const { heard, tap } = await show(createFake(fakeWx()), 'type="phone" quota-toast="{{false}}"');
    await tap("getphonenumber", { errno, errMsg: "getPhoneNumber:fail" });
    assert.deepEqual(heard.map(([type, error]) => [type, error.code]), [["error", code]]);
  });
}

test("classes of the page reach the button", async () => {
  const { it } = await show(createFake(fakeWx()), 'auth-class="wide"');
  assert.match(it.dom.innerHTML, /class="[^"]*wide/);
});

test("without an auth in the app, the mistake is told at once", async () => {
  globalThis.getApp = () => ({});
  const { methods } = await new Promise((done) => {
    globalThis.Component = done;
    delete require.cache[require.resolve("../components/auth-button/index.js")];
    require("../components/auth-button/index.js");
  });
  assert.throws(() => methods.auth(), /App\(\{ auth \}\)/);
});

/** The login page to copy, with the component in it, and what it asks of the platform. */
async function loginPage(client, query = {}) {
  globalThis.getApp = () => ({ auth: client });
  const asked = [];
  globalThis.wx = { navigateBack: () => asked.push("back"), openPrivacyContract: () => asked.push("privacy") };
  const { data, ...methods } = await new Promise((done) => {
    globalThis.Page = done;
    delete require.cache[require.resolve("../pages/auth/index.js")];
    require("../pages/auth/index.js");
  });
  methods.getOpenerEventChannel = () => ({ emit: (...told) => asked.push(told) });
  // A navigator is the platform's.
  const template = readFileSync(path.join(here, "../pages/auth/index.wxml"), "utf8").replace(/<navigator.*<\/navigator>/, "");
  const page = simulate.render(simulate.load({ usingComponents: { "auth-button": button }, template, data, methods }));
  page.attach(document.body);
  page.instance.onLoad(query);
  await soon();
  const inner = page.querySelector(".auth-login").querySelector(".auth-button");
  return { asked, page, tap: (type = "tap", detail) => (inner.dispatchEvent(type, { detail }), soon()) };
}

test("the login page logs in at a tap and goes back; its line on privacy opens the guide", async () => {
  const { wx, client } = await loggedOut();
  const { asked, page, tap } = await loginPage(client);
  assert.match(page.dom.innerHTML, /微信登录.*隐私保护指引/s);
  page.querySelector(".auth-link").dispatchEvent("tap");
  await soon();
  await tap();
  assert.deepEqual([asked, wx.made("showModal").length, client.loggedIn], [["privacy", "back"], 0, true]);
});

test("with a phone number it stays until the number is there, which the opener hears", async () => {
  const { wx, client } = await loggedOut();
  wx.on("POST /v1/phone", ok(NUMBER));
  const { asked, page, tap } = await loginPage(client, { type: "phone" });
  await tap();
  assert.deepEqual([asked, client.loggedIn], [[], true]);
  await tap("getphonenumber", { errno: 104, errMsg: "getPhoneNumber:fail" });
  assert.deepEqual([asked, page.instance.data.hint], [[], ""], "whoever declines is told nothing");
  await tap("getphonenumber", { code: "c" });
  assert.deepEqual(asked, [["phone", NUMBER], "back"]);
});

test("a failure stays on the login page, in words", async () => {
  const { wx, client } = await loggedOut();
  wx.on("login", { errMsg: "login:fail" });
  const { asked, page, tap } = await loginPage(client);
  await tap();
  assert.deepEqual([asked, page.instance.data.hint], [[], "网络不稳定，请稍后再试"]);
});
