"use strict";

const { failure, pause, pick, quietly, unless } = require("./wire");

const MARGIN = 60000;

/** Milliseconds left by elapsed time; after a clock that went backwards nobody knows, so it is time to refresh. */
function life({ expires_in, at }) {
  const elapsed = Date.now() - at;
  return elapsed < 0 ? 1 : expires_in * 1000 - elapsed;
}

const isWithin = (ms, at) => Math.abs(Date.now() - at) < ms;

const view = pick("openid", "device", "access_token");

// A code from a log is useless without it for two minutes: guessing is all that it has to withstand.
const nonce = () => `${Math.random()}${Math.random()}`;

/** The tokens, and how they are got: one login and one refresh at a time. */
function createSession(platform, storage, { appid, base, call, insist, timeout }) {
  const key = `wxauth:${appid || ""}@${base}`;
  const mark = `${key}:login`;
  let memory = {};
  let isBroken = false;
  let beat;

  const remove = (name) => quietly(() => storage.removeStorageSync(name));

  /** The storage is the truth, as other runtimes of the app write to it; memory serves where it fails. */
  function read() {
    if (isBroken) return memory;
    quietly(() => {
      const kept = storage.getStorageSync(key);
      memory = (typeof kept === "string" ? JSON.parse(kept) : kept) || memory; // some storages parse
    });
    return memory;
  }

  function save(next) {
    memory = next;
    isBroken = true;
    quietly(() => {
      storage.setStorageSync(key, JSON.stringify(next));
      isBroken = false;
    });
    // An outdated refresh token would look like a stolen one at the next start.
    if (isBroken) remove(key);
    return next;
  }

  /** Tells the other runtimes of a login, twice a second, as one that is killed or suspended says no more. */
  function claim() {
    quietly(() => storage.setStorageSync(mark, `${Date.now()}`));
    beat = setTimeout(claim, 500);
  }

  function release() {
    clearTimeout(beat);
    remove(mark);
  }

  const isClaimed = () => isWithin(1500, quietly(() => storage.getStorageSync(mark)));

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

  quietly(() => platform.onNetworkStatusChange(({ isConnected }) => isConnected && emit("online")));

  const once = (name, run) => flights[name] || (flights[name] = run().finally(() => delete flights[name]));

  // More than three in ten minutes is a loop, which would use up WeChat's quota.
  const tired = () => (relogins = relogins.filter(({ at }) => isWithin(600000, at)))[3];

  const count = (error) => relogins.push(Object.assign(error, { at: Date.now() }));

  function report(error) {
    if (error.action === "relogin") count(error);
    emit("error", error);
    throw error;
  }

  async function held() {
    const now = read();
    if (now.access_token) return now;
    throw now.left ? failure("logged_out") : failure("login_required", "relogin");
  }

  async function fetchTokens(path, data, limit, header = {}) {
    const at = Date.now();
    const answer = await insist({ url: `${base}/v1/${path}`, method: "POST", data, header, timeout: limit }, at + timeout);
    const tokens = Object(unless()(answer).data);
    if (tokens.refresh_token) return { ...tokens, at };
    throw failure("network", "retry");
  }

  // Nothing slow is behind a refresh, and the server repeats one that was lost: there is time for a second try.
  const rotate = (refresh_token) => fetchTokens("refresh", { refresh_token }, timeout / 2);

  function adopt(event, { new_user, userInfo, ...tokens }) {
    const session = { ...view(save({ ...read(), ...tokens })), new_user, userInfo };
    emit(event, session);
    return session;
  }

  async function exchange(userInfo) {
    // Opened from Moments (朋友圈): there is no login, and a storage that is not the app's.
    if (quietly(() => platform.getLaunchOptionsSync().scene) === 1154) throw failure("single_page");
    const { code, errMsg } = await call("login", { timeout }).catch((error) => error || {});
    if (!code) throw failure("wx_login_failed", "retry", errMsg);
    const { device, since } = read();
    const body = { code, appid, device, userInfo };
    const bytes = quietly(() => encodeURI(JSON.stringify(body)).replace(/%../g, 1).length);
    if (!(bytes <= 16384)) delete body.userInfo; // too large for the server, or cyclic, it must not refuse the login
    const tokens = await fetchTokens("login", body, timeout, { "Idempotency-Key": nonce() });
    const now = read();
    // Meanwhile the user logged out, or another runtime, for which this one was suspended, logged in.
    if (now.left || (now.since !== since && now.since > tokens.at)) return view(await held());
    return adopt("login", { ...tokens, since: tokens.at });
  }

  const enter = (userInfo) =>
    once("login", async () => {
      const { since } = read();
      // After a payment, because a login may replace the key that signed it.
      while (flights.payment || isClaimed()) {
        await (flights.payment || pause(200)).catch(() => {});
      }
      const now = read();
      if (now.access_token && now.since !== since) return view(now);
      claim();
      const attempt = () => exchange(userInfo).catch(report);
      return attempt()
        .catch((error) => {
          if (error.action !== "relogin" || tired()) throw error;
          return attempt();
        })
        .finally(release);
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

  return { current, emit, leave, login, on, once, read, refresh, renew, rotate, silent, token };
}

module.exports = createSession;
