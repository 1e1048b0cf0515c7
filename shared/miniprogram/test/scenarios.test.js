"use strict";

// The cases of tests/fixtures/client-scenarios.json, each by its name.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { createAuth } = require("..");
const { auth, clock, fakeWx, loggedOut, NO_ANSWER, ok, openPage, pass, recorder, settle } = require("../test-support/fake");

const { cases } = JSON.parse(fs.readFileSync(path.join(__dirname, "../../../tests/fixtures/client-scenarios.json"), "utf8"));
const API = "https://api.example.com";
const origins = [API];

const scenarios = {
  async "offline, a guarded page"(t) {
    clock(t);
    const wx = fakeWx().on("POST /v1/login", NO_ANSWER);
    const { names, page } = recorder();
    const shown = openPage(auth(wx).guardPage(page));
    shown.onReady();
    await pass(t, 4000);
    assert.deepEqual(shown.data.authError, { code: "network", action: "retry", title: "request:fail timeout" });
    assert.deepEqual([shown.data.authed, names()], [false, ["error"]]);

    await pass(t, 60000);
    wx.on("POST /v1/login", ok({ access_token: "a", refresh_token: "r", expires_in: 900, openid: "o-ada" }));
    wx.goOnline();
    await settle();
    assert.deepEqual([shown.data.authed, shown.data.authError], [true, null]);
    assert.deepEqual(names(), ["error", "load", "show", "ready"]);
    wx.goOnline();
    await settle();
    assert.equal(names().length, 4);
    assert.deepEqual([wx.made("showModal").length, wx.made("navigateBack").length], [0, 0]);
  },

  async "offline, asked for interactively"(t) {
    clock(t);
    const wx = fakeWx().on("POST /v1/login", NO_ANSWER);
    const rejected = assert.rejects(auth(wx).ensure({ interactive: true }), { code: "network", action: "retry" });
    await pass(t, 4000);
    await rejected;
    assert.equal(wx.made("showModal").length, 0);
  },

  async "not logged in, said inside of a 200"() {
    const wx = fakeWx().on("GET /orders", ok({ code: 401, msg: "未登录" }), ok([{ id: 1 }]));
    const client = auth(wx, { origins, expired: ({ data }) => data.code === 401 });
    await client.login();
    const { data } = await client.request({ url: `${API}/orders` });
    assert.deepEqual(data, [{ id: 1 }]);
    assert.deepEqual([wx.made("request", "/v1/refresh").length, wx.made("login").length], [1, 1]);
  },

  async "a 403 of one's own API"() {
    const refused = { statusCode: 403, data: { message: "not yours" } };
    const wx = fakeWx().on("POST /orders", refused);
    const client = auth(wx, { origins });
    await client.login();
    assert.equal(await client.request({ url: `${API}/orders`, method: "POST" }), refused);
    assert.deepEqual([wx.made("request", "/orders").length, wx.made("request", "/v1/refresh").length], [1, 0]);
  },

  async "the login page is the modal"() {
    const { wx, client } = await loggedOut({ loginPage: "/pages/auth/index" });
    const promise = client.ensure({ interactive: true });
    await settle();
    assert.deepEqual(wx.made("navigateTo").map(({ url }) => url), ["/pages/auth/index"]);
    await client.login();
    assert.equal((await promise).openid, "o-ada");
    assert.deepEqual([wx.made("navigateTo").length, wx.made("showModal").length], [1, 0]);
  },

  /** The component itself is tapped in test-component/render.mjs; this is what its tap calls. */
  async "<auth-button> after a logout"() {
    const { wx, client } = await loggedOut();
    let definition;
    globalThis.Component = (options) => (definition = options);
    globalThis.getApp = () => ({ auth: client });
    try {
      require("../components/auth-button/index");
      const heard = [];
      const button = { ...definition.methods, data: { type: "login", ...definition.data } };
      button.setData = (change) => Object.assign(button.data, change);
      button.triggerEvent = (name, detail) => heard.push([name, detail.openid]);
      await button.onTap();
      assert.deepEqual(heard, [["login", "o-ada"]]);
    } finally {
      delete globalThis.Component;
      delete globalThis.getApp;
    }
    assert.deepEqual([wx.made("login").length, wx.made("showModal").length], [1, 0]);
  },

  async "privacy refused"() {
    const wx = fakeWx();
    const detail = { errno: 104, errMsg: "getPhoneNumber:fail privacy permission is not authorized" };
    await assert.rejects(auth(wx).phone({ detail }), { code: "user_denied", action: "stop" });
    assert.equal(wx.calls.length, 0);
  },

  async "not declared in the privacy guide"() {
    const wx = fakeWx();
    const detail = { errno: 112, errMsg: "getPhoneNumber:fail api scope is not declared in the privacy agreement" };
    await assert.rejects(auth(wx).phone({ detail }), { code: "privacy_undeclared", action: "fix" });
    assert.equal(wx.calls.length, 0);
  },

  async "opened from Moments (scene 1154)"() {
    const wx = fakeWx().on("login", { errMsg: "login:fail" });
    wx.getLaunchOptionsSync = () => ({ scene: 1154, apiCategory: "browseOnly" });
    const { heard, page } = recorder();
    const shown = openPage(auth(wx).guardPage(page, { redirect: "/pages/index/index" }));
    await settle();
    shown.onReady();
    assert.deepEqual(heard.map(([name, authed]) => [name, authed]), [["load", false], ["show", false], ["ready", false]]);
    assert.deepEqual([shown.data.authed, shown.data.authError], [false, null]);
    assert.deepEqual(wx.calls.map(({ name }) => name), [], "no modal, no navigation, and no login that cannot be");
  },

  async "the task of a request"() {
    const wx = fakeWx().on("GET /orders", { statusCode: 401, data: {} }, ok([]));
    const client = auth(wx, { origins });
    await client.login();
    const tasks = [];
    await client.request({ url: `${API}/orders`, task: (given) => tasks.push(given) });
    assert.deepEqual(tasks.map(({ abort }) => typeof abort), ["function", "function"]);
    assert.notEqual(tasks[0], tasks[1]);
    assert.ok(wx.made("request", "/orders").every(({ task }) => task === undefined), "the platform knows no such option");
  },

  async "a base URL that is none"() {
    const wx = fakeWx();
    for (const options of [{ baseUrl: "" }, { baseUrl: "auth.example.com" }, {}, { baseUrl: null }, { baseUrl: "//auth.example.com" }]) {
      assert.throws(() => createAuth({ wx, ...options }), (error) => error.action === "fix" && /baseUrl/.test(error.message));
    }
  },

  async "a storage that gives parsed JSON"() {
    const wx = fakeWx().on("GET /v1/session", ok({ openid: "o-ada" }));
    const { getStorageSync } = wx;
    wx.getStorageSync = (key) => (getStorageSync(key) ? JSON.parse(getStorageSync(key)) : "");
    await auth(wx).login();
    const restarted = auth(wx);
    assert.equal(restarted.loggedIn, true);
    await restarted.session();
    assert.equal(wx.made("login").length, 1);
  },
};

test("every scenario has a test, and every test a scenario", () => {
  assert.deepEqual(Object.keys(scenarios).sort(), cases.map(({ name }) => name).sort());
});

for (const { name } of cases) test(name, (t) => scenarios[name](t));
