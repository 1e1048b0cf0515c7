"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { createAuth } = require("..");
const { createPhone, createServer, createTime, randomOf } = require("../test-support/world");

const CALM = { lost: 0, late: 0, broken: 0, repeated: 0, interrupted: 0 };
const LIGHT = { lost: 0.008, late: 0.01, broken: 0.003, repeated: 0.003, interrupted: 0.005 };
const HEAVY = { lost: 0.08, late: 0.1, broken: 0.03, repeated: 0.03, interrupted: 0.05 };
const STEPS = 7000;

/** One seeded life of an app: requests, pauses up to hours, logouts, logins, kills, on that network. */
async function live(seed, network, { kills }) {
  const time = createTime();
  const random = randomOf(seed);
  const server = createServer(time);
  const storage = new Map();
  const weather = { ...network };
  const state = { left: false, pending: 0, refusals: {} };
  const check = {
    logins: (atOnce) => assert.ok(atOnce <= 1, "two wx.login at once"),
    write(was, next) {
      if (!was.refresh_token || next.refresh_token || state.left) return;
      assert.ok(server.refused.has(was.refresh_token), "tokens dropped without the server's word");
    },
    request({ method, header }) {
      if (method !== "GET") return;
      const { access_token } = JSON.parse([...storage.values()][0]);
      assert.equal(header.Authorization, `Bearer ${access_token}`, "another token than the one in the storage");
    },
  };
  let phone;
  let auth;
  const boot = () => {
    if (phone) phone.alive = false;
    state.pending = 0;
    phone = createPhone({ time, server, random, weather, storage, check });
    phone.name = `${seed}-${time.seconds()}`;
    auth = createAuth({ baseUrl: "https://a.example", wx: phone.wx });
  };
  const follow = (promise, owner = phone) => {
    state.pending += 1;
    const land = (error) => {
      if (owner !== phone) return;
      state.pending -= 1;
      if (error && error.code) state.refusals[error.code] = (state.refusals[error.code] || 0) + 1;
      if (error instanceof Error) assert.ok(error.action, error.stack);
    };
    promise.then(() => land(), land);
  };
  const acts = [
    [0.55, () => follow(auth.session())],
    [0.65, () => [1, 2, 3].forEach(() => follow(auth.session()))],
    [0.68, () => follow(auth.ensure())],
    [0.70, () => ((state.left = true), follow(auth.logout()))],
    [0.76, () => ((state.left = false), follow(auth.login()))],
    [0.78, () => kills && boot()],
    [1, () => {}],
  ];

  try {
    boot();
    for (let step = 0; step < STEPS; step += 1) {
      const roll = random.upTo(1);
      acts.find(([share]) => roll <= share)[1]();
      await time.pass(random.chance(0.05) ? random.upTo(4 * 3600e3) : random.upTo(random.chance(0.5) ? 300 : 40000));
    }
    Object.assign(weather, CALM);
    await time.pass(700e3);
    assert.equal(state.pending, 0, "every promise is settled");
    assert.equal(time.waiting(), 0, "no timer is left");
    if (state.left) await assert.rejects(auth.session(), { code: "logged_out" });
    else {
      const healed = auth.session();
      await time.pass(60e3);
      assert.equal((await healed).openid, "o-ada");
    }
    return { ...server.verdicts, ...state.refusals };
  } finally {
    time.stop();
  }
}

for (const [name, network, options] of [
  ["light network", LIGHT, { kills: false }],
  ["heavy network", HEAVY, { kills: false }],
  ["heavy network, killed at any time", HEAVY, { kills: true }],
]) {
  test(`${name}: tokens go only by the server's word, one wx.login at a time, nothing hangs`, async () => {
    const seed = Number(process.env.WXAUTH_SEED) || 20240601;
    try {
      console.log(`${name}, ${STEPS} steps:`, JSON.stringify(await live(seed, network, options)));
    } catch (error) {
      error.message += ` (WXAUTH_SEED=${seed})`;
      throw error;
    }
  });
}
