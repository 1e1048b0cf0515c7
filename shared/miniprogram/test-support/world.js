"use strict";

const { settle } = require("./fake");

/** Numbers that a seed repeats (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return { chance: (share) => next() < share, upTo: (most) => next() * most };
}

/** Time that moves only when it is told to, for `setTimeout`, `Date.now` and the network alike. */
function createTime() {
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now };
  const events = [];
  let now = 1.7e12;
  const at = (ms, run) => {
    const event = { due: now + ms, run };
    events.push(event);
    return event;
  };
  globalThis.setTimeout = (run, ms) => at(ms, run);
  globalThis.clearTimeout = (event) => events.includes(event) && events.splice(events.indexOf(event), 1);
  Date.now = () => Math.floor(now);
  return {
    at,
    seconds: () => Math.floor(now / 1000),
    waiting: () => events.length,
    async pass(ms) {
      await settle();
      const end = now + ms;
      for (;;) {
        const next = events.reduce((first, event) => (!first || event.due < first.due ? event : first), null);
        if (!next || next.due > end) break;
        events.splice(events.indexOf(next), 1);
        now = Math.max(now, next.due);
        next.run();
        await settle();
      }
      now = end;
      await settle();
    },
    stop() {
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      Date.now = real.now;
    },
  };
}

const refuse = (statusCode, code, action) => ({ statusCode, data: { code, action } });
const E = 120;
const G = 60;
const D = 60;

/** The verdicts of the server on one user and one device, as a table in memory. */
function createServer(time) {
  const claims = new Map();
  const verdicts = {};
  const refused = new Set();
  let item = null;
  let families = 0;

  const count = (verdict) => {
    verdicts[verdict] = (verdicts[verdict] || 0) + 1;
  };
  const tokens = (generation) => ({
    access_token: `a.${item.family}.${time.seconds()}`,
    refresh_token: `r.${item.family}.${generation}`,
    expires_in: 900,
    openid: "o-ada",
    device: "d-1",
  });
  const give = (generation) => ({ statusCode: 200, data: tokens(generation) });

  function login({ code, device }, key) {
    const claim = claims.get(code);
    const now = time.seconds();
    if (claim) {
      const repeats = claim.key === key && claim.device === device && now - claim.at < 120;
      const lives = item && item.family === claim.family && item.generation === 0;
      return repeats && lives ? give(0) : refuse(400, "code_used", "relogin");
    }
    families += 1;
    claims.set(code, { key, device, at: now, family: families });
    item = { family: families, generation: 0, rotated: now, before: 0, idle: now + 604800, absolute: now + 2592000 };
    return give(0);
  }

  function refresh({ refresh_token }) {
    const [, family, generation] = refresh_token.split(".").map(Number);
    const now = time.seconds();
    const gone = (verdict, code) => {
      count(verdict);
      refused.add(refresh_token);
      return refuse(400, code, "relogin");
    };
    if (!item || item.family !== family || item.idle <= now || item.absolute <= now) return gone("GONE", "login_required");
    if (item.generation === generation) {
      if (item.rotated > now - E) return count("ECHO"), give(generation);
      item = { ...item, generation: generation + 1, before: item.rotated, rotated: now, idle: now + 604800 };
      return count("ROTATED"), give(item.generation);
    }
    const young = now <= item.rotated + G || item.rotated - item.before < E + D;
    if (item.generation === generation + 1 && young) return count("REPLAY"), give(item.generation);
    item = null;
    return gone("REUSE", "token_reused");
  }

  /** Whether a refresh token, or an access token of whatever age, belongs to the session. */
  const knows = (token = "") => item !== null && String(item.family) === token.split(".")[1];

  /** The owner ends the session. */
  const end = () => {
    item = null;
  };

  function session(method, bearer) {
    const [, , issued] = bearer.split(".").map(Number);
    if (!knows(bearer) || time.seconds() >= issued + 930) return refuse(401, "token_invalid", "refresh");
    if (method === "DELETE") item = null;
    return method === "DELETE" ? { statusCode: 204, data: "" } : { statusCode: 200, data: { openid: "o-ada" } };
  }

  function handle({ url, method, data, header }) {
    if (url.endsWith("/v1/login")) return login(data, header["Idempotency-Key"]);
    if (url.endsWith("/v1/refresh")) return refresh(data);
    return session(method, header.Authorization);
  }

  return { end, handle, knows, refused, verdicts };
}

/** A phone on a network that loses, repeats and delays what it carries, in both directions. */
function createPhone({ time, server, random, weather, storage, check }) {
  let codes = 0;
  let logins = 0;
  const phone = { alive: true };
  const deliver = (callback) => (outcome) => phone.alive && callback(outcome);
  const delay = () => random.upTo(random.chance(weather.late) ? 20000 : 400);

  phone.wx = {
    getStorageSync: (key) => storage.get(key) || "",
    setStorageSync(key, text) {
      if (!phone.alive) return;
      check.write(JSON.parse(storage.get(key) || "{}"), JSON.parse(text));
      storage.set(key, text);
    },
    removeStorageSync: (key) => void storage.delete(key),
    login({ success, fail }) {
      if (!phone.alive) return;
      logins += 1;
      check.logins(logins);
      codes += 1;
      const lost = random.chance(weather.lost);
      const code = `${phone.name}-${codes}`;
      time.at(random.upTo(300), () => {
        logins -= 1;
        deliver(lost ? fail : success)(lost ? { errMsg: "login:fail" } : { code });
      });
    },
    request(options) {
      if (!phone.alive) return;
      check.request(options);
      const fail = deliver(options.fail);
      const frozen = JSON.parse(JSON.stringify({ ...options, success: undefined, fail: undefined }));
      const arrive = () => {
        if (random.chance(weather.broken)) return time.at(delay(), () => deliver(options.success)({ statusCode: 503, data: { message: "Service Unavailable" } }));
        const answer = server.handle(frozen);
        if (!random.chance(weather.lost)) time.at(delay(), () => deliver(options.success)(answer));
      };
      if (!random.chance(weather.lost)) time.at(delay(), arrive);
      if (random.chance(weather.repeated)) time.at(delay(), arrive);
      if (random.chance(weather.interrupted)) time.at(random.upTo(5000), () => fail({ errMsg: "request:fail interrupted" }));
      time.at(options.timeout || 60000, () => fail({ errMsg: "request:fail timeout" }));
    },
  };
  return phone;
}

module.exports = { createPhone, createServer, createTime, randomOf };
