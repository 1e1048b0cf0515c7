"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { BASE, auth, fakeWx, NO_ANSWER, ok, problem, settle } = require("../test-support/fake");

const client = async (script, options) => {
  const wx = fakeWx().on("request", ok({ fine: true })).on("uploadFile", ok('{"fine":true}'));
  if (script) script(wx);
  const made = auth(wx, options);
  await made.login();
  return { wx, client: made };
};

const sentWithBearer = (wx) => wx.calls.filter(({ header }) => header && header.Authorization).map(({ url }) => url);

test("relative addresses are those of baseUrl, whatever they look like", async () => {
  const { wx, client: c } = await client();
  const odd = ["/x", "x", "//evil.com/x", "@evil.com", ".evil.com", " https://evil.com", "https:/evil.com", "https:evil.com", "https:///evil.com", "\\\\evil.com"];
  for (const url of odd) await c.request({ url });
  for (const url of sentWithBearer(wx)) {
    assert.ok(url.startsWith(`${BASE}/`), url);
    assert.equal(new URL(url).host, "auth.example.com");
  }
  assert.equal(sentWithBearer(wx).length, odd.length);
});

test("the bearer goes to baseUrl's origin and to those named, and nowhere else", async () => {
  const { wx, client: c } = await client(null, { origins: ["https://api.example.com/ignored/path", "not an origin", ""] });
  const good = [`${BASE}/x`, "https://API.example.com/x?y#z", "https://api.example.com"];
  const bad = [
    "https://evil.com/x",
    "http://auth.example.com/x",
    "https://auth.example.com.evil.com/",
    "https://auth.example.com@evil.com/",
    "https://auth.example.com:443@evil.com/",
    "https://auth.example.com\\@evil.com/",
    "https://auth.example.com\\.evil.com/",
    "https://auth.example.com\t.evil.com/",
    "https://auth.example.com:8443/",
    "https://evil.com\\auth.example.com/",
    "HTTPS://evil.com/https://auth.example.com/",
    "wss://evil.com/",
  ];
  for (const url of good) await c.request({ url });
  for (const send of [c.request, c.uploadFile, c.connectSocket]) {
    for (const url of bad) await assert.rejects(send({ url }), { code: "origin_not_allowed", action: "fix" }, url);
  }
  assert.deepEqual(sentWithBearer(wx), good);
});

test("an address that is not allowed does not even log in", async () => {
  const wx = fakeWx();
  await assert.rejects(auth(wx).request({ url: "https://evil.com/" }), { code: "origin_not_allowed" });
  assert.equal(wx.calls.length, 0);
});

test("header, data and options pass through; Authorization is ours, however it was written", async () => {
  const { wx, client: c } = await client();
  const header = { "X-Own": "1", authorization: "old", Authorization: "older" };
  await c.request({ url: "/x", method: "PUT", data: { a: 1 }, header, timeout: 3, enableHttp2: true });
  const [sent] = wx.made("request", "/x");
  assert.deepEqual(sent.header, { "X-Own": "1", Authorization: `Bearer ${c.current().access_token}` });
  assert.deepEqual([sent.method, sent.data, sent.timeout, sent.enableHttp2], ["PUT", { a: 1 }, 3, true]);
  assert.equal(header.Authorization, "older");
});

test("any status resolves as with wx.request; what wxauth refuses rejects", async () => {
  const { wx, client: c } = await client();
  for (const answer of [
    { statusCode: 404, data: { code: 40404, message: "no such order" } },
    { statusCode: 403, data: { code: "NOT_YOURS" } },
    { statusCode: 500, data: "<html>" },
    { statusCode: 503, data: null },
    { statusCode: 413, data: { message: "Request Too Long" } },
    { statusCode: 204, data: "" },
    { data: undefined, errMsg: "request:ok" },
    { statusCode: 400, data: { code: "x", action: "something" } },
  ]) {
    wx.on("request", answer);
    assert.equal(await c.request({ url: "/x" }), answer);
  }
  assert.equal(wx.made("request", "/x").length, 8, "nothing of the owner's is sent twice");

  wx.on("request", problem(429, "rate_limited", "retry", { retry_after: 1800, title: "Too many attempts" }));
  await assert.rejects(c.request({ url: "/x" }), {
    message: "Too many attempts", statusCode: 429, code: "rate_limited", action: "retry", retry_after: 1800, request_id: "test-1",
  });
});

test("no answer rejects, once: what the owner's API does twice is the owner's to say", async () => {
  const { wx, client: c } = await client((wx) => wx.on("request", NO_ANSWER));
  await assert.rejects(c.request({ url: "/x", method: "POST" }), { code: "network", action: "retry", errMsg: "wxauth:fail request:fail timeout" });
  assert.equal(wx.made("request", "/x").length, 1);
});

test("callbacks are called as wx.request does, and nothing is left unhandled", async () => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const { wx, client: c } = await client();
  const heard = [];
  const callbacks = {
    success: ({ data }) => heard.push(["success", data.fine]),
    fail: ({ code }) => heard.push(["fail", code]),
    complete: (outcome) => heard.push(["complete", outcome.statusCode]),
  };
  c.request({ url: "/x", ...callbacks });
  await settle();
  wx.on("request", NO_ANSWER);
  c.request({ url: "/x", ...callbacks });
  c.request({ url: "/x", complete: callbacks.complete });
  c.request({ url: "https://evil.com", fail: callbacks.fail });
  await settle();
  await new Promise((done) => setTimeout(done, 5));
  process.off("unhandledRejection", note);

  assert.deepEqual(heard.slice(0, 2), [["success", true], ["complete", 200]]);
  assert.deepEqual(heard.slice(2).map(String).sort(), ["complete,0", "complete,0", "fail,network", "fail,origin_not_allowed"]);
  assert.deepEqual(unhandled, []);
  assert.equal(wx.made("request", "/x")[0].success === callbacks.success, false);
});

test("an upload is sent again once after a 401, and its data stays text", async () => {
  const { wx, client: c } = await client((wx) => wx.on("uploadFile", { statusCode: 401, data: '{"message":"Unauthorized"}' }, ok('{"fine":true}')));
  const answer = await c.uploadFile({ url: "/avatar", filePath: "wxfile://a", name: "file" });
  assert.equal(answer.data, '{"fine":true}');
  assert.equal(wx.made("uploadFile").length, 2);
  assert.equal(wx.made("request", "/v1/refresh").length, 1);

  wx.on("uploadFile", { statusCode: 413, data: JSON.stringify(problem(413, "payload_too_large", "fix").data) });
  await assert.rejects(c.uploadFile({ url: "/avatar" }), { code: "payload_too_large" });
});

test("a socket gets the bearer, a fresh one, and ws for http", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1e12 });
  const { wx, client: c } = await client();
  t.mock.timers.tick(850000);
  const socket = await c.connectSocket({ url: "/live", protocols: ["a"] });
  await c.connectSocket({ url: "wss://auth.example.com/live" });
  assert.equal(socket.task, "wss://auth.example.com/live");
  const [first, second] = wx.made("connectSocket");
  assert.equal(first.header.Authorization, `Bearer ${c.current().access_token}`);
  assert.deepEqual([first.protocols, second.url], [["a"], "wss://auth.example.com/live"]);
  assert.equal(wx.made("request", "/v1/refresh").length, 1);
});

test("of uni too: it gives the SocketTask only where it gets a callback, else a promise of something else", async () => {
  const { wx, client: c } = await client();
  const task = { send() {} };
  wx.connectSocket = ({ success, fail, complete }) =>
    success || fail || complete ? task : Promise.resolve({ errMsg: "connectSocket:ok" });
  assert.equal(await c.connectSocket({ url: "/live" }), task);
});

test("an API that answers relogin for ever gets three wx.login, then its answer is the caller's", async () => {
  const { wx, client: c } = await client();
  wx.on("request", problem(403, "membership_changed", "relogin"));
  const refused = () => assert.rejects(c.request({ url: "/x" }), { code: "membership_changed", action: "relogin" });
  for (let i = 0; i < 10; i += 1) await Promise.all(Array.from({ length: 6 }, refused));
  assert.equal(wx.made("login").length, 4, "the first was the test's own");
});

test("a fail that says nothing is no answer", async () => {
  const { wx, client: c } = await client();
  wx.request = ({ fail }) => fail();
  await assert.rejects(c.request({ url: "/x" }), { code: "network", action: "retry", statusCode: 0 });
});

test("interactive: the request goes on once the user has agreed", async () => {
  const { wx, client: c } = await client((wx) => wx.on("DELETE /v1/session", { statusCode: 204, data: "" }));
  await c.logout();
  const answers = await Promise.all([1, 2, 3].map(() => c.request({ url: "/x", interactive: true })));
  assert.ok(answers.every(({ data }) => data.fine));
  assert.equal(wx.made("showModal").length, 1);
});

test("a Taro that rejects a promise beside its callback leaves nothing unhandled", async () => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const { wx, client: c } = await client();
  wx.request = ({ fail }) => {
    fail(NO_ANSWER);
    return Promise.reject(NO_ANSWER);
  };
  await assert.rejects(c.request({ url: "/x" }), { code: "network" });
  await new Promise((done) => setTimeout(done, 5));
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
});
