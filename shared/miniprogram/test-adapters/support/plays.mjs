// What a person sees of the sample project, whichever framework it was built by. Time stands still but for what a play lets pass.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { start } from "./host.mjs";

const { GONE, NO_ANSWER, clock, fakeWx, gate, ok, pass, problem } = createRequire(import.meta.url)("../../test-support/fake");

const TEA = ok([{ id: 1, title: "茶" }]);
const OVER = problem(401, "token_expired", "refresh");

/** One run of the mini program in `folder`: what it shows is `words(page, route)`. */
export function createRun(t, { folder, words }, script = () => {}) {
  clock(t);
  const wx = fakeWx().on("GET /orders", TEA).on("DELETE /v1/session", GONE);
  script(wx);
  const program = start(folder, wx);
  const wait = () => pass(t, 1000);
  return {
    ...program,
    wait,
    wx,
    called: () => wx.calls.map(({ name, url }) => (url ? new URL(url).pathname : name)),
    async open(route) {
      const host = program.open(route);
      const shown = () => words(host.page, route);
      const said = () => shown().map((item) => item.words);
      await wait();
      return {
        ...host,
        said,
        async tap(label) {
          const item = shown().find((one) => one.words === label);
          const target = { id: item.sid, dataset: { sid: item.sid } };
          host.page[item.tap]({ type: "tap", timeStamp: Date.now(), detail: {}, target, currentTarget: target, mark: {} });
          await wait();
        },
      };
    },
  };
}

const ORDERS = "pages/orders/orders";
const HOME = "pages/home/home";
const SHOWN = ["茶"];
const FAILED = ["暂时无法登录", "重试"];

export function play(built) {
  test("a guarded page says that it logs in, does so without a question, and then runs its hooks", async (t) => {
    const { answer, login } = held();
    const run = createRun(t, built, (wx) => wx.on("POST /v1/login", () => login));
    const page = await run.open(ORDERS);
    assert.deepEqual([page.said(), run.called()], [["登录中…"], ["login", "/v1/login"]]);
    answer();
    await run.wait();
    assert.deepEqual([page.said(), run.called()], [SHOWN, ["login", "/v1/login", "/orders"]]);
    assert.equal(run.wx.made("request", "/orders")[0].header.Authorization, "Bearer access-of-1");
  });

  test("three requests at once with a token that is over cost one renewal, and each is sent again once", async (t) => {
    const run = createRun(t, built);
    const page = await run.open(ORDERS);
    const { access_token: stale } = run.wx.held();
    run.wx.on("GET /orders", ({ header }) => (header.Authorization === `Bearer ${stale}` ? OVER : ok([{ id: 2, title: "米" }])));
    run.wx.calls.length = 0;
    for (let pull = 0; pull < 3; pull += 1) page.hook("onPullDownRefresh");
    await run.wait();
    assert.deepEqual(page.said(), ["米"]);
    const sent = run.called().filter((name) => name !== "stopPullDownRefresh");
    assert.deepEqual(sent, [...Array(3).fill("/orders"), "/v1/refresh", ...Array(3).fill("/orders")]);
  });

  test("a pull to refresh loads again, and a page that is shown again does so, too", async (t) => {
    const run = createRun(t, built);
    const page = await run.open(ORDERS);
    page.hook("onPullDownRefresh");
    await run.wait();
    page.hook("onHide");
    page.hook("onShow");
    await run.wait();
    assert.deepEqual(run.called(), ["login", "/v1/login", "/orders", "/orders", "stopPullDownRefresh", "/orders"]);
  });

  test("a failure of the API is told, and the page stays", async (t) => {
    const run = createRun(t, built, (wx) => wx.on("GET /orders", { statusCode: 500, data: "" }));
    const page = await run.open(ORDERS);
    assert.deepEqual([page.said(), run.wx.made("showToast").map(({ title }) => title)], [[], ["加载失败"]]);
    run.wx.on("GET /orders", TEA);
    page.hook("onPullDownRefresh");
    await run.wait();
    assert.deepEqual(page.said(), SHOWN);
  });

  test("who is logged in is shown until they log out; the next guarded page then asks, once", async (t) => {
    const run = createRun(t, built);
    const orders = await run.open(ORDERS);
    orders.hook("onHide");
    const home = await run.open(HOME);
    assert.deepEqual(home.said(), ["o-ada", "退出"]);
    await home.tap("退出");
    assert.deepEqual(home.said(), ["未登录"]);
    home.hook("onHide");
    orders.hook("onShow");
    await run.wait();
    assert.deepEqual([orders.said(), run.wx.made("showModal").length, run.wx.made("login").length], [SHOWN, 1, 2]);
    assert.deepEqual(home.said(), ["o-ada", "退出"]);
  });

  test("whoever declines goes back, and no hook of the page has run", async (t) => {
    const run = createRun(t, built, (wx) => wx.on("showModal", { confirm: false }));
    const home = await run.open(HOME);
    run.wx.storage.set("wxauth:@https://auth.example.com", '{"left":true}');
    home.hook("onHide");
    await run.open(ORDERS);
    assert.deepEqual(run.called(), ["showModal", "navigateBack"]);
  });

  for (const [what, act] of [
    ["when the network comes back", ({ run }) => run.wx.goOnline()],
    ["by a tap", ({ page }) => page.tap("重试")],
  ]) {
    test(`an outage is told without a modal, and over ${what}`, async (t) => {
      const run = createRun(t, built, (wx) => wx.on("POST /v1/login", NO_ANSWER));
      const page = await run.open(ORDERS);
      for (let second = 0; second < 12; second += 1) await run.wait();
      assert.deepEqual([page.said(), run.wx.made("showModal").length], [FAILED, 0]);
      run.wx.on("POST /v1/login", ok(tokensOf(2)));
      await act({ page, run });
      await run.wait();
      assert.deepEqual(page.said(), SHOWN);
    });
  }

  test("a page that was hidden while it logged in loads when it is shown again", async (t) => {
    const { answer, login } = held();
    const run = createRun(t, built, (wx) => wx.on("POST /v1/login", () => login));
    const page = await run.open(ORDERS);
    page.hook("onHide");
    answer();
    await run.wait();
    const before = run.wx.made("request", "/orders").length;
    page.hook("onShow");
    await run.wait();
    assert.deepEqual([before, page.said(), run.wx.made("request", "/orders").length], [0, SHOWN, 1]);
  });

  test("a page that was left while it logged in is told nothing", async (t) => {
    const run = createRun(t, built, (wx) => wx.on("POST /v1/login", NO_ANSWER));
    const page = await run.open(ORDERS);
    page.hook("onUnload");
    run.wx.on("POST /v1/login", ok(tokensOf(3)));
    for (let second = 0; second < 12; second += 1) await run.wait();
    assert.equal(run.wx.made("request", "/orders").length, 0);
  });
}

/** A login that is answered when the play says so. */
function held() {
  const { open, promise } = gate();
  return { answer: () => open(ok(tokensOf(1))), login: promise };
}

const tokensOf = (number) => ({
  access_token: `access-of-${number}`,
  refresh_token: `refresh-of-${number}`,
  expires_in: 900,
  openid: "o-ada",
  device: "d-1",
  new_user: false,
});
