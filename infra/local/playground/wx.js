// A `wx` for the client package: what WeChat gives a mini program, made of the simulator, `fetch` and a phone.
//
// Only what the package and the demo app use is here. Callbacks come as in WeChat: never before the call has returned,
// `success` for every answer with a status, `fail` without one, and storage is kept apart by phone and user.

import { el } from "./dom.js";
import { control } from "./laptop.js";
import { network as shared } from "./network.js";
import { carry } from "./pushes.js";
import { SHOP, shopServer } from "./shop.js";

/** How long a phone waits that has sent a request into nothing: shorter than in life, nobody likes to wait. */
const LOST_AFTER = 700;
const SLOW = 1500;
/** WeChat's push was seen 5 to 12 s after a payment; here sooner, too, and after what the phone is told. */
const PUSHED_AFTER = 400;

/** Who logged in where: `wx.checkSession` is about the newest code of the user, on whatever phone. */
const newestLogin = new Map();

/** The `wx` of one run of the app. `screen` shows modals and toasts, and goes from page to page. */
export function createWx({ phone, user, screen, record, network = shared }) {
  const prefix = `wxauth.${phone}.${user}.`;
  const running = { alive: true };
  const settle = settler(running);
  let login;

  const wx = {
    login(options) {
      return settle(options, async () => {
        const entry = record({ method: "wx", url: "login" });
        if (network.offline) {
          entry.lost("offline");
          throw new Error("login:fail network error");
        }
        const { code } = await control("login", { user });
        newestLogin.set(user, (login = Symbol("login")));
        entry.answered({ status: "ok", headers: {}, body: { code } });
        return { code, errMsg: "login:ok" };
      });
    },

    checkSession(options) {
      return settle(options, async () => {
        const newest = newestLogin.get(user);
        // After a reload the page has forgotten who logged in where, and takes the phone's word.
        const isOver = newest && login && newest !== login;
        const entry = record({ method: "wx", url: "checkSession" });
        entry.answered({ status: isOver ? "fail" : "ok", headers: {}, body: {} });
        if (isOver) throw new Error("checkSession:fail session expired");
        return { errMsg: "checkSession:ok" };
      });
    },

    request(options) {
      const abort = new AbortController();
      settle(options, () => send(options, { signal: abort.signal, record, network }));
      return { abort: () => abort.abort() };
    },

    /** What was signed is shown to the user, then to WeChat, which pushes the delivery if it is content. */
    requestVirtualPayment({ mode, signData, paySig, signature, ...options }) {
      return settle(options, async () => {
        const given = { mode, signData, paySig, signature };
        const entry = record({ method: "wx", url: "requestVirtualPayment", body: given });
        const answered = (body) => entry.answered({ status: body.errCode ?? "ok", headers: {}, body });
        const { confirm } = await screen.ask("sheet", paySheet(JSON.parse(signData)), "pay.no", "pay.yes");
        const { push, ...outcome } = confirm
          ? await control("purchase", { user, ...given, send: false })
          : { errMsg: "requestVirtualPayment:fail cancel", errCode: -2 };
        answered(outcome);
        if (outcome.errCode) throw Object.assign(new Error(outcome.errMsg), outcome);
        if (push) setTimeout(() => carry(push).catch(() => {}), PUSHED_AFTER);
        return outcome;
      });
    },

    getStorageSync(key) {
      const kept = localStorage.getItem(prefix + key);
      return kept === null ? "" : JSON.parse(kept);
    },
    setStorageSync(key, value) {
      if (running.alive) localStorage.setItem(prefix + key, JSON.stringify(value));
    },
    removeStorageSync(key) {
      if (running.alive) localStorage.removeItem(prefix + key);
    },

    showModal: (options) => settle(options, () => screen.modal(options)),
    showToast: (options) => settle(options, async () => screen.toast(options.title)),
    switchTab: (options) => settle(options, async () => screen.goTo(options.url)),
    reLaunch: (options) => settle(options, async () => screen.goTo(options.url)),
    navigateBack: (options = {}) => settle(options, async () => screen.goTo("/pages/home")),

    onNetworkStatusChange(listener) {
      let was = network.offline;
      network.onChange(() => {
        const { offline } = network;
        if (offline === was || !running.alive) return;
        was = offline;
        listener({ isConnected: !offline, networkType: offline ? "none" : "wifi" });
      });
    },

    getAccountInfoSync: () => ({ miniProgram: { appId: "", envVersion: "develop", version: "" } }),
    getRandomValues(options) {
      const bytes = crypto.getRandomValues(new Uint8Array(options.length));
      return settle(options, async () => ({ randomValues: bytes.buffer, errMsg: "getRandomValues:ok" }));
    },
  };
  return {
    wx,
    /** The app is killed: what is under way goes on, and nobody hears how it ended. */
    kill: () => (running.alive = false),
  };
}

/** The tokens in this storage, wherever the package keeps them: what a thief would find. */
export function heldTokens(phone, user) {
  const kept = Object.entries(localStorage).filter(([key]) => key.startsWith(`wxauth.${phone}.${user}.`));
  const text = kept.map(([, value]) => value).join("\n");
  return { access: /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(text)?.[0], refresh: /wxr1_[\w-]+/.exec(text)?.[0] };
}

/** Forgets what was stored on this phone, whoever held it. */
export function wipe(phone) {
  const ours = Object.keys(localStorage).filter((key) => key.startsWith(`wxauth.${phone}.`));
  for (const key of ours) localStorage.removeItem(key);
}

/** A login whose code no server of ours gets: WeChat's session_key is another one from then on. */
export async function loginElsewhere(user) {
  await control("login", { user });
  newestLogin.set(user, Symbol("elsewhere"));
}

/** What WeChat shows of a purchase before it is paid. */
function paySheet({ goodsPrice }) {
  return [el("h3", { t: "pay.title" }), el("p", { t: "pay.content", values: { price: (goodsPrice / 100).toFixed(2) } })];
}

/** Calls back as `wx` does, and gives a promise to those who brought no callback. */
function settler(running) {
  return (options, act) => {
    const { success, fail, complete } = options;
    const done = Promise.resolve().then(act);
    const told = done.then(
      (result) => {
        if (running.alive) for (const tell of [success, complete]) tell?.(result);
        return result;
      },
      (error) => {
        const failure = { errMsg: error.message, errno: error.errno ?? 5, errCode: error.errCode };
        if (running.alive) for (const tell of [fail, complete]) tell?.(failure);
        if (!fail && !complete && !success) throw failure;
        return undefined;
      },
    );
    return success || fail || complete ? undefined : told;
  };
}

/** One request over the phone's network, whose conditions the panel sets. */
async function send(options, { signal, record, network }) {
  const { url, method = "GET", data, header = {}, timeout = 60_000 } = options;
  const headers = { ...(data !== undefined && { "content-type": "application/json" }), ...lowered(header) };
  const entry = record({ method, url, headers, body: data });
  if (network.offline) {
    entry.lost("offline");
    throw new Error("request:fail net::ERR_INTERNET_DISCONNECTED");
  }
  const lost = network.takeLoss(new URL(url, location.href).pathname);
  if (network.slow) await pause(SLOW);
  if (lost === "request") {
    await pause(LOST_AFTER);
    entry.lost("request");
    throw new Error("request:fail timeout");
  }
  const body = data === undefined ? undefined : typeof data === "string" ? data : JSON.stringify(data);
  let answer;
  let text;
  try {
    const either = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    const server = url.startsWith(SHOP) ? shopServer : fetch;
    answer = await server(url, { method, headers, body, signal: either });
    text = await answer.text();
  } catch (error) {
    entry.lost("unreachable");
    throw new Error(error.name === "TimeoutError" ? "request:fail timeout" : `request:fail ${error.message}`);
  }
  const heard = { status: answer.status, headers: Object.fromEntries(answer.headers), body: read(text) };
  entry.answered(heard, lost);
  if (lost === "answer") {
    await pause(LOST_AFTER);
    throw new Error("request:fail timeout");
  }
  return { statusCode: heard.status, data: heard.body, header: heard.headers, cookies: [], errMsg: "request:ok" };
}

/** `dataType` is `json` by default: WeChat parses what can be parsed, whatever its content type. */
function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function lowered(header) {
  return Object.fromEntries(Object.entries(header).map(([name, value]) => [name.toLowerCase(), String(value)]));
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
