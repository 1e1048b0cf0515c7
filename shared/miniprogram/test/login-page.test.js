"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { gate, loggedOut, loginAnswer, ok, openPage, recorder, settle } = require("../test-support/fake");

const PAGE = "pages/auth/index";
const loginPage = `/${PAGE}?from=test`;

/** A phone whose pages are a stack, as `getCurrentPages` tells it. */
async function phone(t, options) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const { wx, client } = await loggedOut({ loginPage, ...options });
  const stack = [{ route: "pages/index/index" }];
  wx.on("navigateTo", ({ url }) => {
    stack.push({ route: url.slice(1).split("?")[0] });
    return { errMsg: "navigateTo:ok" };
  });
  globalThis.getCurrentPages = () => stack;
  t.after(() => delete globalThis.getCurrentPages);
  const pass = async (ms) => {
    for (let left = ms; left > 0; left -= 100) {
      await settle();
      t.mock.timers.tick(100);
    }
    await settle();
  };
  return { wx, client, stack, pass, back: () => stack.pop() };
}

const opened = (wx) => wx.made("navigateTo").map(({ url }) => url);

test("all who wait for the user wait for one page, and go on after its login", async (t) => {
  const { wx, client, pass } = await phone(t);
  wx.on("request", ok({ fine: true }));
  const asked = [client.ensure({ interactive: true }), client.showLoginModal(), client.request({ url: "/x", interactive: true })];
  await pass(10000);
  assert.deepEqual(opened(wx), [loginPage]);
  await client.login();
  await pass(300);
  const [session, shown, answer] = await Promise.all(asked);
  assert.deepEqual([session.openid, answer.data.fine, wx.made("showModal").length], ["o-ada", true, 0]);
  assert.deepEqual(Object.keys(shown), ["openid", "device", "access_token"], "what renews a session stays in the storage");
});

test("a page that is closed without a login is a refusal, and the next need opens it again", async (t) => {
  const { wx, client, pass, back } = await phone(t);
  for (const times of [1, 2]) {
    const refused = assert.rejects(client.ensure({ interactive: true }), { code: "user_refused", action: "stop" });
    await pass(1000);
    back();
    await pass(300);
    await refused;
    assert.equal(opened(wx).length, times);
  }
  assert.equal(wx.made("login").length, 0);
});

test("a login that is under way when the page is closed counts", async (t) => {
  const { wx, client, pass, back } = await phone(t);
  const late = gate();
  const asked = client.ensure({ interactive: true });
  await pass(500);
  wx.on("POST /v1/login", late.promise);
  client.login();
  await pass(100);
  back();
  await pass(1000);
  late.open(loginAnswer());
  assert.equal((await asked).openid, "o-ada");
});

test("a page that cannot be opened gives way to the modal", async (t) => {
  const { wx, client } = await phone(t);
  wx.on("navigateTo", { errMsg: "navigateTo:fail webview count limit exceed" });
  assert.equal((await client.ensure({ interactive: true })).openid, "o-ada");
  assert.equal(wx.made("showModal").length, 1);
});

test("a guarded page opens it, is hidden by it, and goes on when it comes back", async (t) => {
  const { wx, client, pass, back } = await phone(t);
  const { names, page } = recorder();
  const shown = openPage(client.guardPage(page));
  shown.onReady();
  await pass(300);
  shown.onHide();
  await client.login();
  back();
  shown.onShow();
  await pass(300);
  assert.deepEqual(names(), ["load", "show", "ready"]);
  assert.deepEqual(opened(wx), [loginPage]);
});

test("a guarded page whose login page is closed goes where a refusal goes", async (t) => {
  const { wx, client, pass, back } = await phone(t);
  const { names, page } = recorder();
  const shown = openPage(client.guardPage(page, { redirect: "/pages/index/index" }));
  await pass(300);
  shown.onHide();
  back();
  shown.onShow();
  await pass(300);
  assert.deepEqual([names(), wx.made("redirectTo").length, opened(wx).length], [[], 1, 1]);
});

test("without a logout nobody is sent there", async (t) => {
  const { wx, client } = await phone(t);
  await client.login();
  wx.on("request", ok({}));
  await client.request({ url: "/x", interactive: true });
  assert.deepEqual(opened(wx), []);
});

test("with `modal: false` the page alone asks", async (t) => {
  const { wx, client, pass } = await phone(t, { modal: false });
  const asked = client.ensure({ interactive: true });
  await pass(300);
  await client.login();
  await pass(300);
  await asked;
  assert.deepEqual([opened(wx).length, wx.made("showModal").length], [1, 0]);
});
