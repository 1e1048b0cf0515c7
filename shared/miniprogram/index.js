"use strict";

const createGuard = require("./lib/guard");
const createSession = require("./lib/session");
const { createWire, failure, pause, pick, quietly, refusal, unless } = require("./lib/wire");

const MODAL = { title: "登录", content: "登录后即可继续使用", confirmText: "登录", cancelText: "暂不登录" };

/** By WeChat's number or its words: one number was seen with the words of another. */
function refusedPhone(told, errMsg) {
  if (/^112 |declared|banned/.test(told)) return failure("privacy_undeclared", "fix", errMsg);
  const isDenied = /^104 |den[iy]|cancel|not authorized/.test(told);
  return failure(/^1400001 |quota/.test(told) ? "phone_quota" : isDenied ? "user_denied" : "phone_failed", "stop", errMsg);
}

const SEALED = ["encryptedData", "iv"];
const sealed = pick(...SEALED);
const profile = pick("rawData", "signature", ...SEALED);

// With a user name or a backslash in it a host equals no allowed one: parsers disagree where such a URL leads.
const originOf = (url) => /^((http|ws)s?:\/\/[^/?#]+)?/i.exec(url)[0].toLowerCase().replace(/^ws/, "http");

function createAuth({
  appid,
  baseUrl,
  expired,
  loginPage,
  origins = [],
  timeout = 11000,
  wx: platform = wx,
  modal = platform.showModal && {},
  storage = platform,
} = {}) {
  if (!originOf(baseUrl)) throw failure("bad_option", "fix", `baseUrl is no address: ${baseUrl}`);
  const base = baseUrl.replace(/\/+$/, "");
  const trusted = [base, ...origins].map(originOf);
  const wire = createWire(platform);
  const { call, insist, send } = wire;
  const session = createSession(platform, storage, { appid, base, timeout, ...wire });
  const { current, emit, on, once, read, refresh, renew, silent } = session;

  const refuse = () => {
    throw failure("user_refused");
  };

  const showLoginModal = () =>
    once("modal", async () => {
      if (loginPage && (await call("navigateTo", { url: loginPage }).then(() => true, () => false))) {
        const isOpen = () => getCurrentPages().some(({ route }) => loginPage.includes(route));
        while (!current() && quietly(isOpen) !== false) await pause(200);
        return refresh().then(current, refuse); // a login that is still under way counts
      }
      const show = () => call("showModal", { ...MODAL, ...modal }).then(({ confirm }) => confirm, () => false);
      return (await (typeof modal === "function" ? modal : show)()) ? session.login() : refuse();
    });

  /** The tokens. Without them whoever logged out is asked, which is all that a person can help, and a guest goes without. */
  const obtain = (tokens, { guest, interactive } = {}) =>
    tokens.catch((error) => {
      if (interactive && error.code === "logged_out" && (loginPage || modal)) return showLoginModal();
      if (guest) return {};
      throw error;
    });

  function address(url) {
    if (!url) throw failure("bad_option", "fix", "url is missing");
    const origin = originOf(url);
    if (!origin) return base + url.replace(/^\/*/, "/");
    if (trusted.includes(origin)) return url;
    throw failure("origin_not_allowed", "fix", `not allowed: ${origin}`);
  }

  /** With the bearer; once more, with another, where the answer wants it. */
  async function deliver(transport, options, how = options.guest ? refresh : renew) {
    const { enableChunked, task } = options;
    const url = address(options.url);
    let isHeard;
    const attempt = ({ access_token }) => {
      const header = { ...options.header };
      for (const name in header) if (/^authorization$/i.test(name)) delete header[name];
      if (access_token) header.Authorization = `Bearer ${access_token}`;
      const listen = (given) => {
        if (enableChunked) given.onChunkReceived(() => (isHeard = true));
        task(given);
      };
      return transport({ ...options, url, header, task: task && listen });
    };
    const { access_token } = await obtain(session.token(how), options);
    const answer = await attempt({ access_token });
    const error = refusal(answer);
    // What the page has heard it must not hear twice; a guest has nothing to renew.
    if (isHeard || !access_token) return answer;
    const isOver = options.expired && options.expired({ ...answer, data: error.data || {} });
    const others = error.action === "refresh" || isOver ? how(access_token) : error.action === "relogin" && how === renew && silent(error);
    return others ? attempt(await obtain(others, options)) : answer;
  }

  let underWay = 0;
  const count = (step) => emit("loading", (underWay += step));

  /** Resolves with any status, as the platform does; only what wxauth itself refuses rejects. */
  const pass = (name) => ({ success, fail, complete, loading = true, ...options } = {}) => {
    if (loading) count(1);
    const done = deliver((full) => send(name, full), { expired, ...options })
      .then(unless(({ code }) => code))
      .finally(() => loading && count(-1));
    const tell = (listen) => (outcome) => {
      if (listen) listen(outcome);
      if (complete) complete(outcome);
    };
    done.then(tell(success), tell(fail));
    return done;
  };

  const api = (path, method = "GET", data, how = renew) =>
    deliver(insist, { method, url: `/v1/${path}`, data, timeout }, how)
      .then(unless())
      .then((answer) => answer.data);

  /** What was encrypted before: no login may come between it and its decryption, only after. */
  const decrypt = (path, data) =>
    api(path, "POST", data, refresh).catch(async (error) => {
      if (!/^relogin/.test(error.action)) throw error;
      await silent().catch(() => {});
      throw Object.assign(new Error(error.title), error, { action: "relogin_then_retap" });
    });

  const recheck = () => call("checkSession").catch(() => silent()).then(current);

  const auth = {
    get openid() {
      return read().openid;
    },
    get device() {
      return read().device;
    },
    get loggedIn() {
      return !!current();
    },
    current,
    on,
    ensure: (options) => obtain(session.token(renew), options).then(current),
    showLoginModal,
    login: ({ userInfo } = {}) => session.login(userInfo && profile(userInfo)),
    request: pass("request"),
    uploadFile: pass("uploadFile"),
    downloadFile: pass("downloadFile"),
    connectSocket: (options) =>
      deliver((full) => platform.connectSocket({ complete() {}, ...full, url: full.url.replace(/^http/i, "ws") }), options),
    preparePhone: () => auth.ensure().then(recheck),
    /** The server asks about the key that it signs with; the phone, where WeChat did not answer the server. */
    prepareSignature: () => auth.checkSession().then(recheck),
    pay: (signed) => once("payment", () => call("requestVirtualPayment", signed)),
    async phone({ detail }) {
      const { code, encryptedData, errno, errMsg } = detail;
      if (code || encryptedData) return decrypt("phone", code ? { code } : sealed(detail));
      throw refusedPhone(`${errno} ${errMsg}`, errMsg);
    },
    userInfo: (result) => decrypt("userinfo", profile(result)),
    openData: (event) => decrypt("opendata", sealed(event.detail || event)),
    session: () => api("session"),
    sessions: () => api("sessions"),
    async checkSession() {
      const answer = await api("session?wechat=check");
      if (answer.wechat_session === "stale") await silent();
      return answer;
    },
    async logout({ everywhere } = {}) {
      const was = session.leave();
      const { refresh_token } = was;
      if (!refresh_token) return !everywhere;
      // All sessions need an access token, and so it may have to be renewed. This one ends by its refresh token alone.
      const how = async (stale) => (stale ? session.rotate(refresh_token) : was);
      const ended = everywhere ? api("sessions", "DELETE", undefined, how) : api("session", "DELETE", { refresh_token }, how);
      return ended.then(() => true, () => false);
    },
    async deleteUser() {
      await api("user", "DELETE");
      session.leave();
    },
  };
  auth.guardPage = createGuard(auth, call, on);
  return auth;
}

module.exports = { createAuth };
