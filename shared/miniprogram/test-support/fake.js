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

/**
 * A scripted `wx`. Routes answer by what `on` says, in order, the last for ever; an answer is an object with a `statusCode`,
 * an object with only an `errMsg` (then it is a `fail`), a function of the request, or a promise of one of these.
 */
function fakeWx() {
  const storage = new Map();
  const scripts = new Map();
  const calls = [];
  let logins = 0;
  let loginsUnderWay = 0;

  async function answer(name, options) {
    const path = options.url ? options.url.replace(/^(https?|wss?):\/\/[^/]+/, "") : "";
    const key = scripts.has(`${options.method || "GET"} ${path}`) ? `${options.method || "GET"} ${path}` : name;
    const script = scripts.get(key);
    if (!script) throw new Error(`nothing scripted for ${options.method || "GET"} ${path || name}`);
    let next = script.length > 1 ? script.shift() : script[0];
    if (typeof next === "function") next = next(options);
    return next;
  }

  const platformCall = (name) => (options) => {
    calls.push({ ...options, name });
    answer(name, options).then(
      (outcome) => {
        const fails = outcome.errMsg && !/:ok$/.test(outcome.errMsg);
        (fails ? options.fail : options.success)(outcome);
        if (options.complete) options.complete(outcome);
      },
      (error) => options.fail({ errMsg: error.message }),
    );
  };

  const wx = {
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
  const others = ["request", "uploadFile", "showModal", "checkSession", "requestVirtualPayment"];
  for (const name of [...others, "navigateBack", "redirectTo", "switchTab"]) wx[name] = platformCall(name);
  wx.on("POST /v1/login", () => loginAnswer());
  wx.on("POST /v1/refresh", () => ok(tokens()));
  wx.on("showModal", { confirm: true });
  wx.on("checkSession", { errMsg: "checkSession:ok" });
  wx.on("requestVirtualPayment", { errMsg: "requestVirtualPayment:ok" });
  for (const name of ["navigateBack", "redirectTo", "switchTab"]) wx.on(name, { errMsg: `${name}:ok` });
  return wx;
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

module.exports = { BASE, INTERRUPTED, NO_ANSWER, auth, fakeWx, gate, loginAnswer, ok, problem, settle, tokens };
