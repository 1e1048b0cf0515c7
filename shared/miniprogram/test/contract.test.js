"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { auth, fakeWx, ok, settle } = require("../test-support/fake");

const CONTRACT = path.join(__dirname, "../../contract");
const EXAMPLES = path.join(CONTRACT, "examples");
const ACTIONS = ["fix", "refresh", "relogin", "relogin_then_retap", "retry", "stop"];

function examples() {
  if (!fs.existsSync(EXAMPLES)) return [];
  const files = (folder) =>
    fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) return files(full);
      return entry.name.endsWith(".response.json") ? [full] : [];
    });
  return files(EXAMPLES).sort().map((file) => {
    const { status, headers, body } = JSON.parse(fs.readFileSync(file, "utf8"));
    const route = path.relative(EXAMPLES, path.dirname(file)).replace(/\\/g, "/");
    return { name: path.relative(EXAMPLES, file), route, answer: { statusCode: status, header: headers || {}, data: body } };
  });
}

/** How a page comes to each route, and what the fake answers there. The first that the folder's name fits counts. */
const WAYS = [
  { folder: /login/, script: "POST /v1/login", act: (client) => client.login(), fresh: true },
  { folder: /refresh/, script: "POST /v1/refresh", act: (client) => client.request({ url: "/x" }), stale: true },
  { folder: /phone/, script: "POST /v1/phone", act: (client) => client.phone({ detail: { code: "c" } }), sealed: true },
  { folder: /userinfo/, script: "POST /v1/userinfo", act: (client) => client.userInfo({}), sealed: true },
  { folder: /sessions/, script: "GET /v1/sessions", act: (client) => client.sessions() },
  { folder: /session/, script: "GET /v1/session", act: (client) => client.session() },
  { folder: /user/, script: "DELETE /v1/user", act: (client) => client.deleteUser() },
  { folder: /./, script: "request", act: (client) => client.request({ url: "/x" }) },
];

/** Does what a page does, lets all pauses pass, and tells what the client did of itself. */
async function observe(t, way, answer) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const wx = fakeWx().on("request", ok({}));
  const client = auth(wx);
  if (!way.fresh) await client.login();
  if (way.stale) t.mock.timers.tick(901000);
  wx.calls.length = 0;
  wx.on(way.script, answer);
  const outcome = way.act(client).then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  for (let round = 0; round < 4; round += 1) {
    await settle();
    t.mock.timers.tick(11000);
  }
  const wanted = way.script.includes(" ") ? way.script.split(" ")[1] : "/x";
  return {
    ...(await outcome),
    tries: wx.made("request", wanted).length,
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
    const insists = way.script !== "request" && (body.retry_after || 0) < 10;
    assert.deepEqual([seen.tries, seen.logins], [insists ? 3 : 1, way.fresh ? 1 : 0]);
  },
  refresh: ({ seen }) => assert.deepEqual([seen.tries, seen.refreshes, seen.logins], [2, 1, 0]),
  relogin: ({ way, seen }) => assert.equal(seen.logins, way.fresh ? 2 : 1),
  relogin_then_retap: ({ way, seen }) => assert.deepEqual([seen.tries, seen.logins], [1, way.sealed ? 1 : 0]),
};

test("the contract has examples", () => {
  assert.ok(fs.existsSync(EXAMPLES), "shared/contract/examples is not there");
  assert.notEqual(examples().length, 0, "shared/contract/examples holds no *.response.json");
});

test("every code of the contract has an example, and every example is in the contract", () => {
  const headings = fs.readFileSync(path.join(CONTRACT, "README.md"), "utf8").match(/^## \w+$/gm).map((line) => line.slice(3));
  const codes = examples().map(({ answer }) => answer.data && answer.data.code).filter(Boolean);
  assert.deepEqual([...new Set(codes)].sort(), headings.sort());
});

for (const { name, route, answer } of examples()) {
  const way = WAYS.find(({ folder }) => folder.test(route));
  const body = answer.data || {};

  if (answer.statusCode < 400) {
    if (way.fresh || way.stale) {
      test(`${name}: its tokens are taken`, async (t) => {
        const seen = await observe(t, way, answer);
        assert.equal(seen.error, undefined);
        assert.equal(seen.loggedIn, true);
      });
    }
    continue;
  }

  test(`${name}: the client does what ${body.action || answer.statusCode} says`, async (t) => {
    const seen = await observe(t, way, answer);
    const tokensGo = way.fresh || (body.action === "relogin" && way.stale);

    assert.equal(seen.modals, 0, "no modal");
    if (!tokensGo) assert.equal(seen.loggedIn, true, "tokens are kept");
    if (!body.code) return;
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
