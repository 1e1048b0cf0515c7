"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, fakeWx, gate, settle } = require("../test-support/fake");

const GONE = { statusCode: 204, data: "" };

/** What the framework makes of the options of a page. */
function open(options, query = { id: "7" }) {
  const page = { ...options, data: { ...options.data } };
  page.setData = (change) => Object.assign(page.data, change);
  if (page.onLoad) page.onLoad(query);
  if (page.onShow) page.onShow();
  return page;
}

function recorder(more) {
  const heard = [];
  const hook = (name) => function (argument) {
    heard.push([name, this.data.authed, argument]);
  };
  return { heard, page: { data: { a: 1 }, onLoad: hook("load"), onShow: hook("show"), onHide: hook("hide"), onUnload: hook("unload"), tap: () => "own", ...more } };
}

async function loggedOut() {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx);
  await client.login();
  await client.logout();
  wx.calls.length = 0;
  return { wx, client };
}

test("a page waits for the login, then loads and shows", async () => {
  const wx = fakeWx();
  const { heard, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  assert.deepEqual([heard, shown.data, shown.tap()], [[], { a: 1, authed: false }, "own"]);
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
  late.open(require("../test-support/fake").loginAnswer());
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
    assert.deepEqual(wx.calls.map(({ name }) => name).filter((name) => name !== "showModal"), expected);
    assert.deepEqual(heard, []);
  }
});

test("a failure that is not the user's no leaves the page where it is, and the next show tries again", async () => {
  const wx = fakeWx().on("login", { errMsg: "login:fail" });
  const { heard, page } = recorder();
  const shown = open(auth(wx).guardPage(page));
  await settle();
  assert.deepEqual([heard, wx.made("navigateBack").length], [[], 0]);
  wx.on("login", { code: "c" });
  shown.onShow();
  await settle();
  assert.deepEqual(heard.map(([name]) => name), ["load", "show"]);
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
