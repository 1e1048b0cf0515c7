"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { auth, fakeWx, gate, loginAnswer, NO_ANSWER, ok, problem, settle } = require("../test-support/fake");

const SIGNED = { mode: "short_series_goods", signData: '{"offerId": "1"}', paySig: "p", signature: "s" };
const CHECK = "GET /v1/session?wechat=check";
const paid = { errMsg: "requestVirtualPayment:ok" };
const refused = (errCode) => ({ errMsg: "requestVirtualPayment:fail", errCode });
const steps = (wx) => wx.calls.map(({ name, url }) => (url || name).replace("https://auth.example.com", ""));
const says = (wechat_session) => ok({ openid: "o-ada", wechat_session });

async function ada(options) {
  const wx = fakeWx().on(CHECK, says("ok"));
  const client = auth(wx, options);
  await client.login();
  wx.calls.length = 0;
  return { wx, client };
}

test("a key that server and phone agree on is left as it is", async () => {
  const { wx, client } = await ada();
  const session = await client.prepareSignature();
  assert.deepEqual(session, client.current());
  assert.deepEqual(steps(wx), ["/v1/session?wechat=check", "checkSession"]);
});

test("whoever is not logged in yet is logged in first", async () => {
  const wx = fakeWx().on(CHECK, says("ok"));
  assert.equal((await auth(wx).prepareSignature()).openid, "o-ada");
  assert.deepEqual(steps(wx), ["login", "/v1/login", "/v1/session?wechat=check", "checkSession"]);
});

test("a stale key costs one login, ahead of the tap", async () => {
  const { wx, client } = await ada();
  wx.on(CHECK, says("stale"));
  await client.prepareSignature();
  assert.deepEqual(steps(wx), ["/v1/session?wechat=check", "login", "/v1/login", "checkSession"]);
});

test("where WeChat does not answer the server, the phone says whether the key is good", async () => {
  for (const [phone, logins] of [["checkSession:ok", 0], ["checkSession:fail session expired", 1]]) {
    const { wx, client } = await ada();
    wx.on(CHECK, says("unknown")).on("checkSession", { errMsg: phone });
    await client.prepareSignature();
    assert.equal(wx.made("login").length, logins, phone);
  }
});

test("without an answer nothing is promised, and nobody is logged in for it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { wx, client } = await ada();
  wx.on(CHECK, NO_ANSWER);
  const prepared = assert.rejects(client.prepareSignature(), { code: "network", action: "retry" });
  for (let turn = 0; turn < 3; turn += 1) {
    await settle();
    t.mock.timers.tick(10000);
  }
  await prepared;
  assert.equal(wx.made("login").length, 0);
});

test("after a logout nothing is prepared", async () => {
  const { wx, client } = await ada();
  wx.on("DELETE /v1/session", { statusCode: 204, data: "" });
  await client.logout();
  await assert.rejects(client.prepareSignature(), { code: "logged_out" });
});

test("what was signed reaches the platform as it came, and the platform's outcome the page", async () => {
  const { wx, client } = await ada();
  wx.on("requestVirtualPayment", refused(-2), paid);
  await assert.rejects(client.pay(SIGNED), ({ errCode }) => errCode === -2);
  assert.equal((await client.pay(SIGNED)).errMsg, paid.errMsg);
  const { name, success, fail, ...given } = wx.made("requestVirtualPayment")[1];
  assert.deepEqual(given, SIGNED);
});

test("a second tap does not open a second payment", async () => {
  const { wx, client } = await ada();
  await Promise.all([client.pay(SIGNED), client.pay(SIGNED)]);
  assert.equal(wx.made("requestVirtualPayment").length, 1);
});

for (const outcome of [paid, refused(-2)]) {
  test(`no login begins while a payment is open that ends with ${outcome.errCode || 0}`, async () => {
    const { wx, client } = await ada();
    const { promise, open } = gate();
    wx.on("requestVirtualPayment", promise).on(CHECK, says("stale"));

    const payment = client.pay(SIGNED).catch(() => {});
    const others = [client.login(), client.prepareSignature()];
    await settle();
    assert.equal(wx.made("login").length, 0);

    open(outcome);
    await Promise.all([payment, ...others]);
    assert.ok(wx.made("login").length >= 1);
  });
}

test("what goes on without wx.login goes on while a payment is open", async () => {
  const { wx, client } = await ada();
  const { promise, open } = gate();
  wx.on("requestVirtualPayment", promise).on("GET /v1/mine", problem(401, "token_expired", "refresh"), ok(1));
  const payment = client.pay(SIGNED);
  assert.equal((await client.request({ url: "/v1/mine" })).data, 1);
  open(paid);
  await payment;
});

/** The page of a README's chapter on payments. */
function shopOf(readme, wx) {
  const text = fs.readFileSync(path.join(__dirname, "..", readme), "utf8");
  const [, code] = /```js\n(Page\(\{[^`]*auth\.prepareSignature[\s\S]*?)```/.exec(text);
  const client = auth(wx, { origins: ["https://api.example.com"] });
  let page;
  vm.runInNewContext(code, { auth: client, wx, Error, Page: (given) => (page = given) });
  const tap = () => page.onBuy({ currentTarget: { dataset: { product: "vip_month" } } });
  return { client, page, tap };
}

for (const readme of ["README.md", "README.zh-CN.md"]) {
  const shop = async (script) => {
    const wx = fakeWx().on(CHECK, says("ok")).on("POST /orders", ok(SIGNED)).on("showToast", { errMsg: "showToast:ok" });
    wx.showToast = ({ title }) => void wx.toasts.push(title);
    wx.toasts = [];
    script(wx);
    const { client, page, tap } = shopOf(readme, wx);
    await client.login();
    page.onShow();
    await settle();
    wx.calls.length = 0;
    await tap();
    return { wx, made: steps(wx) };
  };
  const ORDER = "https://api.example.com/orders";
  const LOGIN = ["login", "/v1/login"];

  test(`the page of ${readme} orders and pays`, async () => {
    const { wx, made } = await shop(() => {});
    assert.deepEqual(made, [ORDER, "requestVirtualPayment"]);
    assert.deepEqual([wx.calls[0].data.product, wx.toasts.length], ["vip_month", 0]);
  });

  test(`the page of ${readme} has a stale key renewed and the order signed again`, async () => {
    const stale = problem(409, "stale", "relogin");
    const { made } = await shop((wx) => wx.on("POST /orders", stale, ok(SIGNED)));
    assert.deepEqual(made, [ORDER, ...LOGIN, ORDER, "requestVirtualPayment"]);
  });

  for (const code of [-15005, -15007]) {
    test(`the page of ${readme} logs in and has the order signed again, once, after ${code}`, async () => {
      const once = [ORDER, "requestVirtualPayment"];
      const good = await shop((wx) => wx.on("requestVirtualPayment", refused(code), paid));
      assert.deepEqual(good.made, [...once, ...LOGIN, ...once]);
      const bad = await shop((wx) => wx.on("requestVirtualPayment", { errMsg: "requestVirtualPayment:fail", errno: code }));
      assert.deepEqual(bad.made, [...once, ...LOGIN, ...once]);
      assert.deepEqual([good.wx.toasts, bad.wx.toasts], [[], ["支付失败"]]);
    });
  }

  test(`the page of ${readme} says nothing to a user who cancelled, and something after any other failure`, async () => {
    assert.deepEqual((await shop((wx) => wx.on("requestVirtualPayment", refused(-2)))).wx.toasts, []);
    const { wx, made } = await shop((wx) => wx.on("requestVirtualPayment", refused(-15006)));
    assert.deepEqual([made, wx.toasts], [[ORDER, "requestVirtualPayment"], ["支付失败"]]);
  });
}

test("a login that a payment held back answers all that wait for it", async () => {
  const { wx, client } = await ada();
  const { promise, open } = gate();
  wx.on("requestVirtualPayment", promise).on("POST /v1/login", () => loginAnswer());
  const payment = client.pay(SIGNED);
  const logins = [client.login(), client.login()];
  open(paid);
  await payment;
  const [one, other] = await Promise.all(logins);
  assert.equal(one.access_token, other.access_token);
  assert.equal(wx.made("login").length, 1);
});
