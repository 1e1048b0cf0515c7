"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, fakeWx, gate, INTERRUPTED, loginAnswer, NO_ANSWER, ok, problem, settle, tokens } = require("../test-support/fake");

const REFRESH = "POST /v1/refresh";
const pass = async (t, ms) => {
  await settle();
  t.mock.timers.tick(ms);
  await settle();
};

/** Somebody who is logged in, `age` milliseconds ago. */
async function loggedIn(t, age = 0) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const wx = fakeWx().on("request", ok({ fine: true }));
  const client = auth(wx);
  await client.login();
  t.mock.timers.tick(age);
  return { wx, client };
}

const refreshes = (wx) => wx.made("request", "/v1/refresh").length;
const bearer = (wx, index = 0) => wx.made("request", "/x")[index].header.Authorization;

test("with more than a minute left nothing is refreshed, with less it is", async (t) => {
  const { wx, client } = await loggedIn(t, 839000);
  await client.request({ url: "/x" });
  assert.equal(refreshes(wx), 0);

  t.mock.timers.tick(2000);
  await client.request({ url: "/x" });
  assert.equal(refreshes(wx), 1);
  assert.equal(wx.made("request", "/v1/refresh")[0].timeout, 5500);
  assert.equal(bearer(wx, 1), `Bearer ${wx.held().access_token}`);
});

test("fifty requests wait for one refresh", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  const answers = await Promise.all(Array.from({ length: 50 }, () => client.request({ url: "/x" })));
  assert.equal(refreshes(wx), 1);
  assert.ok(answers.every(({ data }) => data.fine));
});

test("after a clock that went backwards the token is refreshed", async (t) => {
  const { wx, client } = await loggedIn(t);
  t.mock.timers.setTime(1e12 - 5000);
  await client.request({ url: "/x" });
  assert.equal(refreshes(wx), 1);
});

test("the new token is in the storage before anybody uses it", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  let stored;
  wx.on("request", ({ header }) => {
    stored = wx.held().access_token;
    assert.equal(header.Authorization, `Bearer ${stored}`);
    return ok({});
  });
  await client.request({ url: "/x" });
  assert.match(stored, /^access-/);
});

test("three tries within 11 s: half a second, one and a half, and no verdict at the end", async (t) => {
  const { wx, client } = await loggedIn(t, 901000);
  wx.on(REFRESH, NO_ANSWER, INTERRUPTED, problem(503, "unavailable", "retry"));
  const before = wx.held();
  const lost = assert.rejects(client.request({ url: "/x" }), { code: "unavailable", action: "retry" });
  await pass(t, 249);
  assert.equal(refreshes(wx), 1);
  await pass(t, 501);
  assert.equal(refreshes(wx), 2);
  await pass(t, 700);
  assert.equal(refreshes(wx), 2);
  await pass(t, 1600);
  await lost;
  assert.equal(refreshes(wx), 3);
  assert.deepEqual(wx.held(), before, "no failure of the network costs a token");

  wx.on(REFRESH, ok(tokens()));
  await client.request({ url: "/x" });
  assert.equal(wx.made("login").length, 1, "the next need tries again, at once");
});

test("offline with life left, the old token serves", async (t) => {
  const { wx, client } = await loggedIn(t, 870000);
  const { access_token } = wx.held();
  wx.on(REFRESH, NO_ANSWER);
  const answer = client.request({ url: "/x" });
  await pass(t, 1000);
  await pass(t, 3000);
  assert.equal((await answer).data.fine, true);
  assert.equal(bearer(wx), `Bearer ${access_token}`);
});

for (const [status, data] of [
  [401, { message: "Unauthorized" }],
  [403, { message: "Forbidden" }],
  [404, { message: "Not Found" }],
  [429, { message: "Too Many Requests" }],
  [500, "<html>"],
  [502, null],
]) {
  test(`a gateway's ${status} upon a refresh is no verdict`, async (t) => {
    const { wx, client } = await loggedIn(t, 901000);
    const before = wx.held();
    wx.on(REFRESH, { statusCode: status, data });
    const lost = assert.rejects(client.request({ url: "/x" }), { statusCode: status, code: undefined });
    await pass(t, 1000);
    await pass(t, 3000);
    await lost;
    assert.deepEqual(wx.held(), before);
    assert.equal(wx.made("login").length, 1);
    assert.equal(refreshes(wx), status === 429 || status >= 500 ? 3 : 1);
  });
}

test("a refusal that the platform left as text is one all the same", async (t) => {
  const { wx, client } = await loggedIn(t, 901000);
  const { statusCode, data } = problem(400, "login_required", "relogin");
  wx.on(REFRESH, { statusCode, data: JSON.stringify(data) });
  assert.equal((await client.request({ url: "/x" })).data.fine, true);
  assert.equal(wx.made("login").length, 2);
});

for (const code of ["login_required", "token_reused"]) {
  test(`${code}: one silent login, and every waiting request goes on`, async (t) => {
    const { wx, client } = await loggedIn(t, 901000);
    const kicked = [];
    client.on("kicked", (error) => kicked.push(error.code));
    wx.on(REFRESH, problem(400, code, "relogin"));

    const answers = await Promise.all(Array.from({ length: 6 }, () => client.request({ url: "/x" })));

    assert.ok(answers.every(({ data }) => data.fine));
    assert.equal(wx.made("login").length, 2);
    assert.equal(refreshes(wx), 1);
    assert.deepEqual(kicked, [code]);
    assert.equal(wx.made("showModal").length, 0);
    assert.equal(wx.made("request", "/v1/login")[1].data.device, "d-1");
  });
}

for (const [title, refused] of [
  ["a 401 of ours", problem(401, "token_expired", "refresh")],
  ["the gateway's 401", { statusCode: 401, data: { message: "Unauthorized" } }],
  ["a 401 that comes through fail, as on a PC", { statusCode: 401, errMsg: "request:fail 401" }],
]) {
  test(`${title}: one refresh, and all requests are sent again`, async (t) => {
    const { wx, client } = await loggedIn(t);
    const dead = `Bearer ${wx.held().access_token}`;
    wx.on("request", ({ header }) => (header.Authorization === dead ? refused : ok({ fine: true })));

    const answers = await Promise.all(Array.from({ length: 20 }, () => client.request({ url: "/x" })));

    assert.ok(answers.every(({ data }) => data.fine));
    assert.equal(refreshes(wx), 1);
    assert.equal(wx.made("request", "/x").length, 40);
  });
}

test("a late 401 does not refresh what has been renewed since", async (t) => {
  const { wx, client } = await loggedIn(t);
  const dead = `Bearer ${wx.held().access_token}`;
  const late = gate();
  const refused = { statusCode: 401, data: {} };
  wx.on("request", late.promise, refused, ok({ fine: true }));
  const slow = client.request({ url: "/slow" });
  await settle();
  await client.request({ url: "/x" });
  late.open(refused);

  assert.equal((await slow).data.fine, true);
  assert.equal(refreshes(wx), 1);
  assert.notEqual(wx.made("request", "/slow")[1].header.Authorization, dead);
});

test("a second 401 is the caller's: no loop", async (t) => {
  const { wx, client } = await loggedIn(t);
  wx.on("request", { statusCode: 401, data: { message: "Unauthorized" } });
  assert.equal((await client.request({ url: "/x" })).statusCode, 401);
  assert.equal(wx.made("request", "/x").length, 2);
  wx.on("request", problem(401, "token_invalid", "refresh"));
  await assert.rejects(client.request({ url: "/x" }), { code: "token_invalid" });
  assert.equal(refreshes(wx), 2);
});

test("a logout during a refresh wins, whenever the answer comes", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  const late = gate();
  wx.on(REFRESH, late.promise, ok(tokens()));
  wx.on("DELETE /v1/session", { statusCode: 204, data: "" });
  const request = client.request({ url: "/x" });
  await settle();

  assert.equal(await client.logout(), true);
  late.open(ok(tokens()));

  await assert.rejects(request, { code: "logged_out" });
  assert.deepEqual(wx.held(), { device: "d-1", left: true });
  assert.equal(wx.made("request", "/x").length, 0);
});

test("so does a verdict that comes after a logout: nobody is logged in again", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  const late = gate();
  wx.on(REFRESH, late.promise, problem(400, "login_required", "relogin"));
  const request = client.request({ url: "/x" });
  await settle();
  client.logout();
  late.open(problem(400, "login_required", "relogin"));
  await assert.rejects(request, { code: "logged_out" });
  assert.equal(wx.made("login").length, 1);
});

test("a login during a refresh wins over its verdict", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  const late = gate();
  const kicked = [];
  client.on("kicked", (error) => kicked.push(error));
  wx.on(REFRESH, late.promise);
  const request = client.request({ url: "/x" });
  await settle();
  const { access_token } = await client.login();
  late.open(problem(400, "login_required", "relogin"));

  assert.equal((await request).data.fine, true);
  assert.equal(bearer(wx), `Bearer ${access_token}`);
  assert.equal(wx.made("login").length, 2);
  assert.deepEqual(kicked, []);
});

test("a request that needs a token while a login is under way waits for it", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  const late = gate();
  wx.on("POST /v1/login", late.promise);
  client.login();
  const request = client.request({ url: "/x" });
  await settle();
  late.open(loginAnswer());
  await request;
  assert.equal(refreshes(wx), 0);
});

test("two instances on one storage: what the one renewed, the other uses", async (t) => {
  const { wx, client } = await loggedIn(t);
  const other = auth(wx);
  t.mock.timers.tick(850000);
  await client.request({ url: "/x" });
  await other.request({ url: "/x" });
  assert.equal(refreshes(wx), 1);
  assert.equal(bearer(wx, 0), bearer(wx, 1));
});

test("two instances that refresh at once end with the same token", async (t) => {
  const { wx, client } = await loggedIn(t);
  const other = auth(wx);
  t.mock.timers.tick(850000);
  const successor = ok(tokens());
  wx.on(REFRESH, successor);
  await Promise.all([client.request({ url: "/x" }), other.request({ url: "/x" })]);
  assert.equal(wx.held().refresh_token, successor.data.refresh_token);
  assert.deepEqual(client.current(), other.current());
});

test("a logout in one instance is one in the other", async (t) => {
  const { wx, client } = await loggedIn(t);
  wx.on("DELETE /v1/session", { statusCode: 204, data: "" });
  const other = auth(wx);
  await client.logout();
  await assert.rejects(other.request({ url: "/x" }), { code: "logged_out" });
});

test("a storage that somebody cleared does not log out", async (t) => {
  const { wx, client } = await loggedIn(t);
  wx.storage.clear();
  await client.request({ url: "/x" });
  assert.equal(wx.made("login").length, 1);
});

test("a token that lives less than a minute is renewed for each request, and works", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const wx = fakeWx().on("request", ok({})).on("POST /v1/login", loginAnswer({ expires_in: 30 }));
  wx.on(REFRESH, () => ok(tokens({ expires_in: 30 })));
  const client = auth(wx);
  await client.login();
  await client.request({ url: "/x" });
  await client.request({ url: "/x" });
  assert.equal(refreshes(wx), 2);
});

test("a refresh of an earlier session does not hold up that of the present one", async (t) => {
  const { wx, client } = await loggedIn(t, 850000);
  wx.on(REFRESH, new Promise(() => {}));
  wx.on("DELETE /v1/session", { statusCode: 204, data: "" });
  client.request({ url: "/x" });
  await settle();
  wx.on(REFRESH, ok(tokens()));
  client.logout();
  const { access_token } = await client.login();
  wx.on("request", ({ header }) => (header.Authorization === `Bearer ${access_token}` ? { statusCode: 401, data: {} } : ok({ fine: true })));
  assert.equal((await client.request({ url: "/x" })).data.fine, true);
});

test("tokens that the server has ended are gone, also where the login after it fails", async (t) => {
  const { wx, client } = await loggedIn(t, 901000);
  wx.on(REFRESH, problem(400, "token_reused", "relogin")).on("login", { errMsg: "login:fail" });
  await assert.rejects(client.request({ url: "/x" }), { code: "wx_login_failed" });
  assert.deepEqual(wx.held(), { device: "d-1" });
  await assert.rejects(client.request({ url: "/x" }), { code: "wx_login_failed" });
  assert.equal(refreshes(wx), 1);
});
