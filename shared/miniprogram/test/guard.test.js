"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, clock, fakeWx, gate, GONE, loggedOut, loginAnswer, NO_ANSWER, openPage: open, pass, problem, recorder, settle } = require("../test-support/fake");

test("a page waits for the login, then loads and shows", async () => {
  const wx = fakeWx();
  const { heard, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  assert.deepEqual([heard, shown.data, shown.tap()], [[], { a: 1, authed: false, authError: null }, "own"]);
  await settle();
  assert.deepEqual(heard, [["load", true, { id: "7" }], ["show", true, undefined]]);
});

test("who is logged in notices nothing: the hooks run as ever, each once, in the same turn", async () => {
  const wx = fakeWx();
  const client = auth(wx);
  await client.login();
  const { heard, page } = recorder();
  const shown = open(client.guardPage(page));
  shown.onHide();
  shown.onShow();
  shown.onUnload();
  assert.deepEqual(heard.map(([name]) => name), ["load", "show", "hide", "show", "unload"]);
});

test("two tabs at once: one modal, and only the page that is in front goes away", async () => {
  const { wx, client } = await loggedOut();
  const answer = gate();
  wx.on("showModal", answer.promise);
  const [first, second] = [recorder(), recorder()];
  const hidden = open(client.guardPage(first.page));
  hidden.onHide();
  open(client.guardPage(second.page, { redirect: "/pages/index/index" }));
  await settle();
  answer.open({ confirm: false });
  await settle();
  assert.equal(wx.made("showModal").length, 1);
  assert.deepEqual(wx.made("redirectTo").map(({ url }) => url), ["/pages/index/index"]);
  assert.equal(wx.made("navigateBack").length, 0);
  assert.deepEqual([first.heard, second.heard], [[], []]);
});

test("hidden and shown again while it waits, a page shows once", async () => {
  const wx = fakeWx();
  const late = gate();
  wx.on("POST /v1/login", late.promise);
  const { heard, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  shown.onHide();
  shown.onShow();
  shown.onShow();
  await settle();
  late.open(loginAnswer());
  await settle();
  assert.deepEqual(heard.map(([name]) => name), ["load", "show"]);
});

test("a page that was closed meanwhile neither loads nor navigates", async () => {
  for (const confirm of [true, false]) {
    const { wx, client } = await loggedOut();
    const answer = gate();
    wx.on("showModal", answer.promise);
    const { heard, page } = recorder();
    const shown = open(client.guardPage(page));
    await settle();
    shown.onUnload();
    answer.open({ confirm });
    await settle();
    assert.deepEqual(heard, []);
    assert.equal(wx.made("navigateBack").length, 0);
  }
});

test("a refusal goes back, or to the redirect, be it a tab or not; the first page stays", async () => {
  for (const [redirect, failing, expected] of [
    [undefined, [], ["navigateBack"]],
    ["/pages/a", [], ["redirectTo"]],
    ["/pages/a", ["redirectTo"], ["redirectTo", "switchTab"]],
    [undefined, ["navigateBack"], ["navigateBack"]],
  ]) {
    const { wx, client } = await loggedOut();
    wx.on("showModal", { confirm: false });
    for (const name of failing) wx.on(name, { errMsg: `${name}:fail` });
    const { heard, page } = recorder();
    open(client.guardPage(page, { redirect }));
    await settle();
    assert.deepEqual(wx.calls.map(({ name }) => name).filter((name) => !/showModal|stopPull/.test(name)), expected);
    assert.deepEqual(heard, expected.length === failing.length ? [["error", "user_refused"]] : []);
  }
});

test("a failure that is not the user's no leaves the page where it is, and the next show tries again", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" });
  const { names, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  await settle();
  assert.deepEqual([names(), wx.made("navigateBack").length], [["error"], 0]);
  wx.on("login", { code: "c" });
  shown.onShow();
  await settle();
  assert.deepEqual(names(), ["error", "load", "show"]);
});

test("after a logout the page is closed to the eye before it asks", async () => {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx);
  await client.login();
  const { page } = recorder();
  const shown = open(client.guardPage(page));
  await client.logout();
  wx.on("showModal", { confirm: false });
  shown.onShow();
  assert.equal(shown.data.authed, false);
});

test("a page without hooks or data is guarded too, and two pages of one kind do not meet", async () => {
  const wx = fakeWx();
  const options = auth(wx).guardPage({});
  const [one, two] = [open(options), open(options)];
  await settle();
  assert.deepEqual([one.data.authed, two.data.authed], [true, true]);
  one.onHide();
  one.onUnload();
});

test("the hooks run in the order in which they came, and taps wait with them", async () => {
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise);
  const { heard, names, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  shown.onReady();
  shown.onTabItemTap({ index: 1 });
  shown.onPullDownRefresh();
  await settle();
  assert.deepEqual(heard, []);
  late.open(loginAnswer());
  await settle();
  assert.deepEqual(names(), ["load", "show", "ready", "tab", "pull"]);
  assert.deepEqual(heard[3], ["tab", true, { index: 1 }]);
  shown.onPullDownRefresh();
  assert.equal(names().length, 6, "from now on at once");
});

test("hidden before it was ready, it still shows before it is ready", async () => {
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise);
  const { names, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  shown.onHide();
  shown.onReady();
  shown.onShow();
  late.open(loginAnswer());
  await settle();
  assert.deepEqual(names(), ["load", "show", "ready"]);
});

test("a hook that throws does not keep the next one from running", async () => {
  const client = auth(fakeWx());
  await client.login();
  const { names, page } = recorder({
    onLoad() {
      throw new Error("the page's own");
    },
  });
  const options = client.guardPage(page);
  assert.throws(() => open(options), /the page's own/);
  assert.deepEqual(names(), ["show"]);
});

for (const [what, outage, told] of [
  ["WeChat's outage", problem(504, "wechat_timeout", "relogin"), { code: "wechat_timeout", action: "relogin", title: "wechat_timeout" }],
  ["a block", problem(403, "user_blocked", "stop"), { code: "user_blocked", action: "stop", title: "user_blocked" }],
  ["a gateway", { statusCode: 404, data: {} }, { code: undefined, action: "fix", title: "HTTP 404" }],
]) {
  test(`${what} is told to the page, which stays and asks nobody`, async () => {
    const wx = fakeWx().on("POST /v1/login", outage);
    const { names, page } = recorder();
    const shown = open(auth(wx).guardPage(page, { redirect: "/pages/index/index" }));
    await settle();
    assert.deepEqual(shown.data, { a: 1, authed: false, authError: told });
    assert.deepEqual(names(), ["error"]);
    assert.deepEqual([wx.made("showModal").length, wx.made("redirectTo").length], [0, 0]);
  });
}

test("retryAuth is a tap: it tries at once, however many silent logins failed before", async (t) => {
  clock(t);
  const wx = fakeWx().on("POST /v1/login", problem(504, "wechat_timeout", "relogin"));
  const client = auth(wx);
  const { names, page } = recorder();
  const shown = open(client.guardPage(page));
  await settle();
  for (let i = 0; i < 5; i += 1) await client.ensure().catch(() => {});
  const silent = wx.made("login").length;
  await shown.retryAuth();
  assert.equal(wx.made("login").length, silent + 1);
  assert.equal(shown.data.authError.code, "wechat_timeout");
  wx.on("POST /v1/login", loginAnswer());
  const retried = shown.retryAuth();
  assert.deepEqual(shown.data.authError, null, "what failed before is over");
  await retried;
  assert.deepEqual([shown.data.authed, shown.data.authError], [true, null]);
  assert.deepEqual(names(), ["error", "error", "load", "show"]);
});

test("a pull on a page that failed tries again, and comes to an end either way", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" });
  const { names, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  shown.onReady();
  await settle();
  shown.onPullDownRefresh();
  await settle();
  assert.deepEqual([names(), wx.made("login").length], [["error", "error"], 2]);
  assert.equal(wx.calls[wx.calls.length - 1].name, "stopPullDownRefresh");
  wx.on("login", { code: "c" });
  shown.onPullDownRefresh();
  await settle();
  assert.deepEqual(names().slice(2), ["load", "show", "ready", "pull"]);
});

test("when the network comes back, the page in front goes on by itself, and no other", async (t) => {
  clock(t);
  const wx = fakeWx().on("POST /v1/login", NO_ANSWER);
  const client = auth(wx);
  const [hidden, closed, front] = [recorder(), recorder(), recorder()];
  const pages = [hidden, closed, front].map(({ page }) => open(client.guardPage(page)));
  await pass(t, 4000);
  pages[0].onHide();
  pages[1].onUnload();
  const before = wx.made("login").length;
  wx.on("POST /v1/login", loginAnswer());
  wx.goOnline();
  await settle();
  assert.deepEqual([hidden.names(), closed.names(), front.names()], [["error"], ["error"], ["error", "load", "show"]]);
  assert.equal(wx.made("login").length, before + 1);
  pages[0].onShow();
  assert.deepEqual(hidden.names(), ["error", "load", "show"]);
});

test("a network that changes without coming back changes nothing", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" });
  let tell;
  wx.onNetworkStatusChange = (listener) => (tell = listener);
  open(auth(wx).guardPage(recorder().page));
  await settle();
  tell({ isConnected: false, networkType: "none" });
  await settle();
  assert.equal(wx.made("login").length, 1);
});

test("a platform that tells nothing of its network has pages that wait for a tap", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" }, { code: "c" });
  delete wx.onNetworkStatusChange;
  const { names, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  await settle();
  await shown.retryAuth();
  assert.deepEqual(names(), ["error", "load", "show"]);
});

test("a first page that has nowhere to go is told that the user refused, and its tap logs in", async () => {
  const { wx, client } = await loggedOut();
  wx.on("showModal", { confirm: false }).on("navigateBack", { errMsg: "navigateBack:fail cannot navigate back at first page" });
  const { names, page } = recorder();
  const shown = open(client.guardPage(page));
  await settle();
  assert.equal(shown.data.authError.code, "user_refused");
  await shown.retryAuth();
  assert.deepEqual(names(), ["error", "load", "show"]);
  assert.equal(wx.made("showModal").length, 1);
});

test("a page that Component makes is guarded by its methods", async () => {
  const wx = fakeWx();
  const { heard, names, page } = recorder();
  const { data, ...methods } = page;
  const options = auth(wx).guardPage({ data, properties: { id: String }, methods });
  assert.deepEqual(Object.keys(options).sort(), ["data", "methods", "properties"]);
  const shown = open(options);
  shown.onReady();
  assert.deepEqual([heard, shown.data, shown.tap()], [[], { a: 1, authed: false, authError: null }, "own"]);
  await settle();
  assert.deepEqual(names(), ["load", "show", "ready"]);
  assert.equal(shown.data.authed, true);
  shown.onHide();
  shown.onUnload();
  assert.deepEqual(names().slice(3), ["hide", "unload"]);
});
