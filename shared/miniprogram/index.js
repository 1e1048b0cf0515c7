"use strict";

const { createGuard } = require("./lib/guard");
const { createSession } = require("./lib/session");
const { createWire, failure, refusal, unless } = require("./lib/wire");

const MODAL = { title: "登录", content: "登录后即可继续使用", confirmText: "登录", cancelText: "暂不登录" };

// With a user name or a backslash in it a host equals no allowed one: parsers disagree where such a URL leads.
const originOf = (url) => /^((http|ws)s?:\/\/[^/?#]+)?/i.exec(url)[0].toLowerCase().replace(/^ws/, "http");

const pair = ({ encryptedData, iv }) => ({ encryptedData, iv });
const pick = ({ rawData, signature, encryptedData, iv }) => ({ rawData, signature, encryptedData, iv });

function createAuth({ appid, baseUrl, modal, origins = [], timeout = 15000, wx: platform = wx, storage = platform }) {
  const base = baseUrl.replace(/\/+$/, "");
  const trusted = [base, ...origins].map(originOf);
  const wire = createWire(platform);
  const { call, insist, send } = wire;
  const session = createSession({ appid, base, storage, timeout, ...wire });
  const { current, on, once, read, refresh, renew, silent } = session;

  const showLoginModal = () =>
    once("modal", async () => {
      const { confirm } =
        typeof modal === "function"
          ? { confirm: await modal() }
          : await call("showModal", { ...MODAL, ...modal }).catch(() => ({}));
      if (confirm) return session.login();
      throw failure("user_refused", "stop");
    });

  const obtain = (how, { interactive } = {}) =>
    session.token(how).catch((error) => {
      if (!interactive || (/fix|stop/.test(error.action) && error.code !== "logged_out")) throw error;
      return showLoginModal();
    });

  function address(url) {
    const origin = originOf(url);
    if (!origin) return base + url.replace(/^\/*/, "/");
    if (trusted.includes(origin)) return url;
    throw failure("origin_not_allowed", "fix", `not allowed: ${origin}`);
  }

  /** With the bearer; once more, with another, where the answer wants it. */
  async function deliver(transport, options, how) {
    const url = address(options.url);
    const attempt = ({ access_token }) => {
      const header = { ...options.header };
      Object.keys(header).forEach((name) => /^authorization$/i.test(name) && delete header[name]);
      header.Authorization = `Bearer ${access_token}`;
      return transport({ ...options, url, header });
    };
    const held = await obtain(how, options);
    const answer = await attempt(held);
    const error = refusal(answer);
    if (error.action === "refresh") return attempt(await how(held.access_token));
    if (error.action === "relogin" && how === renew) return attempt(await silent(error));
    return answer;
  }

  /** Resolves with any status, as the platform does; only what wxauth itself refuses rejects. */
  const pass = (name) => ({ success, fail, complete, ...options }) => {
    const transport = (full) => send(name, full);
    const done = deliver(transport, options, renew).then(unless(({ code }) => code));
    const tell = (listen) => (outcome) => [listen, complete].forEach((each) => each && each(outcome));
    done.then(tell(success), tell(fail));
    return done;
  };

  const api = (method, path, data, how = renew) =>
    deliver(insist, { method, url: `/v1/${path}`, data, timeout }, how)
      .then(unless())
      .then((answer) => answer.data);

  /** What was encrypted before: no login may come between it and its decryption, only after. */
  const decrypt = (path, data) =>
    api("POST", path, data, refresh).catch(async (error) => {
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
    async ensure(options) {
      await obtain(renew, options);
      return current();
    },
    showLoginModal,
    login: ({ userInfo } = {}) => session.login(userInfo && pick(userInfo)),
    request: pass("request"),
    uploadFile: pass("uploadFile"),
    connectSocket: (options) =>
      deliver((full) => platform.connectSocket({ complete() {}, ...full, url: full.url.replace(/^http/i, "ws") }), options, renew),
    preparePhone: () => auth.ensure().then(recheck),
    /** The server asks about the key that it signs with; the phone, where WeChat did not answer the server. */
    prepareSignature: () => auth.checkSession().then(recheck),
    pay: (signed) => once("payment", () => call("requestVirtualPayment", signed)),
    async phone({ detail: { code, encryptedData, iv, errno, errMsg } }) {
      if (code || encryptedData) return decrypt("phone", code ? { code } : { encryptedData, iv });
      const reason = errno === 1400001 ? "phone_quota" : /deny|cancel/.test(errMsg) ? "user_denied" : "phone_failed";
      throw failure(reason, "stop", errMsg);
    },
    userInfo: (result) => decrypt("userinfo", pick(result)),
    openData: (event) => decrypt("opendata", pair(event.detail || event)),
    session: () => api("GET", "session"),
    sessions: () => api("GET", "sessions"),
    async checkSession() {
      const answer = await api("GET", "session?wechat=check");
      if (answer.wechat_session === "stale") await silent();
      return answer;
    },
    async logout({ everywhere } = {}) {
      const was = session.leave();
      const { refresh_token } = was;
      if (!refresh_token) return !everywhere;
      // All sessions need an access token, and so it may have to be renewed. This one ends by its refresh token alone.
      const how = async (stale) => (stale ? session.rotate(refresh_token) : was);
      return api("DELETE", everywhere ? "sessions" : "session", everywhere ? undefined : { refresh_token }, how).then(
        () => true,
        () => false,
      );
    },
    async deleteUser() {
      await api("DELETE", "user");
      session.leave();
    },
  };
  auth.guardPage = createGuard(auth, call);
  return auth;
}

module.exports = { createAuth };
