"use strict";

// The adapters over as much of their frameworks as they use; test-adapters has them built by the real ones.

const test = require("node:test");
const assert = require("node:assert/strict");
const Module = require("node:module");
const adapt = require("../uni/adapt");
const { GONE, auth, fakeWx, gate, ok, problem, settle } = require("../test-support/fake");

const API = "https://api.example.com";
const OVER = problem(401, "token_expired", "refresh");
const HOOKS = ["onHide", "onLoad", "onPullDownRefresh", "onReady", "onShow", "onTabItemTap", "onUnload"];

/** `uni` as its 3.0.0-5010420260703001 calls interceptors, over that platform. */
function uniOver(wx) {
  const interceptors = {};
  const uni = {
    ...wx,
    addInterceptor: (name, interceptor) => (interceptors[name] = [...(interceptors[name] || []), interceptor]),
    removeInterceptor: (name, interceptor) => (interceptors[name] = interceptors[name].filter((one) => one !== interceptor)),
  };
  const send = (name, options) => {
    const stops = (interceptors[name] || []).some(({ invoke }) => invoke(options) === false);
    return stops ? undefined : wx[name](options);
  };
  for (const name of ["request", "uploadFile", "downloadFile"]) {
    uni[name] = (options) => {
      const isAsked = options.success || options.fail || options.complete;
      const value = isAsked ? send(name, { ...options }) : new Promise((success, fail) => send(name, { ...options, success, fail }));
      return (interceptors[name] || []).reduce((was, { returnValue }) => returnValue(was) || was, value);
    };
  }
  return uni;
}

const vue = { reactive: (state) => state, readonly: (state) => state, getCurrentScope: () => true, toRefs: (state) => state };

function intercepted(more) {
  const wx = fakeWx().on("GET /orders", ok([1])).on("uploadFile", ok("")).on("downloadFile", ok(""));
  const uni = uniOver(wx);
  const client = auth(wx, { origins: [API], ...(more && more(uni)) });
  const { interceptRequests } = adapt(vue, {}, () => uni);
  return { client, stop: interceptRequests(client, [API, "https://auth.example.com/"]), uni, wx };
}

const bearers = (wx, path) => wx.made("request", path).map(({ header = {} }) => header.Authorization);

test("calls of uni to the origins carry the token, by promise and by callbacks, and others stay as they are", async () => {
  const { client, uni, wx } = intercepted();
  assert.deepEqual((await uni.request({ url: `${API}/orders` })).data, [1]);
  const { access_token: token } = client.current();
  const heard = [];
  uni.request({ url: `${API}/orders`, success: ({ data }) => heard.push(data), complete: ({ statusCode }) => heard.push(statusCode) });
  for (let turn = 0; turn < 2; turn += 1) await settle();
  assert.deepEqual(heard, [[1], 200]);
  const files = await Promise.all([uni.uploadFile({ url: `${API}/a`, filePath: "f", name: "n" }), uni.downloadFile({ url: `${API}?f` })]);
  assert.equal(files.length, 2);
  for (const url of ["https://api.example.com.evil.example/orders", "https://api.example.com@evil.example/orders", "https://elsewhere.example/orders"]) {
    await uni.request({ url });
  }
  assert.deepEqual(bearers(wx, "/orders"), [`Bearer ${token}`, `Bearer ${token}`, undefined, undefined, undefined]);
  for (const name of ["uploadFile", "downloadFile"]) assert.equal(wx.made(name)[0].header.Authorization, `Bearer ${token}`);
});

for (const [what, more] of [["the platform's wx", undefined], ["uni itself", (uni) => ({ wx: uni })]]) {
  test(`over ${what} requests at once with a token that is over cost one renewal`, async () => {
    const { client, uni, wx } = intercepted(more);
    await client.login();
    const { access_token: stale } = client.current();
    wx.on("GET /orders", ({ header }) => (header.Authorization === `Bearer ${stale}` ? OVER : ok([2])));
    const answers = await Promise.all([1, 2, 3].map(() => uni.request({ url: `${API}/orders` })));
    assert.deepEqual(answers.map(({ data }) => data), [[2], [2], [2]]);
    assert.deepEqual([wx.made("request", "/orders").length, wx.made("request", "/v1/refresh").length], [6, 1]);
  });
}

test("a refusal is a failure with its code, and after the end calls are the platform's again", async () => {
  const { client, stop, uni, wx } = intercepted();
  wx.on("DELETE /v1/session", GONE);
  await client.login();
  await client.logout();
  await assert.rejects(uni.request({ url: `${API}/orders` }), { code: "logged_out", action: "stop" });
  stop();
  await uni.request({ url: `${API}/orders` });
  assert.deepEqual(bearers(wx, "/orders"), [undefined]);
});

test("an origin may end with a slash, and a call that somebody else stops gets no task of ours", async () => {
  const { client, uni, wx } = intercepted();
  await client.login();
  wx.on("GET /v1/session", ok({}));
  uni.request({ url: `${API}/orders`, success() {} });
  await uni.request({ url: "https://auth.example.com/v1/session" });
  assert.deepEqual(bearers(wx, "/v1/session"), [`Bearer ${client.current().access_token}`]);
  uni.addInterceptor("request", { invoke: () => false, returnValue: () => undefined });
  assert.equal(uni.request({ url: "https://elsewhere.example/orders", success() {} }), undefined);
});

test("a call with callbacks gives a task at once, and what it is told reaches each attempt", async () => {
  const { client, uni, wx } = intercepted();
  await client.login();
  const { open, promise } = gate();
  const tasks = [];
  const { uploadFile } = wx;
  wx.uploadFile = (options) => {
    uploadFile(options);
    const heard = [];
    tasks.push(heard);
    return { abort: () => heard.push("abort") && open({ errMsg: "uploadFile:fail abort" }), onProgressUpdate: () => heard.push("progress") };
  };
  wx.on("uploadFile", OVER, promise);
  let task;
  const failed = new Promise((fail) => (task = uni.uploadFile({ url: `${API}/a`, filePath: "f", name: "n", fail })));
  task.onProgressUpdate(() => {});
  task.onHeadersReceived(() => {}); // which this platform does not know
  await settle();
  task.abort();
  assert.equal((await failed).code, "network");
  assert.deepEqual(tasks, [["progress"], ["progress", "abort"]]);
});

/** The hooks of a page as a framework collects them, to be called by name. */
function collector() {
  const page = {};
  return { page, hooks: Object.fromEntries(HOOKS.map((name) => [name, (run) => (page[name] = run)])) };
}

test("the guard of uni-app runs the page's hooks in order once somebody is logged in, and tells an outage", async () => {
  const wx = fakeWx().on("POST /v1/login", problem(503, "unavailable", "stop"));
  const { hooks, page } = collector();
  const heard = [];
  const hook = (name) => (argument) => heard.push([name, argument]);
  const { useGuard } = adapt({ ...vue, toRefs: (state) => ({ state }) }, hooks);
  const own = { onLoad: hook("load"), onShow: hook("show"), onAuthError: ({ code }) => heard.push(code) };
  const { retryAuth, state } = useGuard(auth(wx), own);
  page.onLoad({ id: "7" });
  page.onShow();
  await settle();
  assert.deepEqual([state.authed, state.authError.action, heard], [false, "stop", ["unavailable"]]);
  wx.on("POST /v1/login", fakeWxLogin());
  await retryAuth();
  await settle();
  assert.deepEqual([state.authed, state.authError, heard.slice(1)], [true, null, [["load", { id: "7" }], ["show", undefined]]]);
});

/** The server ends the session of `client`, and WeChat is down, so that nobody is logged in after it. */
async function kick(client, wx) {
  wx.on("GET /v1/session", OVER).on("POST /v1/refresh", problem(400, "login_required", "relogin")).on("login", { errMsg: "login:fail" });
  await client.session().catch(() => {});
  wx.on("login", { code: "c", errMsg: "login:ok" });
}

const fakeWxLogin = () => ok({ access_token: "a", refresh_token: "r", expires_in: 900, openid: "o-ada", device: "d" });

test("the composable of uni-app follows logins and logouts for as long as its scope lives", async () => {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx);
  let dispose;
  const { useAuth } = adapt({ ...vue, onScopeDispose: (run) => (dispose = run) }, {});
  const state = useAuth(client);
  const seen = [];
  for (const act of [client.login, () => kick(client, wx), client.login, client.logout, () => dispose(), client.login]) {
    await act();
    await settle();
    seen.push([state.loggedIn, state.openid]);
  }
  const [ada, nobody] = [[true, "o-ada"], [false, undefined]];
  assert.deepEqual(seen, [ada, nobody, ada, nobody, nobody, nobody]);
});

/** The adapter of Taro over so much of React: one function, drawn again by `draw`. */
function taro() {
  const slots = [];
  let at;
  const effects = [];
  const slot = (make) => (slots[at] = slots[at] || make());
  const React = {
    useState(first) {
      const own = slot(() => {
        const made = { value: typeof first === "function" ? first() : first };
        made.set = (next) => (made.value = next);
        return made;
      });
      at += 1;
      return [own.value, own.set];
    },
    useRef: (first) => React.useState(() => ({ current: first }))[0],
    useEffect(run) {
      if (!slots[at]) effects.push(run);
      slots[at] = true;
      at += 1;
    },
  };
  const { hooks, page } = collector();
  const Taro = {};
  for (const [name, hook] of Object.entries({ useDidHide: "onHide", useDidShow: "onShow" })) Taro[name] = hooks[hook];
  for (const name of ["Load", "PullDownRefresh", "Ready", "TabItemTap", "Unload"]) Taro[`use${name}`] = hooks[`on${name}`];
  const { _load: load } = Module;
  Module._load = (name, ...rest) => ({ react: React, "@tarojs/taro": Taro })[name] || load(name, ...rest);
  try {
    delete require.cache[require.resolve("../taro")];
    const adapter = require("../taro");
    const draw = (run) => ((at = 0), run(adapter));
    const mount = () => effects.splice(0).forEach((run) => effects.push(run()));
    return { draw, mount, page, unmount: () => effects.forEach((end) => end()) };
  } finally {
    Module._load = load;
  }
}

test("the guard of Taro runs the hooks of the last drawing once somebody is logged in, and tells an outage", async () => {
  const wx = fakeWx().on("POST /v1/login", problem(503, "unavailable", "stop"));
  const client = auth(wx);
  const { draw, page } = taro();
  const heard = [];
  const drawn = (drawing) =>
    draw(({ useGuard }) =>
      useGuard(client, { onLoad: ({ id }) => heard.push(["load", id, drawing]), onShow: () => heard.push(["show", drawing]), onAuthError: ({ code }) => heard.push(code) }),
    );
  assert.deepEqual({ ...drawn(1), retryAuth: 0 }, { authed: false, authError: null, retryAuth: 0 });
  page.onLoad({ id: "7" });
  page.onShow();
  await settle();
  const { authError, retryAuth } = drawn(2);
  assert.deepEqual([authError.action, heard], ["stop", ["unavailable"]]);
  wx.on("POST /v1/login", fakeWxLogin());
  await retryAuth();
  await settle();
  assert.deepEqual([drawn(3).authed, heard.slice(1)], [true, [["load", "7", 2], ["show", 2]]]);
});

test("the hook of Taro follows logins, ends and logouts from its first drawing until its component is gone", async () => {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx);
  const { draw, mount, unmount } = taro();
  const drawn = () => draw(({ useAuth }) => useAuth(client));
  const seen = [drawn()];
  await client.login();
  for (const act of [mount, () => kick(client, wx), client.login, client.logout, unmount, client.login]) {
    await act();
    await settle();
    seen.push(drawn());
  }
  const [ada, nobody] = [{ loggedIn: true, openid: "o-ada" }, { loggedIn: false, openid: undefined }];
  assert.deepEqual(seen, [nobody, ada, nobody, ada, nobody, nobody, nobody]);
});
