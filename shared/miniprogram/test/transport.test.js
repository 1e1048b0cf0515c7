"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { auth, clock, fakeWx, gate, GONE, loggedOut, NO_ANSWER, ok, openPage, pass, problem, recorder, settle } = require("../test-support/fake");

const REFUSED = { statusCode: 401, data: { message: "Unauthorized" } };
async function ada(options) {
  const wx = fakeWx().on("request", ok({ fine: true }));
  const client = auth(wx, options);
  await client.login();
  wx.calls.length = 0;
  return { wx, client };
}

const refreshes = (wx) => wx.made("request", "/v1/refresh").length;

// Said inside of an answer: `expired`.

for (const [what, expired, answer] of [
  ["a 200 of an API's own form", ({ data }) => data.code === 401, ok({ code: 401, msg: "未登录" })],
  ["an authorizer's 403", ({ statusCode }) => statusCode === 403, { statusCode: 403, data: { message: "Forbidden" } }],
  ["text that is JSON, as uploads have it", ({ data }) => data.code === 401, ok('{"code":401}')],
  ["a header", ({ header }) => header["x-login"] === "no", { ...ok({}), header: { "x-login": "no" } }],
]) {
  test(`${what} is as good as a 401: one refresh, and all requests are sent again`, async () => {
    const { wx, client } = await ada({ expired });
    const dead = `Bearer ${wx.held().access_token}`;
    wx.on("request", ({ header }) => (header.Authorization === dead ? answer : ok({ fine: true })));
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.request({ url: "/x" })));
    assert.ok(answers.every(({ data }) => data.fine));
    assert.deepEqual([refreshes(wx), wx.made("request", "/x").length], [1, 40]);
  });
}

test("an answer that stays so is the caller's: no loop", async () => {
  const { wx, client } = await ada({ expired: ({ data }) => data.code === 401 });
  wx.on("request", ok({ code: 401 }));
  assert.deepEqual((await client.request({ url: "/x" })).data, { code: 401 });
  assert.deepEqual([refreshes(wx), wx.made("request", "/x").length], [1, 2]);
});

test("where the session is over, too, it is a silent login", async () => {
  const { wx, client } = await ada({ expired: ({ data }) => data.code === 401 });
  wx.on("GET /x", ok({ code: 401 }), ok("list")).on("POST /v1/refresh", problem(400, "login_required", "relogin"));
  assert.equal((await client.request({ url: "/x" })).data, "list");
  assert.equal(wx.made("login").length, 1);
});

test("where the user has logged out meanwhile, the modal comes if the caller wants it", async () => {
  for (const interactive of [true, false]) {
    const { wx, client } = await ada({ expired: ({ data }) => data.code === 401 });
    const late = gate();
    wx.on("GET /x", late.promise, ok("list")).on("DELETE /v1/session", GONE);
    const request = client.request({ url: "/x", interactive });
    await settle();
    await client.logout();
    late.open(ok({ code: 401 }));
    if (interactive) assert.equal((await request).data, "list");
    else await assert.rejects(request, { code: "logged_out" });
    assert.equal(wx.made("showModal").length, interactive ? 1 : 0);
  }
});

test("a body that is empty is no trap for it", async () => {
  for (const data of ["", null, undefined, 0]) {
    const { wx, client } = await ada({ expired: ({ data: { code } }) => code === 401 });
    wx.on("request", { statusCode: 200, data });
    assert.equal((await client.request({ url: "/x" })).data, data);
  }
});

test("wxauth's own routes are not asked, and one request may bring a word of its own", async () => {
  const { wx, client } = await ada({ expired: () => true });
  wx.on("GET /v1/session", ok({ openid: "o-ada" }));
  await client.session();
  assert.equal(refreshes(wx), 0);
  await client.request({ url: "/x", expired: () => false });
  assert.equal(refreshes(wx), 0);
});

test("a 403 without a code costs nothing: it is sent once, and nothing is renewed", async () => {
  const { wx, client } = await ada();
  for (const data of [{ message: "Forbidden" }, "<html>", null]) {
    const answer = { statusCode: 403, data };
    wx.on("request", answer);
    assert.equal(await client.request({ url: "/x", method: "POST" }), answer);
  }
  assert.deepEqual([wx.made("request", "/x").length, refreshes(wx), wx.made("login").length], [3, 0, 0]);
});

// The task of each attempt.

for (const [name, scripted] of [["request", ok({})], ["uploadFile", ok("{}")], ["downloadFile", { statusCode: 200, tempFilePath: "wxfile://1" }]]) {
  test(`${name} hands each task on, before it is answered`, async () => {
    const { wx, client } = await ada();
    const late = gate();
    wx.on(name, REFUSED, late.promise);
    const tasks = [];
    const sent = client[name]({ url: "/x", task: (given) => tasks.push(given) });
    await settle();
    assert.equal(tasks.length, 2);
    late.open(scripted);
    assert.equal(await sent, scripted);
    assert.equal(typeof tasks[1].abort, "function");
  });
}

test("a download gets the bearer, is sent again after a 401, and is refused as wxauth refuses", async () => {
  const { wx, client } = await ada({ expired: ({ data }) => data.code === 401 });
  const file = { statusCode: 200, tempFilePath: "wxfile://1" };
  wx.on("downloadFile", REFUSED, file);
  assert.equal(await client.downloadFile({ url: "/invoice.pdf", filePath: "wxfile://usr/1" }), file);
  const [first, second] = wx.made("downloadFile");
  assert.notEqual(first.header.Authorization, second.header.Authorization);
  assert.deepEqual([second.filePath, second.url], ["wxfile://usr/1", "https://auth.example.com/invoice.pdf"]);
  wx.on("downloadFile", NO_ANSWER);
  await assert.rejects(client.downloadFile({ url: "/x" }), { code: "network", action: "retry" });
});

test("an abort is the caller's: nothing is sent again", async () => {
  const { wx, client } = await ada();
  const late = gate();
  wx.on("request", late.promise);
  const aborted = assert.rejects(
    client.request({ url: "/x", task: (given) => (given.abort = () => late.open({ errMsg: "request:fail abort" })).call() }),
    { code: "network", errMsg: "wxauth:fail request:fail abort" },
  );
  await aborted;
  assert.equal(wx.made("request", "/x").length, 1);
});

const stream = (said, answer) => (options, task) => {
  said.forEach((text) => task.chunk(text));
  return answer;
};

for (const [what, refused, expired] of [
  ["a 401", REFUSED],
  ["a relogin", problem(409, "stale", "relogin")],
  ["what `expired` says", ok({ code: 401 }), ({ data }) => data.code === 401],
]) {
  test(`once the page has heard chunks, nothing is sent again upon ${what}`, async () => {
    const { wx, client } = await ada({ expired });
    const heard = [];
    const task = (given) => given.onChunkReceived(({ data }) => heard.push(data));
    const streamed = () => client.request({ url: "/chat", enableChunked: true, task });

    wx.on("GET /chat", stream(["to", "ken"], refused));
    await streamed().catch(({ code }) => assert.equal(code, "stale"));
    assert.deepEqual([wx.made("request", "/chat").length, heard], [1, ["to", "ken"]]);

    wx.on("GET /chat", stream([], refused), stream(["good"], ok({})));
    await streamed();
    assert.deepEqual([wx.made("request", "/chat").length, heard], [3, ["to", "ken", "good"]]);
  });
}

// Guests.

test("a guest is sent without a token, and is not logged in for it", async () => {
  const wx = fakeWx().on("GET /news", ok(["news"]));
  const client = auth(wx);
  assert.deepEqual((await client.request({ url: "/news", guest: true })).data, ["news"]);
  assert.equal("Authorization" in wx.made("request", "/news")[0].header, false);
  assert.equal(wx.made("login").length, 0);
});

test("whoever is logged in is known as a guest, too, with a good token", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1e12 });
  const { wx, client } = await ada();
  await client.request({ url: "/x", guest: true });
  t.mock.timers.tick(901000);
  await client.request({ url: "/x", guest: true });
  const [first, second] = wx.made("request", "/x").map(({ header }) => header.Authorization);
  assert.match(first, /^Bearer access-/);
  assert.equal(second, `Bearer ${wx.held().access_token}`);
  assert.deepEqual([refreshes(wx), wx.made("login").length], [1, 0]);
});

test("a guest whose session is over, or who logged out, is one without a token", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1e12 });
  const { wx, client } = await ada();
  t.mock.timers.tick(901000);
  wx.on("POST /v1/refresh", problem(400, "login_required", "relogin"));
  await client.request({ url: "/x", guest: true });
  const left = await loggedOut();
  left.wx.on("request", ok({}));
  await left.client.request({ url: "/x", guest: true });
  for (const { made } of [wx, left.wx]) {
    assert.equal("Authorization" in made("request", "/x")[0].header, false);
    assert.equal(made("login").length, 0);
  }
});

test("a guest's token that is refused is renewed; without one a 401 is the caller's", async () => {
  const { wx, client } = await ada();
  wx.on("GET /x", REFUSED, ok("known")).on("GET /y", REFUSED, ok("unknown"));
  assert.equal((await client.request({ url: "/x", guest: true })).data, "known");
  wx.on("POST /v1/refresh", problem(400, "login_required", "relogin"));
  assert.equal((await client.request({ url: "/y", guest: true })).data, "unknown");
  const bearers = wx.made("request", "/y").map(({ header }) => "Authorization" in header);
  assert.deepEqual(bearers, [true, false]);
  wx.on("GET /z", REFUSED);
  assert.equal((await client.request({ url: "/z", guest: true })).statusCode, 401);
  assert.deepEqual([wx.made("request", "/z").length, wx.made("login").length], [1, 0]);
});

// Loading.

test("the hook hears how many requests the user waits for, but not of those that say no", async () => {
  const { wx, client } = await ada();
  const heard = [];
  client.on("loading", (count) => heard.push(count));
  const late = gate();
  wx.on("GET /slow", late.promise);
  const slow = client.request({ url: "/slow" });
  await client.request({ url: "/x" });
  late.open(ok({}));
  await slow;
  await client.request({ url: "https://evil.com" }).catch(() => {});
  await settle();
  await client.request({ url: "/x", loading: false });
  await settle();
  assert.deepEqual(heard, [1, 2, 1, 0, 1, 0]);
  assert.ok(wx.made("request", "/x").every((sent) => !("loading" in sent)), "the platform knows no such option");
});

// A server that swallows everything.

const SILENCE = { "the platform keeps its timeout": (options) => setTimeout(options.fail, options.timeout, NO_ANSWER), "the platform forgets it": () => {} };

for (const [what, request] of Object.entries(SILENCE)) {
  test(`a black-holed server is told within 12 s where ${what}: to a page, and to whoever asked`, async (t) => {
    clock(t);
    const wx = fakeWx();
    wx.request = request;
    const { names, page } = recorder();
    const shown = openPage(auth(wx).guardPage(page));
    const asked = assert.rejects(auth(wx, { appid: "wx2" }).ensure({ interactive: true }), { code: "network", action: "retry" });
    await pass(t, 12000);
    assert.deepEqual([shown.data.authError.action, names()], ["retry", ["error"]]);
    await asked;
  });

  test(`so it is to whoever has a session that has to be renewed, where ${what}, and the session is kept`, async (t) => {
    clock(t);
    const { wx, client } = await ada();
    const before = wx.held();
    t.mock.timers.tick(901000);
    let tries = 0;
    wx.request = (options) => (tries += 1, request(options));
    const asked = assert.rejects(client.session(), { code: "network", action: "retry" });
    await pass(t, 12000);
    await asked;
    assert.equal(tries, 2, "a refresh has time for a second try");
    assert.deepEqual(wx.held(), before);
  });
}

test("a refresh whose answer is lost comes through within the same 12 s", async (t) => {
  clock(t);
  const { wx, client } = await ada();
  t.mock.timers.tick(901000);
  const { request } = wx;
  let lost = 0;
  wx.request = (options) => {
    if (/refresh$/.test(options.url) && (lost += 1) === 1) return setTimeout(options.fail, options.timeout, NO_ANSWER);
    return request(options);
  };
  const answered = client.request({ url: "/x" });
  await pass(t, 7000);
  assert.equal((await answered).data.fine, true);
});

test("an app that was suspended between two tries does not send an old token hours later", async (t) => {
  clock(t);
  const { wx, client } = await ada();
  t.mock.timers.tick(901000);
  wx.on("POST /v1/refresh", problem(503, "unavailable", "retry"));
  const asked = assert.rejects(client.request({ url: "/x" }), { code: "unavailable" });
  await settle();
  t.mock.timers.tick(3600e3);
  await asked;
  assert.equal(refreshes(wx), 1);
});

test("the timeout that a request asks for holds, also where the platform forgets it", async (t) => {
  clock(t);
  const { wx, client } = await ada();
  wx.request = () => {};
  const asked = assert.rejects(client.request({ url: "/x", timeout: 3000 }), { code: "network", action: "retry" });
  await pass(t, 3500);
  await asked;
});

// Mistakes.

test("a request without an address says so", async () => {
  const { wx, client } = await ada();
  for (const options of [undefined, {}, { url: "" }]) {
    await assert.rejects(client.request(options), { code: "bad_option", action: "fix", title: "url is missing" });
  }
  assert.equal(wx.calls.length, 0);
});
