"use strict";

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { createAuth } = require("..");
const { startLaptop } = require("../test-support/laptop");
const { measure, tutorialClient } = require("../test-support/race");

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

test("however many requests find the session over, there is one refresh, or one login, and none fails", async () => {
  const rows = await measure(laptop, { tutorial: tutorialClient, ours: createAuth });
  for (const { ending, client, logins, refreshes, failed } of rows.filter((row) => row.client === "ours")) {
    assert.equal(failed, 0, `${client}, ${ending}`);
    assert.equal(logins, ending === "session over" ? 1 : 0);
    assert.equal(refreshes, 1);
  }
});
