"use strict";

const { failure, unless } = require("./wire");

const MARGIN = 60000;

function quietly(run) {
  try {
    run();
  } catch (error) {} // a storage that fails is done without
}

/** The storage is the truth, as other instances write to it; memory serves where it fails. */
function createStore(storage, key) {
  let held = {};
  let broken = false;

  function read() {
    if (!broken) quietly(() => (held = JSON.parse(storage.getStorageSync(key)) || held));
    return held;
  }

  function save(next) {
    held = next;
    broken = true;
    quietly(() => {
      storage.setStorageSync(key, JSON.stringify(next));
      broken = false;
    });
    // An outdated refresh token would look like a stolen one at the next start.
    if (broken) quietly(() => storage.removeStorageSync(key));
    return next;
  }

  return { read, save };
}

/** Milliseconds left by elapsed time; after a clock that went backwards nobody knows, so it is time to refresh. */
function life({ expires_in, at }) {
  const elapsed = Date.now() - at;
  return elapsed < 0 ? 1 : expires_in * 1000 - elapsed;
}

const view = ({ openid, device, access_token }) => ({ openid, device, access_token });

// A code from a log is useless without it for two minutes: guessing is all that it has to withstand.
const nonce = () => [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join("");

/** The tokens, and how they are got: one login and one refresh at a time. */
function createSession({ appid, base, call, insist, storage, timeout }) {
  const { read, save } = createStore(storage, `wxauth:${appid || ""}@${base}`);
  const listeners = new Set();
  const flights = {};
  let relogins = [];

  const current = () => (read().access_token ? view(read()) : null);

  function on(event, listener) {
    const entry = [event, listener];
    listeners.add(entry);
    return () => listeners.delete(entry);
  }

  // Later, so that what a listener throws is the listener's alone.
  const emit = (event, value) => listeners.forEach(([name, listen]) => name === event && Promise.resolve(value).then(listen));

  const once = (name, run) => flights[name] || (flights[name] = run().finally(() => delete flights[name]));

  // More than three in ten minutes is a loop, which would use up WeChat's quota.
  const tired = () => (relogins = relogins.filter(({ at }) => Math.abs(Date.now() - at) < 600000))[3];

  const count = (error) => relogins.push(Object.assign(error, { at: Date.now() }));

  function report(error) {
    if (error.action === "relogin") count(error);
    emit("error", error);
    throw error;
  }

  async function held() {
    const now = read();
    if (now.access_token) return now;
    throw now.left ? failure("logged_out", "stop") : failure("login_required", "relogin");
  }

  async function fetchTokens(path, data, limit, header = {}) {
    const at = Date.now();
    const answer = await insist({ url: `${base}/v1/${path}`, method: "POST", data, header, timeout: limit });
    const tokens = Object(unless()(answer).data);
    if (tokens.refresh_token) return { ...tokens, at };
    throw failure("network", "retry");
  }

  const rotate = (refresh_token) => fetchTokens("refresh", { refresh_token }, 10000);

  function adopt(event, { new_user, userInfo, ...tokens }) {
    const session = { ...view(save({ ...read(), ...tokens })), new_user, userInfo };
    emit(event, session);
    return session;
  }

  async function exchange(userInfo) {
    let late;
    const { code, errMsg } = await new Promise((done) => {
      call("login", { timeout }).then(done, ({ errMsg } = {}) => done({ errMsg }));
      // One that never calls back would hold up all that wait for it.
      late = setTimeout(done, timeout + 1000, {});
    });
    clearTimeout(late);
    if (!code) throw failure("wx_login_failed", "retry", errMsg);
    const body = { code, appid, device: read().device, userInfo };
    try {
      if (encodeURI(JSON.stringify(body)).replace(/%../g, 1).length > 16384) throw body;
    } catch (error) {
      delete body.userInfo; // optional: too large for the server, or cyclic, it must not refuse the login
    }
    const tokens = await fetchTokens("login", body, timeout, { "Idempotency-Key": nonce() });
    return read().left ? held() : adopt("login", tokens);
  }

  const enter = (userInfo) =>
    once("login", () => {
      const attempt = () => exchange(userInfo).catch(report);
      // After a payment, because a login may replace the key that signed it.
      return Promise.resolve(flights.payment).then(attempt, attempt).catch((error) => {
        if (error.action !== "relogin" || tired()) throw error;
        return attempt();
      });
    });

  /** By the user's will, which ends an earlier logout. */
  function login(userInfo) {
    const { left, ...now } = read();
    if (left) save(now);
    return enter(userInfo);
  }

  async function silent(error) {
    if (read().left) return held();
    if (flights.login) return flights.login;
    if (error) count(error);
    if (tired()) throw tired();
    return enter();
  }

  /** Never calls `wx.login`, which might replace the key of what waits to be decrypted. */
  function refresh(stale) {
    const { access_token, refresh_token, device } = read();
    if (flights.login) return flights.login;
    if (!access_token || access_token !== stale) return held();
    return once(refresh_token, async () => {
      const outcome = await rotate(refresh_token).catch((error) => error);
      // A logout, a login or another instance was quicker than the answer.
      if (read().refresh_token !== refresh_token) return held();
      if (outcome.refresh_token) return adopt("refresh", outcome);
      if (outcome.action === "relogin") {
        save({ device });
        emit("kicked", outcome);
      }
      return report(outcome);
    });
  }

  const renew = (stale) =>
    refresh(stale).catch((error) => {
      if (error.action === "relogin") return silent();
      throw error;
    });

  /** Where a renewal ahead of time fails without a verdict, the old token serves while it lives. */
  async function token(how) {
    const now = read();
    if (life(now) >= MARGIN) return now;
    return how(now.access_token).catch((error) => {
      if (life(read()) > 0) return read();
      throw error;
    });
  }

  /** Forgets at once. Gives the tokens with which the server can still be told. */
  function leave() {
    const was = read();
    save({ device: was.device, left: true });
    emit("logout");
    return was;
  }

  return { current, leave, login, on, once, read, refresh, renew, rotate, silent, token };
}

module.exports = { createSession };
