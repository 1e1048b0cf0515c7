"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { isMainThread, parentPort, workerData } = require("node:worker_threads");
const { createServer, randomOf } = require("./world");

const PAUSES = [0, 50, 400, 3000, 20000, 150e3, 900e3, 4 * 3600e3];
const ROOT = path.join(__dirname, "..");

/** The package in a JavaScript of its own, which shares nothing with another but what it is given: clock, timers, chance. */
function createRealm() {
  const realm = { now: () => 0, random: () => 0, setTimeout: () => 0, clearTimeout: () => {} };
  const globals = {
    setTimeout: (run, ms) => realm.setTimeout(run, ms),
    clearTimeout: (timer) => realm.clearTimeout(timer),
    now: () => realm.now(),
    random: () => realm.random(),
  };
  const context = vm.createContext(globals);
  vm.runInContext("Date.now = now; Math.random = random; Error.stackTraceLimit = 0;", context);
  const loaded = new Map();
  const load = (file) => {
    if (!loaded.has(file)) {
      const wrapped = `(function (require, module) {${fs.readFileSync(file, "utf8")}\n})`;
      const module = { exports: {} };
      const near = (name) => load(`${path.join(path.dirname(file), name)}.js`);
      vm.runInContext(wrapped, context, { filename: file })(near, module);
      loaded.set(file, module.exports);
    }
    return loaded.get(file);
  };
  realm.createAuth = load(path.join(ROOT, "index.js")).createAuth;
  return realm;
}

const settle = () => new Promise((done) => setImmediate(done));

/** One storage, one user, one server, and a runtime in each realm. What must never happen is in `faults`. */
function createPair(seed, realms) {
  const random = randomOf(seed);
  const storage = new Map();
  const events = [];
  const faults = [];
  let now = 1.7e12;

  const at = (ms, run) => {
    const event = { due: now + ms, run };
    events.push(event);
    return event;
  };
  const cancel = (event) => events.includes(event) && events.splice(events.indexOf(event), 1);
  const server = createServer({ seconds: () => Math.floor(now / 1000) });

  const kept = () => JSON.parse(storage.get("wxauth:@https://a.example") || "{}");

  const runtimes = realms.map((realm, index) => {
    const runtime = { name: "AB"[index], asleep: false, missed: [], refreshes: 0, logins: 0, wills: 0, codes: 0 };
    const deliver = (run) => (runtime.asleep ? runtime.missed.push(run) : run());
    // Nothing is lost twice in a row, or slower than a second try has time for: a refresh of which no answer comes back
    // ends a session for one runtime as for two.
    const delay = () => random.upTo(random.chance(0.1) ? 2000 : 300);
    const lost = {};
    const fate = (route) => {
      lost[route] = !lost[route] && random.chance(0.05);
      return lost[route] && (random.chance(0.5) ? "request" : "answer");
    };

    Object.assign(realm, {
      now: () => Math.floor(now),
      random: () => random.upTo(1),
      setTimeout: (run, ms) => at(ms, () => deliver(run)),
      clearTimeout: cancel,
    });

    const wx = {
      getStorageSync: (key) => storage.get(key) || "",
      setStorageSync: (key, text) => void storage.set(key, text),
      removeStorageSync: (key) => void storage.delete(key),
      login({ success }) {
        const { access_token } = kept();
        if (!runtime.wills && server.knows(access_token)) faults.push("a login though there is a session");
        if (runtimes.some((other) => other.logins > 0 && !other.asleep)) faults.push("a login during a login");
        runtime.logins += 1;
        runtime.codes += 1;
        const code = `${seed}-${runtime.name}-${runtime.codes}`;
        at(random.upTo(300), () => deliver(() => success({ code })));
      },
      request(options) {
        const route = options.url.split("/").pop();
        const sent = { url: options.url, method: options.method, data: options.data, header: options.header };
        let isOpen = true;
        const end = (callback) => (outcome) =>
          deliver(() => {
            if (!isOpen) return;
            isOpen = false;
            if (route === "login") runtime.logins -= 1;
            if (route === "refresh") runtime.refreshes -= 1;
            callback(outcome);
          });
        if (route === "refresh") runtime.refreshes += 1;
        at(options.timeout || 60000, () => end(options.fail)({ errMsg: "request:fail timeout" }));
        const loses = fate(route);
        if (loses === "request") return;
        at(delay(), () => {
          const answer = server.handle(sent);
          if (!loses) at(delay(), () => end(options.success)(answer));
        });
      },
    };
    runtime.auth = realm.createAuth({ baseUrl: "https://a.example", wx });
    runtime.wake = () => {
      runtime.asleep = false;
      runtime.missed.splice(0).forEach((run) => deliver(run));
    };
    return runtime;
  });

  async function pass(ms) {
    await settle();
    const end = now + ms;
    for (;;) {
      let next = null;
      for (const event of events) if (!next || event.due < next.due) next = event;
      if (!next || next.due > end) break;
      cancel(next);
      now = Math.max(now, next.due);
      next.run();
      await settle();
    }
    now = end;
  }

  return { events, faults, kept, pass, random, runtimes, server, settle };
}

/** One seeded life of the two: what users do, pauses up to hours, a session that is ended, a runtime that sleeps. */
async function live(seed, realms) {
  const pair = createPair(seed, realms);
  const { faults, pass, random, runtimes, server } = pair;
  let pending = 0;
  let isLeft = false;
  const follow = (runtime, promise) => {
    pending += 1;
    const land = () => (pending -= 1);
    promise.then(land, (error) => (land(), error.action || faults.push(error.stack)));
  };
  const will = (runtime) => {
    runtime.wills += 1;
    isLeft = false;
    const done = () => (runtime.wills -= 1);
    const login = runtime.auth.login();
    login.then(done, done);
    follow(runtime, login);
  };
  const acts = [
    [0.5, (runtime) => follow(runtime, runtime.auth.session())],
    [0.6, (runtime) => [1, 2].forEach(() => follow(runtime, runtime.auth.session()))],
    [0.75, () => runtimes.filter(({ asleep }) => !asleep).forEach((each) => follow(each, each.auth.ensure()))],
    [0.8, () => server.end()],
    [0.84, (runtime) => ((isLeft = true), follow(runtime, runtime.auth.logout()))],
    [0.9, will],
    // Not in the middle of a refresh or a login: whoever sleeps over the answer is as one that is killed.
    [0.95, (runtime) => (runtime.asleep = runtime.refreshes + runtime.logins === 0)],
    [1, () => {}],
  ];
  const steps = 2 + Math.floor(random.upTo(5));
  for (let step = 0; step < steps; step += 1) {
    const runtime = runtimes[random.chance(0.5) ? 0 : 1];
    if (runtime.asleep) runtime.wake();
    const roll = random.upTo(1);
    acts.find(([share]) => roll <= share)[1](runtime);
    await pass(random.upTo(PAUSES[Math.floor(random.upTo(PAUSES.length))]));
  }
  runtimes.forEach(({ wake }) => wake());
  await pass(120e3);
  assert.equal(pending, 0, "every promise is settled");
  assert.equal(pair.events.length, 0, "no timer is left");
  if (!isLeft) {
    const healed = Promise.allSettled(runtimes.map(({ auth }) => auth.session()));
    await pass(60e3);
    for (const { reason } of await healed) if (reason) assert.equal(reason.action, "retry", reason.stack);
  }
  assert.deepEqual(faults, []);
  assert.equal(server.verdicts.REUSE, undefined, "a session was ended by reuse");
  return { ...server.verdicts, logins: runtimes[0].codes + runtimes[1].codes };
}

/** So many schedules from this seed, and what the server said in all of them. */
async function play(first, count) {
  const realms = [createRealm(), createRealm()];
  const sums = {};
  for (let seed = first; seed < first + count; seed += 1) {
    try {
      for (const [name, times] of Object.entries(await live(seed, realms))) sums[name] = (sums[name] || 0) + times;
    } catch (error) {
      error.message += ` (WXAUTH_SEED=${seed} WXAUTH_SCHEDULES=1)`;
      throw error;
    }
  }
  return sums;
}

// In a thread of its own: the test runner follows every promise, which takes most of the time.
if (!isMainThread) play(workerData.first, workerData.count).then((sums) => parentPort.postMessage(sums));
