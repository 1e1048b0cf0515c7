"use strict";

const { createAuth } = require("..");

const BASE = "https://auth.example.com";

/** Lets everything that does not wait for a timer happen. */
const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

/** A problem as the contract has it. */
const problem = (status, code, action, more) => ({
  statusCode: status,
  header: {},
  data: { type: "about:blank", title: code, status, code, action, request_id: "test-1", ...more },
});

const ok = (data) => ({ statusCode: 200, header: {}, data });

let issued = 0;
const tokens = (more) => {
  issued += 1;
  return {
    access_token: `access-${issued}`,
    token_type: "Bearer",
    expires_in: 900,
    refresh_token: `refresh-${issued}`,
    refresh_expires_in: 604800,
    ...more,
  };
};
const loginAnswer = (more) => ok(tokens({ openid: "o-ada", device: "d-1", new_user: false, ...more }));

/** As much of a RequestTask as tests use: `chunk` is what the platform would have received. */
function fakeTask() {
  const listeners = [];
  return {
    abort() {},
    onChunkReceived: (listener) => void listeners.push(listener),
    chunk: (text) => listeners.forEach((listen) => listen({ data: text })),
  };
}

/**
 * A scripted `wx`. Routes answer by what `on` says, in order, the last for ever; an answer is an object with a `statusCode`,
 * an object with only an `errMsg` (then it is a `fail`), a function of the request and its task, or a promise of one of these.
 */
function fakeWx() {
  const storage = new Map();
  const scripts = new Map();
  const calls = [];
  let logins = 0;
  let loginsUnderWay = 0;

  async function answer(name, options, task) {
    await null; // no platform answers before its call has returned
    const path = options.url ? options.url.replace(/^(https?|wss?):\/\/[^/]+/, "") : "";
    const key = scripts.has(`${options.method || "GET"} ${path}`) ? `${options.method || "GET"} ${path}` : name;
    const script = scripts.get(key);
    if (!script) throw new Error(`nothing scripted for ${options.method || "GET"} ${path || name}`);
    let next = script.length > 1 ? script.shift() : script[0];
    if (typeof next === "function") next = next(options, task);
    return next;
  }

  const platformCall = (name) => (options) => {
    const task = fakeTask();
    calls.push({ ...options, name });
    answer(name, options, task).then(
      (outcome) => {
        const fails = outcome.errMsg && !/:ok$/.test(outcome.errMsg);
        (fails ? options.fail : options.success)(outcome);
        if (options.complete) options.complete(outcome);
      },
      (error) => options.fail({ errMsg: error.message }),
    );
    return task;
  };

  const network = [];

  const wx = {
    onNetworkStatusChange: (listener) => void network.push(listener),
    goOnline: () => network.forEach((listen) => listen({ isConnected: true, networkType: "wifi" })),
    getLaunchOptionsSync: () => ({ scene: 1001, path: "pages/index/index", query: {} }),
    getStorageSync: (key) => storage.get(key) || "",
    setStorageSync: (key, text) => void storage.set(key, text),
    removeStorageSync: (key) => void storage.delete(key),
    login(options) {
      calls.push({ name: "login" });
      loginsUnderWay += 1;
      wx.loginsAtOnce = Math.max(wx.loginsAtOnce, loginsUnderWay);
      logins += 1;
      const code = `code-${logins}`;
      Promise.resolve(scripts.has("login") ? answer("login", options) : { code, errMsg: "login:ok" }).then((outcome) => {
        loginsUnderWay -= 1;
        (outcome.code ? options.success : options.fail)(outcome);
      });
    },
    connectSocket: (options) => (calls.push({ ...options, name: "connectSocket" }), { task: options.url }),
    loginsAtOnce: 0,
    storage,
    calls,
    on(route, ...answers) {
      scripts.set(route, answers);
      return wx;
    },
    made: (name, path) => calls.filter((call) => call.name === name && (!path || (call.url || "").endsWith(path))),
    held: () => JSON.parse(storage.values().next().value || "{}"),
  };
  const others = ["request", "uploadFile", "downloadFile", "showModal", "checkSession", "requestVirtualPayment"];
  const pages = ["navigateTo", "navigateBack", "redirectTo", "switchTab", "stopPullDownRefresh"];
  for (const name of [...others, ...pages]) wx[name] = platformCall(name);
  wx.on("POST /v1/login", () => loginAnswer());
  wx.on("POST /v1/refresh", () => ok(tokens()));
  wx.on("showModal", { confirm: true });
  wx.on("checkSession", { errMsg: "checkSession:ok" });
  wx.on("requestVirtualPayment", { errMsg: "requestVirtualPayment:ok" });
  for (const name of pages) wx.on(name, { errMsg: `${name}:ok` });
  return wx;
}

/** A page as the framework makes one of what `Page`, or `Component`, was given, and opens it. */
function openPage(options, query = { id: "7" }) {
  const { methods, ...rest } = options;
  const page = { ...rest, ...methods, data: { ...options.data } };
  page.setData = (change) => Object.assign(page.data, change);
  for (const [hook, argument] of [["onLoad", query], ["onShow"]]) if (page[hook]) page[hook](argument);
  return page;
}

/** The options of a page that writes down its hooks as they run. */
function recorder(more) {
  const heard = [];
  const hook = (name) =>
    function (argument) {
      heard.push([name, this.data.authed, argument]);
    };
  const hooks = { onLoad: hook("load"), onShow: hook("show"), onReady: hook("ready"), onHide: hook("hide"), onUnload: hook("unload") };
  const taps = { onPullDownRefresh: hook("pull"), onTabItemTap: hook("tab"), onAuthError: (error) => heard.push(["error", error.code]) };
  const page = { data: { a: 1 }, ...hooks, ...taps, tap: () => "own", ...more };
  return { heard, names: () => heard.map(([name]) => name), page };
}

const GONE = { statusCode: 204, data: "" };

/** A client whose user logged out, and the platform that has forgotten what led there. */
async function loggedOut(options) {
  const wx = fakeWx().on("DELETE /v1/session", GONE);
  const client = auth(wx, options);
  await client.login();
  await client.logout();
  wx.calls.length = 0;
  return { wx, client };
}

const auth = (wx, options) => createAuth({ baseUrl: BASE, wx, ...options });

const NO_ANSWER = { errMsg: "request:fail timeout" };
const INTERRUPTED = { errMsg: "request:fail interrupted" };

/** A promise and the way to settle it. */
function gate() {
  let open;
  const promise = new Promise((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

// The time stands still, and passes only where a test lets it.
const clock = (t) => t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
const pass = async (t, ms) => {
  for (let left = ms; left > 0; left -= 250) {
    await settle();
    t.mock.timers.tick(250);
  }
  await settle();
};

module.exports = {
  clock,
  pass,
  BASE,
  GONE,
  INTERRUPTED,
  NO_ANSWER,
  auth,
  fakeWx,
  gate,
  loggedOut,
  loginAnswer,
  ok,
  openPage,
  problem,
  recorder,
  settle,
  tokens,
};
