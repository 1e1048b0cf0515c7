"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, fakeWx, gate, GONE, loggedOut, NO_ANSWER, loginAnswer, ok, problem, settle } = require("../test-support/fake");

const NUMBER = { phoneNumber: "13800138000", purePhoneNumber: "13800138000", countryCode: "86" };
const CODE = { detail: { code: "phone-code", encryptedData: "e", iv: "i", errMsg: "getPhoneNumber:ok" } };
const SEALED = { detail: { encryptedData: "e", iv: "i", errMsg: "getPhoneNumber:ok" } };
const codes = (wx) => wx.calls.map(({ name, url }) => (url || name).replace("https://auth.example.com", ""));

async function ada(options) {
  const wx = fakeWx().on("request", ok({})).on("POST /v1/phone", ok(NUMBER));
  const client = auth(wx, options);
  await client.login();
  wx.calls.length = 0;
  return { wx, client };
}

test("ensure is silent while it can be, and asks once when it cannot", async () => {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx);
  await client.ensure({ interactive: true });
  assert.equal(wx.made("showModal").length, 0);
  await client.logout();

  const sessions = await Promise.all([1, 2, 3].map(() => client.ensure({ interactive: true })));

  assert.equal(wx.made("showModal").length, 1);
  assert.equal(sessions[0].openid, "o-ada");
  const { title, content, confirmText, cancelText } = wx.made("showModal")[0];
  assert.deepEqual([title, content, confirmText, cancelText], ["登录", "登录后即可继续使用", "登录", "暂不登录"]);
});

test("a user who says no is not logged in; nor is one whose modal fails", async () => {
  for (const outcome of [{ confirm: false, cancel: true }, { errMsg: "showModal:fail" }]) {
    const wx = fakeWx().on("DELETE /v1/session", GONE).on("showModal", outcome);
    const client = auth(wx);
    await client.login();
    await client.logout();
    await assert.rejects(client.ensure({ interactive: true }), { code: "user_refused", action: "stop" });
    assert.equal(wx.made("login").length, 1);
  }
});

for (const [what, outage] of [
  ["no network", (wx) => wx.on("login", { errMsg: "login:fail" })],
  ["WeChat down", (wx) => wx.on("POST /v1/login", problem(504, "wechat_timeout", "relogin"))],
  ["a user who is blocked", (wx) => wx.on("POST /v1/login", problem(403, "user_blocked", "stop"))],
  ["a gateway's 404", (wx) => wx.on("POST /v1/login", { statusCode: 404, data: { message: "Not Found" } })],
]) {
  test(`${what}: nobody is asked what they cannot help`, async () => {
    const wx = outage(fakeWx());
    await assert.rejects(auth(wx).ensure({ interactive: true }), ({ action }) => action !== undefined);
    assert.equal(wx.made("showModal").length, 0);
  });
}

test("where nobody can be asked, after a logout too, the failure is told as it is", async () => {
  const { wx, client } = await loggedOut({ modal: false });
  await assert.rejects(client.ensure({ interactive: true }), { code: "logged_out", action: "stop" });
  assert.deepEqual(wx.calls, []);
  const bare = fakeWx().on("DELETE /v1/session", GONE);
  delete bare.showModal;
  const runtime = auth(bare);
  await runtime.login();
  await runtime.logout();
  await assert.rejects(runtime.ensure({ interactive: true }), { code: "logged_out", action: "stop" });
});

test("texts can be others, and the modal one's own", async () => {
  const wx = fakeWx();
  const text = auth(wx, { modal: { title: "Sign in" } });
  await text.showLoginModal();
  assert.equal(wx.made("showModal")[0].title, "Sign in");
  assert.equal(wx.made("showModal")[0].confirmText, "登录");

  await auth(wx, { modal: () => true }).showLoginModal();
  await assert.rejects(auth(wx, { modal: async () => false }).showLoginModal(), { code: "user_refused" });
  assert.equal(wx.made("showModal").length, 1);
});

test("a phone code is sent alone, encrypted data where there is none", async () => {
  const { wx, client } = await ada();
  assert.deepEqual(await client.phone(CODE), NUMBER);
  assert.deepEqual(await client.phone(SEALED), NUMBER);
  assert.deepEqual(wx.calls.map(({ data }) => data), [{ code: "phone-code" }, { encryptedData: "e", iv: "i" }]);
});

test("of other data the two encrypted values are sent, whether a result or an event has them", async () => {
  const { wx, client } = await ada();
  const steps = { stepInfoList: [{ timestamp: 1, step: 2 }] };
  wx.on("POST /v1/opendata", ok(steps));
  const given = { encryptedData: "e", iv: "i", cloudID: "c", errMsg: "getWeRunData:ok" };
  assert.deepEqual(await client.openData(given), steps);
  assert.deepEqual(await client.openData({ type: "tap", detail: given }), steps);
  assert.deepEqual(wx.calls.map(({ data }) => data), Array(2).fill({ encryptedData: "e", iv: "i" }));
});

test("data of another kind is the page's mistake: nobody logs in for it", async () => {
  const { wx, client } = await ada();
  for (const [path, act] of [["userinfo", "userInfo"], ["opendata", "openData"]]) {
    wx.on(`POST /v1/${path}`, problem(400, "wrong_data_kind", "fix"));
    await assert.rejects(client[act]({ encryptedData: "e", iv: "i" }), { code: "wrong_data_kind", action: "fix" });
  }
  assert.equal(wx.made("login").length, 0);
});

test("a phone request whose answer is lost is sent again, the same", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { wx, client } = await ada();
  wx.on("POST /v1/phone", NO_ANSWER, ok(NUMBER));
  const number = client.phone(CODE);
  await settle();
  t.mock.timers.tick(1000);
  assert.deepEqual(await number, NUMBER);
  assert.equal(wx.made("request", "/v1/phone").length, 2);
});

test("the user who denies, and the quota that is used up", async () => {
  const { wx, client } = await ada();
  const tap = (detail) => client.phone({ detail });
  await assert.rejects(tap({ errMsg: "getPhoneNumber:fail user deny" }), { code: "user_denied", action: "stop" });
  await assert.rejects(tap({ errMsg: "getPhoneNumber:fail:cancel to confirm login" }), { code: "user_denied" });
  await assert.rejects(tap({ errMsg: "getPhoneNumber:ok" }), { code: "phone_failed" });
  await assert.rejects(tap({ errMsg: "getPhoneNumber:fail jsapi has no permission", errno: 102 }), { code: "phone_failed" });
  assert.equal(wx.calls.length, 0);
});

for (const [errno, errMsg, code, action] of [
  [1400001, "getPhoneNumber:fail", "phone_quota", "stop"],
  [1400001, "getRealtimePhoneNumber:fail appid no enough quota", "phone_quota", "stop"],
  [undefined, "getPhoneNumber:fail appid no enough quota", "phone_quota", "stop"],
  [103, "getPhoneNumber:fail jsapi user authorize denied", "user_denied", "stop"],
  [104, "getPhoneNumber:fail jsapi user authorize canceled", "user_denied", "stop"],
  [104, "getPhoneNumber:fail privacy permission is not authorized", "user_denied", "stop"],
  [104, "getPhoneNumber:fail", "user_denied", "stop"],
  [101102, "getPhoneNumber:fail privacy permission is not authorized", "user_denied", "stop"],
  [112, "getPhoneNumber:fail api scope is not declared in the privacy agreement", "privacy_undeclared", "fix"],
  [112, "getPhoneNumber:fail", "privacy_undeclared", "fix"],
  [101100, "getPhoneNumber:fail api scope is not declared in the privacy agreement", "privacy_undeclared", "fix"],
  [1025, "getPhoneNumber:fail appid privacy api banned", "privacy_undeclared", "fix"],
  [1421102, "getPhoneNumber:fail user getPhoneNumber is blocked", "phone_failed", "stop"],
  [5, "getPhoneNumber:fail timeout of the identity service", "phone_failed", "stop"],
  [undefined, undefined, "phone_failed", "stop"],
]) {
  test(`the phone button says ${errno} ${errMsg}: ${code}`, async () => {
    const { wx, client } = await ada();
    await assert.rejects(client.phone({ detail: { errno, errMsg } }), { code, action });
    assert.equal(wx.calls.length, 0);
  });
}

for (const [what, act] of [
  ["phone by code", (client) => client.phone(CODE)],
  ["phone by encrypted data", (client) => client.phone(SEALED)],
  ["openData", (client) => client.openData({ encryptedData: "e", iv: "i", cloudID: "c", errMsg: "getWeRunData:ok" })],
  ["userInfo", (client) => client.userInfo({ rawData: "r", signature: "s", encryptedData: "e", iv: "i" })],
]) {
  const path = { openData: "/v1/opendata", userInfo: "/v1/userinfo" }[what] || "/v1/phone";

  test(`${what}: relogin_then_retap logs in after it, and rejects`, async () => {
    const { wx, client } = await ada();
    wx.on(`POST ${path}`, problem(409, "session_key_expired", "relogin_then_retap"));
    await assert.rejects(act(client), { code: "session_key_expired", action: "relogin_then_retap", statusCode: 409 });
    assert.deepEqual(codes(wx), [path, "login", "/v1/login"]);
  });

  test(`${what}: a session that is gone is found by a refresh; the login comes after, and the user taps again`, async () => {
    const { wx, client } = await ada();
    wx.on(`POST ${path}`, problem(401, "token_invalid", "refresh"));
    wx.on("POST /v1/refresh", problem(400, "login_required", "relogin"));
    await assert.rejects(act(client), { code: "login_required", action: "relogin_then_retap" });
    assert.deepEqual(codes(wx), [path, "/v1/refresh", "login", "/v1/login"]);
    assert.equal(client.loggedIn, true);
  });

  test(`${what}: a token near its end is refreshed first, without wx.login`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
    const { wx, client } = await ada();
    wx.on(`POST ${path}`, ok({}));
    t.mock.timers.tick(850000);
    await act(client);
    assert.deepEqual(codes(wx), ["/v1/refresh", path]);
  });

  test(`${what}: without a session nothing is sent; the login comes, and the user taps again`, async () => {
    const wx = fakeWx();
    await assert.rejects(act(auth(wx)), { code: "login_required", action: "relogin_then_retap" });
    assert.deepEqual(codes(wx), ["login", "/v1/login"]);
  });
}

test("a tap while the login of preparePhone is under way waits for it", async () => {
  const wx = fakeWx().on("POST /v1/phone", ok(NUMBER));
  const late = gate();
  wx.on("POST /v1/login", late.promise);
  const client = auth(wx);
  client.preparePhone();
  await settle();
  const number = client.phone(SEALED);
  await settle();
  late.open(loginAnswer());
  assert.deepEqual(await number, NUMBER);
  assert.equal(wx.made("login").length, 1);
});

test("preparePhone logs in only where WeChat has dropped the key", async () => {
  const { wx, client } = await ada();
  await client.preparePhone();
  assert.deepEqual(codes(wx), ["checkSession"]);
  wx.on("checkSession", { errMsg: "checkSession:fail" });
  assert.deepEqual(Object.keys(await client.preparePhone()), ["openid", "device", "access_token"]);
  assert.deepEqual(codes(wx), ["checkSession", "checkSession", "login", "/v1/login"]);
});

test("checkSession logs in silently if the session key is stale, and only then", async () => {
  const { wx, client } = await ada();
  for (const [state, logins] of [["ok", 0], ["unknown", 0], ["stale", 1]]) {
    wx.on("GET /v1/session?wechat=check", ok({ wechat_session: state }));
    assert.equal((await client.checkSession()).wechat_session, state);
    assert.equal(wx.made("login").length, logins);
  }
});

test("session and sessions ask, and a refusal without code rejects", async () => {
  const { wx, client } = await ada();
  wx.on("GET /v1/session", ok({ openid: "o-ada" })).on("GET /v1/sessions", { statusCode: 404, data: { message: "Not Found" } });
  assert.equal((await client.session()).openid, "o-ada");
  await assert.rejects(client.sessions(), { statusCode: 404, action: "fix", code: undefined });
});

test("a logout without network is one all the same", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const { wx, client } = await ada();
  wx.on("DELETE /v1/session", NO_ANSWER);
  const done = client.logout();
  assert.equal(client.loggedIn, false, "at once");
  for (const ms of [1000, 3000]) {
    await settle();
    t.mock.timers.tick(ms);
  }
  assert.equal(await done, false);
  assert.equal(wx.made("request", "/v1/session").length, 3);
  assert.deepEqual(wx.held(), { device: "d-1", left: true });
});

test("an old access token does for the logout of this device: the refresh token alone ends it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const { wx, client } = await ada();
  const { refresh_token } = wx.held();
  wx.on("DELETE /v1/session", GONE);
  t.mock.timers.tick(1e6);
  assert.equal(await client.logout(), true);
  assert.deepEqual(codes(wx), ["/v1/session"]);
  assert.deepEqual(wx.made("request", "/v1/session")[0].data, { refresh_token });
  assert.deepEqual(wx.held(), { device: "d-1", left: true });
});

for (const [what, options] of [["everywhere", { everywhere: true }], ["at a server that looks at no body", undefined]]) {
  test(`an old token is renewed for a logout ${what}, and kept nowhere`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
    const { wx, client } = await ada();
    const path = options ? "/v1/sessions" : "/v1/session";
    wx.on(`DELETE ${path}`, problem(401, "token_expired", "refresh"), GONE);
    t.mock.timers.tick(1e6);
    assert.equal(await client.logout(options), true);
    assert.deepEqual(codes(wx), [path, "/v1/refresh", path]);
    assert.equal(wx.made("request", "/v1/sessions").filter(({ data }) => data).length, 0);
    assert.deepEqual(wx.held(), { device: "d-1", left: true });
  });
}

test("a login right after a logout is not what the logout ends", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const { wx, client } = await ada();
  const { access_token } = client.current();
  const late = gate();
  wx.on("DELETE /v1/session", late.promise, GONE);
  const out = client.logout();
  await client.login();
  late.open(problem(401, "token_invalid", "refresh"));
  await out;
  const used = wx.made("request", "/v1/session").map(({ header }) => header.Authorization);
  assert.deepEqual([used.length, used[0]], [2, `Bearer ${access_token}`]);
  assert.notEqual(used[1], used[0]);
  assert.ok(!used.includes(`Bearer ${client.current().access_token}`));
  assert.equal(client.loggedIn, true);
});

test("logged out already: nothing is sent", async () => {
  const wx = fakeWx();
  const client = auth(wx);
  assert.equal(await client.logout(), true);
  assert.equal(await client.logout({ everywhere: true }), false);
  assert.equal(wx.calls.length, 0);
});

test("deleting the user logs out if the server did it, and only then", async () => {
  const { wx, client } = await ada();
  wx.on("DELETE /v1/user", problem(403, "data_rejected", "stop"), GONE);
  await assert.rejects(client.deleteUser(), { code: "data_rejected" });
  assert.equal(client.loggedIn, true);
  await client.deleteUser();
  assert.equal(client.loggedIn, false);
});

test("a relogin upon encrypted data: the login follows, nothing is sent again", async () => {
  const { wx, client } = await ada();
  wx.on("POST /v1/phone", problem(503, "retry_login", "relogin"));
  await assert.rejects(client.phone(SEALED), { code: "retry_login", action: "relogin_then_retap" });
  assert.deepEqual(codes(wx), ["/v1/phone", "login", "/v1/login"]);
});

test("a retap that is asked for after a logout logs nobody in", async () => {
  const { wx, client } = await ada();
  const late = gate();
  wx.on("POST /v1/phone", late.promise).on("DELETE /v1/session", GONE);
  const number = client.phone(SEALED);
  await settle();
  await client.logout();
  late.open(problem(409, "session_key_expired", "relogin_then_retap"));
  await assert.rejects(number, { action: "relogin_then_retap" });
  assert.equal(wx.made("login").length, 0);
  assert.equal(client.loggedIn, false);
});
