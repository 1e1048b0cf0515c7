"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { BASE, auth, fakeWx, ok, settle } = require("../test-support/fake");

const CONTRACT = path.join(__dirname, "../../contract");
const EXAMPLES = path.join(CONTRACT, "examples");
const ACTIONS = ["fix", "refresh", "relogin", "relogin_then_retap", "retry", "stop"];

const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));

function examples() {
  return fs.readdirSync(EXAMPLES).flatMap((file) =>
    Object.entries(read(path.join(EXAMPLES, file))).map(([name, { request, response }]) => {
      const { status, headers, body } = response;
      const answer = { statusCode: status, header: headers || {}, data: body === undefined ? "" : body };
      return { name: path.join(path.basename(file, ".json"), name), request, body, answer };
    }),
  );
}

/** How a page comes to each route. What is not here is not for mini programs, or wrong: `request` brings it as it is. */
const WAYS = {
  "POST /v1/login": { act: (client, { userInfo }) => client.login({ userInfo }), own: true, fresh: true },
  "POST /v1/refresh": { act: (client) => client.request({ url: "/x" }), own: true, stale: true },
  "POST /v1/phone": { act: (client, detail) => client.phone({ detail }), own: true, sealed: true },
  "POST /v1/userinfo": { act: (client, result) => client.userInfo(result), own: true, sealed: true },
  "POST /v1/opendata": { act: (client, detail) => client.openData({ detail }), own: true, sealed: true },
  "GET /v1/session": { act: (client) => client.session(), own: true },
  "GET /v1/session?wechat=check": { act: (client) => client.checkSession(), own: true },
  "GET /v1/sessions": { act: (client) => client.sessions(), own: true },
  "DELETE /v1/session": { act: (client) => client.logout(), own: true, value: true, held: ["refresh_token"] },
  "DELETE /v1/sessions": { act: (client) => client.logout({ everywhere: true }), own: true, value: true },
  "DELETE /v1/user": { act: (client) => client.deleteUser(), own: true, value: undefined },
};

/** Does what a page does, lets all pauses pass, and tells what the client did of itself. */
async function observe(t, way, { request, answer }) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const wx = fakeWx().on("request", ok({}));
  const given = Object(request.body);
  if (given.device) wx.setStorageSync(`wxauth:${given.appid}@${BASE}`, JSON.stringify({ device: given.device }));
  const client = auth(wx, { appid: given.appid });
  if (!way.fresh) await client.login();
  if (way.stale) t.mock.timers.tick(901000);
  wx.calls.length = 0;
  if (way.fresh && given.code) wx.on("login", { code: given.code });
  wx.on(`${request.method} ${request.path}`, answer);
  const outcome = way.act(client, given).then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  for (let passed = 0; passed < 12000; passed += 500) {
    await settle();
    t.mock.timers.tick(500);
  }
  const sent = wx.made("request", request.path);
  return {
    ...(await outcome),
    sent: sent[0],
    tries: sent.length,
    refreshes: wx.made("request", "/v1/refresh").length,
    logins: wx.made("login").length,
    modals: wx.made("showModal").length,
    loggedIn: client.loggedIn,
  };
}

const CHECKS = {
  fix: ({ way, seen }) => assert.deepEqual([seen.tries, seen.logins], [1, way.fresh ? 1 : 0]),
  stop: ({ way, seen }) => assert.deepEqual([seen.tries, seen.logins], [1, way.fresh ? 1 : 0]),
  retry({ way, seen, body }) {
    const insists = way.own && (body.retry_after || 0) < 10;
    assert.deepEqual([seen.tries, seen.logins], [insists ? 3 : 1, way.fresh ? 1 : 0]);
  },
  refresh: ({ seen }) => assert.deepEqual([seen.tries, seen.refreshes, seen.logins], [2, 1, 0]),
  relogin: ({ way, seen }) => assert.equal(seen.logins, way.fresh ? 2 : 1),
  relogin_then_retap: ({ way, seen }) => assert.deepEqual([seen.tries, seen.logins], [1, way.sealed ? 1 : 0]),
};

test("the contract has examples, an answer to each request", () => {
  assert.notEqual(examples().length, 0);
});

test("every code of the contract has an example, and every example is in the contract", () => {
  const headings = fs.readFileSync(path.join(CONTRACT, "README.md"), "utf8").match(/^## \w+$/gm).map((line) => line.slice(3));
  const codes = examples().map(({ body }) => Object(body).code).filter(Boolean);
  assert.deepEqual([...new Set(codes)].sort(), headings.sort());
});

test("every route of a mini program has an example that succeeds", () => {
  const good = examples().filter(({ answer }) => answer.statusCode < 300).map(({ request: { method, path: at } }) => `${method} ${at}`);
  for (const route of Object.keys(WAYS)) assert.ok(good.includes(route), route);
});

for (const example of examples()) {
  const { name, request, answer } = example;
  const { method, path: url } = request;
  const way = WAYS[`${method} ${url}`] || { act: (client, data) => client.request({ method, url, data }) };
  const body = Object(example.body);

  if (answer.statusCode < 400) {
    test(`${name}: the client asks so, and takes what it is given`, async (t) => {
      const seen = await observe(t, way, example);
      assert.equal(seen.error, undefined);
      assert.equal(seen.tries, 1);
      if (!way.own) return assert.equal(seen.value, answer);
      if (way.stale) return assert.equal(seen.loggedIn, true);
      if (way.held) assert.deepEqual(Object.keys(seen.sent.data), way.held);
      else assert.deepEqual(JSON.parse(JSON.stringify(seen.sent.data || null)), request.body || null);
      const headers = Object.keys(seen.sent.header).map((header) => header.toLowerCase());
      for (const header of Object.keys(request.headers)) assert.ok(header === "content-type" || headers.includes(header), header);
      if (way.fresh) return assert.deepEqual([seen.loggedIn, seen.value.openid, seen.value.userInfo], [true, body.openid, body.userInfo]);
      assert.deepEqual(seen.value, "value" in way ? way.value : body);
      assert.equal(seen.loggedIn, !("value" in way));
    });
    continue;
  }

  test(`${name}: the client does what ${body.action || answer.statusCode} says`, async (t) => {
    const seen = await observe(t, way, example);
    const tokensGo = way.fresh || (body.action === "relogin" && way.stale);

    assert.equal(seen.modals, 0, "no modal");
    if (!tokensGo) assert.equal(seen.loggedIn, true, "tokens are kept");
    if (!body.code) return assert.equal(seen.value, answer);
    assert.ok(ACTIONS.includes(body.action), `${body.action} is not one of the six`);
    CHECKS[body.action]({ way, seen, body });
    if (way.stale && body.action === "relogin") return assert.ok(seen.value, "the request went on after the login");
    const action = way.sealed && body.action === "relogin" ? "relogin_then_retap" : body.action;
    assert.deepEqual([seen.error.code, seen.error.action, seen.error.statusCode], [body.code, action, answer.statusCode]);
    assert.equal(seen.error.title, body.title);
    assert.equal(seen.error.request_id, body.request_id);
    assert.equal(seen.error.retry_after, body.retry_after);
  });
}
