"use strict";

// Two runtimes of one mini program on one storage, as its pages and the AI mode are: neither ends the other's session, and
// neither logs in where the other's login would do.

const test = require("node:test");
const os = require("node:os");
const path = require("node:path");
const { Worker } = require("node:worker_threads");

const SCHEDULES = Number(process.env.WXAUTH_SCHEDULES) || 100000;
const THREADS = os.availableParallelism();

const play = (workerData) =>
  new Promise((done, fail) => {
    const worker = new Worker(path.join(__dirname, "../test-support/runtimes.js"), { workerData });
    worker.once("message", done);
    worker.once("error", fail);
  });

test(`${SCHEDULES} schedules of two live runtimes: no session is ended by reuse, and no login is one too many`, async () => {
  const first = Number(process.env.WXAUTH_SEED) || 1;
  const count = Math.ceil(SCHEDULES / THREADS);
  const parts = await Promise.all(Array.from({ length: THREADS }, (_, index) => play({ first: first + index * count, count })));
  const sums = {};
  for (const part of parts) for (const [name, times] of Object.entries(part)) sums[name] = (sums[name] || 0) + times;
  console.log(`${THREADS * count} schedules from ${first}:`, JSON.stringify(sums));
});
