"use strict";

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { promisify } = require("node:util");
const vm = require("node:vm");
const { createAuth } = require("..");
const { phoneOf, startLaptop } = require("../test-support/laptop");

const APPID = "wx0123456789abcdef";

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

let users = 0;
function someone() {
  users += 1;
  const user = `user-${users}`;
  const wx = phoneOf(laptop, user);
  return { user, wx, auth: createAuth({ baseUrl: laptop.url, appid: APPID, wx }) };
}
const held = (wx) => JSON.parse([...wx.storage.values()][0]);
const change = (wx, more) => wx.storage.set([...wx.storage.keys()][0], JSON.stringify({ ...held(wx), ...more }));

test("a login, a phone number by code and by encrypted data", async () => {
  const { user, wx, auth } = someone();
  const session = await auth.login();
  assert.equal(session.new_user, true);
  assert.match(auth.device, /^[\w-]{22}\.[\w-]{48}$/);
  await auth.preparePhone();
  const { code, encryptedData, iv } = await laptop.simulate("phone", { user });
  const byCode = await auth.phone({ detail: { code, encryptedData, iv } });
  const byData = await auth.phone({ detail: { encryptedData, iv } });
  assert.match(byCode.phoneNumber, /^1\d{10}$/);
  assert.deepEqual(byData, byCode);
  assert.equal(wx.counts.logins, 1);
});

/** What a README shows for a server, with the address of the laptop. */
function server(readme, language) {
  const text = fs.readFileSync(path.join(__dirname, "..", readme), "utf8");
  const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, found]) => found === language);
  const [, , code] = blocks.find(([, , block]) => block.includes("/v1/phone"));
  return code.replace("https://auth.example.com", laptop.url);
}

for (const readme of ["README.md", "README.zh-CN.md"]) {
  test(`the servers of ${readme} learn the number of the token's user, and what a client has to do otherwise`, async () => {
    const { user, wx, auth } = someone();
    await auth.login();
    const authorization = `Bearer ${held(wx).access_token}`;
    const node = vm.runInNewContext(`(${server(readme, "js").replace(/^\/\/.*\n/, "").trim()})`, { fetch, AbortSignal });
    const python = (code) =>
      promisify(execFile)("python3", ["-c", `${server(readme, "python")}\nprint(phone_number(*__import__("sys").argv[1:]))`, authorization, code]);

    const { code, encryptedData, iv } = await laptop.simulate("phone", { user });
    const number = await node(authorization, code);

    assert.deepEqual(await auth.phone({ detail: { encryptedData, iv } }).then(({ phoneNumber }) => phoneNumber), number);
    assert.equal((await python(code)).stdout.trim(), number, "the same code again");
    await assert.rejects(node(authorization, "not-a-code-of-anybody"), { code: "phone_code_invalid", action: "relogin_then_retap" });
    await assert.rejects(python("not-a-code-of-anybody"), /ValueError: \('phone_code_invalid', 'relogin_then_retap'\)/);
  });
}

test("a login whose answer is lost is the same login", async () => {
  const { wx, auth } = someone();
  const { request } = wx;
  const seen = [];
  wx.request = (options) =>
    request({
      ...options,
      success: (answer) => {
        seen.push(answer.data.refresh_token);
        if (seen.length === 1) options.fail({ errMsg: "request:fail interrupted" });
        else options.success(answer);
      },
    });
  await auth.login();
  assert.equal(seen.length, 2);
  assert.equal(seen[0], seen[1]);
  assert.equal(wx.counts.logins, 1);
});

test("data under a key that WeChat has replaced wants another tap, and then works", async () => {
  const { user, wx, auth } = someone();
  await auth.login();
  const strange = { encryptedData: Buffer.alloc(64, 7).toString("base64"), iv: Buffer.alloc(16, 7).toString("base64") };
  await assert.rejects(auth.phone({ detail: strange }), { code: "session_key_expired", action: "relogin_then_retap" });
  assert.equal(wx.counts.logins, 2);
  const { encryptedData, iv } = await laptop.simulate("phone", { user });
  assert.match((await auth.phone({ detail: { encryptedData, iv } })).phoneNumber, /^1/);
});

test("a profile without credentials refuses no login", async () => {
  const { auth } = someone();
  const open = { rawData: "{}", userInfo: { nickName: "x" }, errMsg: "getUserInfo:ok" };
  for (const userInfo of [open, {}, null, "text", { ...open, rawData: "\ud83d" }]) {
    const session = await auth.login({ userInfo });
    assert.deepEqual([auth.loggedIn, session.userInfo], [true, undefined]);
  }
});

test("steps are taken by openData, and elsewhere said to be of another kind", async () => {
  const { user, wx, auth } = someone();
  await auth.login();
  const data = { stepInfoList: [{ timestamp: 1445866601, step: 100 }] };
  const given = await laptop.simulate("opendata", { user, data });
  assert.deepEqual(await auth.openData({ ...given, errMsg: "getWeRunData:ok" }), data);
  assert.deepEqual(await auth.openData({ detail: given }), data);
  for (const ask of [() => auth.userInfo(given), () => auth.phone({ detail: given })]) {
    await assert.rejects(ask, { code: "wrong_data_kind", action: "fix" });
  }
  assert.equal(wx.counts.logins, 1);
});

test("the profile, in a login and by itself", async () => {
  const { user, auth } = someone();
  await auth.login();
  await laptop.simulate("user", { user, nickName: "Ada" });
  const profile = await auth.userInfo(await laptop.simulate("userinfo", { user }));
  assert.equal(profile.nickName, "Ada");
  assert.equal(profile.watermark, undefined);
  const session = await auth.login({ userInfo: await laptop.simulate("userinfo", { user }) });
  assert.equal(session.userInfo.nickName, "Ada");
});

test("the session, the sessions, and WeChat's word on its key", async () => {
  const { user, wx, auth } = someone();
  await auth.login();
  const session = await auth.session();
  const device = auth.device.split(".")[0];
  assert.deepEqual([session.openid, session.device, session.appid], [auth.openid, device, APPID]);
  assert.equal(session.wechat_session, "unchecked");
  const { sessions } = await auth.sessions();
  assert.deepEqual(sessions.map(({ device, current }) => [device, current]), [[device, true]]);

  assert.equal((await auth.checkSession()).wechat_session, "ok");
  assert.equal(wx.counts.logins, 1);
  await laptop.simulate("user", { user, session_key: Buffer.alloc(16, 9).toString("base64") });
  assert.equal((await auth.checkSession()).wechat_session, "stale");
  assert.equal(wx.counts.logins, 2);
});

test("a logout ends the session at the server", async () => {
  const { wx, auth } = someone();
  await auth.login();
  const before = held(wx);
  assert.equal(await auth.logout(), true);
  assert.equal(auth.loggedIn, false);
  change(wx, { ...before, left: undefined });
  await auth.session();
  assert.deepEqual(wx.counts, { logins: 2, refreshes: 1 }, "the tokens were dead");
});

test("a logout without a good access token ends the session by its refresh token, which is not renewed for it", async () => {
  const { wx, auth } = someone();
  await auth.login();
  const before = held(wx);
  change(wx, { access_token: "run.out.long-ago" });
  assert.equal(await auth.logout(), true);
  assert.equal(wx.counts.refreshes, 0);
  change(wx, { ...before, left: undefined });
  await auth.session();
  assert.deepEqual(wx.counts, { logins: 2, refreshes: 1 }, "the tokens were dead");
});

test("a logout everywhere ends the other phone's session too, which logs in silently", async () => {
  const { user, auth } = someone();
  const other = phoneOf(laptop, user);
  const second = createAuth({ baseUrl: laptop.url, appid: APPID, wx: other });
  const kicked = [];
  second.on("kicked", ({ code }) => kicked.push(code));
  await auth.login();
  await second.login();
  assert.equal((await auth.sessions()).sessions.length, 2);
  assert.equal(await auth.logout({ everywhere: true }), true);
  assert.equal((await second.session()).openid, second.openid);
  assert.deepEqual(kicked, ["login_required"]);
  assert.deepEqual(other.counts, { logins: 2, refreshes: 1 });
});

test("a user who is deleted is new at the next login", async () => {
  const { auth } = someone();
  await auth.login();
  await auth.deleteUser();
  assert.equal(auth.loggedIn, false);
  assert.equal((await auth.login()).new_user, true);
});

test("a token that looks fresh and is dead is renewed by its 401, for an upload too", async () => {
  const { wx, auth } = someone();
  await auth.login();
  change(wx, { access_token: `${held(wx).access_token}x` });
  assert.equal((await auth.session()).openid, auth.openid);
  assert.deepEqual(wx.counts, { logins: 1, refreshes: 1 });
  change(wx, { access_token: `${held(wx).access_token}x` });
  await assert.rejects(auth.uploadFile({ url: "/v1/phone", filePath: "a", name: "a" }), { code: "invalid_request", action: "fix" });
  assert.deepEqual(wx.counts, { logins: 1, refreshes: 2 });
});

test("WeChat's outage ends no session, and a login goes on when it is over", async () => {
  const { user, wx, auth } = someone();
  await auth.login();
  await laptop.simulate("script", { api: "jscode2session", times: 1, fault: { kind: "errcode", errcode: 40029 } });
  change(wx, { at: 0 });
  await auth.session();
  assert.equal(wx.counts.logins, 1);
  const other = createAuth({ baseUrl: laptop.url, appid: APPID, wx: phoneOf(laptop, user) });
  assert.equal((await other.ensure()).openid, auth.openid, "code_invalid: once more with a new code");
});
