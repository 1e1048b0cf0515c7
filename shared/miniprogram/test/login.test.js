"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, fakeWx, gate, loginAnswer, NO_ANSWER, ok, problem, settle } = require("../test-support/fake");

const clock = (t) => t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
const pass = async (t, ms) => {
  await settle();
  t.mock.timers.tick(ms);
  await settle();
};

test("a login sends code, app and idempotency key, and keeps what comes back", async () => {
  const wx = fakeWx();
  const client = auth(wx, { appid: "wx1" });

  const session = await client.login();

  const [call] = wx.made("request", "/v1/login");
  assert.deepEqual(JSON.parse(JSON.stringify(call.data)), { code: "code-1", appid: "wx1" });
  assert.match(call.header["Idempotency-Key"], /^[\x21-\x7e]{16,128}$/);
  assert.ok(call.timeout > 10900 && call.timeout <= 11000);
  assert.equal(session.openid, "o-ada");
  assert.equal(session.refresh_token, undefined);
  assert.deepEqual([...wx.storage.keys()], ["wxauth:wx1@https://auth.example.com"]);
  assert.equal(wx.held().access_token, session.access_token);
  assert.deepEqual(client.current(), { openid: "o-ada", device: "d-1", access_token: session.access_token });
});

test("a hundred logins at once are one", async () => {
  const wx = fakeWx();
  const client = auth(wx);

  const sessions = await Promise.all(Array.from({ length: 100 }, () => client.login()));

  assert.equal(wx.made("login").length, 1);
  assert.equal(new Set(sessions.map(({ access_token }) => access_token)).size, 1);
});

test("the profile travels with the login, without what else wx.getUserInfo gives", async () => {
  const wx = fakeWx().on("POST /v1/login", loginAnswer({ userInfo: { nickName: "Ada" } }));
  const sealed = { rawData: "{}", signature: "s", encryptedData: "e", iv: "i" };

  const session = await auth(wx).login({ userInfo: { ...sealed, errMsg: "getUserInfo:ok", cloudID: "c" } });

  assert.deepEqual(wx.made("request")[0].data.userInfo, sealed);
  assert.deepEqual(session.userInfo, { nickName: "Ada" });
  assert.equal(wx.held().userInfo, undefined);
});

test("a lost answer is asked for again with the same code and key", async (t) => {
  clock(t);
  const wx = fakeWx().on("POST /v1/login", NO_ANSWER, problem(503, "unavailable", "retry", { retry_after: 2 }), loginAnswer());
  const done = auth(wx).login();
  await pass(t, 750);
  await pass(t, 1999);
  assert.equal(wx.made("request").length, 2, "retry_after is waited for");
  await pass(t, 500);
  await done;

  const sent = wx.made("request").map(({ data, header }) => JSON.stringify([data, header]));
  assert.equal(sent.length, 3);
  assert.equal(new Set(sent).size, 1);
  assert.equal(wx.made("login").length, 1);
});

test("where a new code is wanted, it comes once, with a new key", async () => {
  const wx = fakeWx().on("POST /v1/login", problem(400, "code_used", "relogin"), loginAnswer());

  await auth(wx).login();

  const [first, second] = wx.made("request");
  assert.notEqual(first.data.code, second.data.code);
  assert.notEqual(first.header["Idempotency-Key"], second.header["Idempotency-Key"]);
  assert.equal(wx.made("login").length, 2);
});

test("a server that always wants another login gets four wx.login in ten minutes, and the user's own", async (t) => {
  clock(t);
  const wx = fakeWx().on("POST /v1/login", problem(400, "code_invalid", "relogin"));
  const client = auth(wx);

  for (let i = 0; i < 20; i += 1) await assert.rejects(client.ensure(), { code: "code_invalid", action: "relogin" });
  assert.equal(wx.made("login").length, 4);
  await assert.rejects(client.login(), { code: "code_invalid" });
  assert.equal(wx.made("login").length, 5, "a tap is not automatic, its repetition would be");
  t.mock.timers.tick(600001);
  wx.on("POST /v1/login", loginAnswer());
  await client.ensure();
});

test("being offline uses nothing up", async (t) => {
  clock(t);
  const wx = fakeWx().on("POST /v1/login", NO_ANSWER);
  const client = auth(wx);
  for (let i = 0; i < 10; i += 1) {
    const lost = assert.rejects(client.ensure(), { code: "network", action: "retry", statusCode: 0 });
    await pass(t, 1000);
    await pass(t, 3000);
    await lost;
  }
  wx.on("POST /v1/login", loginAnswer());
  await client.ensure();
});

for (const [status, code, action] of [[400, "invalid_request", "fix"], [403, "user_blocked", "stop"], [500, "misconfigured", "stop"]]) {
  test(`${code} is not tried again, and no modal asks for it`, async () => {
    const wx = fakeWx().on("POST /v1/login", problem(status, code, action));

    await assert.rejects(auth(wx).ensure({ interactive: true }), { code, action, statusCode: status, request_id: "test-1" });

    assert.equal(wx.made("request").length, 1);
    assert.equal(wx.made("showModal").length, 0);
  });
}

test("a wait longer than ten seconds is the caller's", async () => {
  const wx = fakeWx().on("POST /v1/login", problem(503, "wechat_busy", "retry", { retry_after: 60 }));
  await assert.rejects(auth(wx).login(), { code: "wechat_busy", retry_after: 60 });
  assert.equal(wx.made("request").length, 1);
});

test("wx.login that fails or gives no code is told, not sent", async () => {
  for (const outcome of [{ errMsg: "login:fail" }, { errMsg: "login:ok" }]) {
    const wx = fakeWx().on("login", outcome);
    await assert.rejects(auth(wx).login(), { code: "wx_login_failed", action: "retry" });
    assert.equal(wx.made("request").length, 0);
  }
});

test("a wx.login that never calls back is given up, and the next need tries again", async (t) => {
  clock(t);
  const wx = fakeWx().on("request", ok({ fine: true }));
  const { login } = wx;
  wx.login = () => {};
  const client = auth(wx);
  const lost = assert.rejects(client.request({ url: "/x" }), { code: "wx_login_failed", action: "retry" });
  await pass(t, 16000);
  await lost;
  wx.login = login;
  assert.equal((await client.request({ url: "/x" })).data.fine, true);
});

test("a portal's page with status 200 is no login", async () => {
  const wx = fakeWx().on("POST /v1/login", ok("<html>sign in to the wifi</html>"), ok(null), ok({ fine: true }), loginAnswer());
  const client = auth(wx);
  for (let i = 0; i < 3; i += 1) {
    await assert.rejects(client.login(), { code: "network", action: "retry" });
    assert.deepEqual([client.loggedIn, wx.storage.size], [false, 0]);
  }
  await client.login();
});

test("a login that is answered after a logout brings nothing back", async () => {
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise);
  const client = auth(wx);
  const login = client.login();
  await settle();

  await client.logout();
  late.open(loginAnswer());

  await assert.rejects(login, { code: "logged_out", action: "stop" });
  assert.equal(client.loggedIn, false);
  assert.equal(wx.held().refresh_token, undefined);
});

test("who logs in again while that answer is under way is logged in, by one wx.login at a time", async () => {
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise);
  const client = auth(wx);
  const first = client.login();
  await settle();
  await client.logout();
  const second = client.login();
  late.open(loginAnswer());

  await Promise.all([first, second]);

  assert.equal(client.loggedIn, true);
  assert.equal(wx.loginsAtOnce, 1);
});

test("a login that comes late does not put out a newer one of another runtime", async (t) => {
  clock(t);
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise, loginAnswer());
  const [suspended, other] = [auth(wx), auth(wx)];
  const first = suspended.login();
  await settle();
  // It sleeps, and so it says no more that it logs in.
  wx.storage.clear();
  t.mock.timers.tick(5);
  const { access_token } = await other.login();
  late.open(loginAnswer());
  assert.equal((await first).access_token, access_token);
  assert.deepEqual([suspended.current(), Object.keys(await first).includes("refresh_token")], [other.current(), false]);
});

test("a runtime waits for the login of another, and takes what it got", async (t) => {
  clock(t);
  const late = gate();
  const wx = fakeWx().on("POST /v1/login", late.promise);
  const [one, other] = [auth(wx), auth(wx)];
  const logins = [one.login(), other.ensure()];
  await pass(t, 5000);
  late.open(loginAnswer());
  await pass(t, 400);
  const [first, second] = await Promise.all(logins);
  assert.equal(first.access_token, second.access_token);
  assert.equal(wx.made("login").length, 1);
  assert.deepEqual([...wx.storage.keys()].length, 1, "nothing is left of the wait");
});

test("a runtime that was killed in the middle of its login holds up nobody for long", async (t) => {
  clock(t);
  const wx = fakeWx();
  wx.storage.set("wxauth:@https://auth.example.com:login", String(Date.now()));
  const login = auth(wx).ensure();
  await pass(t, 1000);
  assert.equal(wx.made("login").length, 0);
  for (let i = 0; i < 4; i += 1) await pass(t, 200);
  assert.equal((await login).openid, "o-ada");
});

test("the device outlives a logout, and a logout outlives a restart", async () => {
  const wx = fakeWx().on("DELETE /v1/session", { statusCode: 204, data: "" });
  const client = auth(wx);
  await client.login();
  assert.equal(await client.logout(), true);

  const restarted = auth(wx);
  await assert.rejects(restarted.ensure(), { code: "logged_out" });
  await assert.rejects(restarted.request({ url: "/x" }), { code: "logged_out" });
  assert.equal(wx.made("login").length, 1);
  await restarted.login();
  assert.equal(wx.made("request", "/v1/login")[1].data.device, "d-1");
});

test("a storage that throws is done without", async () => {
  const broken = () => {
    throw new Error("quota");
  };
  const wx = fakeWx().on("request", ok({ fine: true }));
  const client = auth(wx, { storage: { getStorageSync: broken, setStorageSync: broken, removeStorageSync: broken } });
  await client.login();
  await client.request({ url: "/x" });
  assert.equal(wx.made("login").length, 1);
  assert.equal(client.openid, "o-ada");
});

test("a storage that is full does not bring the old token back", async (t) => {
  clock(t);
  const wx = fakeWx().on("request", ok({}));
  const client = auth(wx);
  await client.login();
  wx.setStorageSync = () => {
    throw new Error("quota");
  };
  t.mock.timers.tick(850000);
  await client.request({ url: "/x" });
  const { access_token } = client.current();
  await client.request({ url: "/x" });

  assert.equal(wx.made("request", "/v1/refresh").length, 1);
  assert.equal(wx.made("request", "/x")[1].header.Authorization, `Bearer ${access_token}`);
  assert.equal(wx.storage.size, 0, "an outdated token is not left for the next start");
});

test("nor does one that cannot even be cleared", async (t) => {
  clock(t);
  const wx = fakeWx().on("request", ok({}));
  const client = auth(wx);
  await client.login();
  wx.setStorageSync = wx.removeStorageSync = () => {
    throw new Error("quota");
  };
  t.mock.timers.tick(850000);
  await client.request({ url: "/x" });
  await client.request({ url: "/x" });
  assert.equal(wx.made("request", "/v1/refresh").length, 1);
});

test("what lies in the storage need not be ours", async () => {
  for (const text of ["", "null", "5", "{", "[]"]) {
    const wx = fakeWx();
    wx.storage.set("wxauth:@https://auth.example.com", text);
    const client = auth(wx);
    await client.ensure();
    assert.equal(client.openid, "o-ada");
  }
});

test("listeners hear what happens, until they are taken off; one that throws harms nobody", async () => {
  const wx = fakeWx();
  const client = auth(wx);
  const heard = [];
  const off = client.on("login", ({ openid }) => heard.push(`login ${openid}`));
  client.on("logout", () => heard.push("logout"));
  await client.login();
  await client.logout();
  off();
  await client.login();
  assert.deepEqual(heard, ["login o-ada", "logout"]);
});

test("a profile that the body has no room for, or that cannot be written as JSON, is left out, and the login stands", async () => {
  const cyclic = {};
  cyclic.self = cyclic;
  const written = (data) => Buffer.byteLength(JSON.stringify(data));
  const sent = async (userInfo) => {
    const wx = fakeWx().on("POST /v1/login", loginAnswer());
    assert.equal((await auth(wx).login({ userInfo })).openid, "o-ada");
    return wx.made("request")[0].data;
  };
  for (const rawData of ["x".repeat(20000), "昵".repeat(6000), '"'.repeat(9000), cyclic, BigInt(1)]) {
    assert.deepEqual(Object.keys(await sent({ rawData, iv: "i" })).sort(), ["appid", "code", "device"]);
  }
  const rest = written(await sent({ rawData: "" }));
  for (const [text, bytes] of [["x", 1], ["%", 1], ["é", 2], ["昵", 3], ["🙂", 4], ["\n", 2]]) {
    const most = text.repeat((16384 - rest) / bytes) + "x".repeat((16384 - rest) % bytes);
    const data = await sent({ rawData: most });
    assert.deepEqual([written(data), data.userInfo.rawData], [16384, most]);
    assert.equal((await sent({ rawData: `${most}x` })).userInfo, undefined);
  }
});

test("a profile without credentials, or anything else in its place, is sent as far as it goes, and the login stands", async () => {
  const open = { rawData: "{}", userInfo: { nickName: "x" }, errMsg: "getUserInfo:ok" };
  for (const [userInfo, sent] of [[open, { rawData: "{}" }], [{}, {}], [null, null], ["text", {}], [1, {}]]) {
    const wx = fakeWx().on("POST /v1/login", loginAnswer());
    const session = await auth(wx).login({ userInfo });
    assert.deepEqual([session.openid, session.userInfo], ["o-ada", undefined]);
    assert.deepEqual(JSON.parse(JSON.stringify(wx.made("request")[0].data.userInfo)), sent);
  }
});
