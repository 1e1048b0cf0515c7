// The race of test/race.test.js with wafer2-client-sdk beside it, as it comes from npm.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { need } from "./modules.mjs";

const require = createRequire(import.meta.url);
const { createAuth } = require("..");
const { startLaptop } = require("../test-support/laptop");
const { measure, tutorialClient } = require("../test-support/race");

// It listens for sockets as soon as it is loaded.
globalThis.wx = { onSocketOpen() {}, onSocketClose() {}, onSocketMessage() {}, onSocketError() {} };
const wafer = need("wafer2-client-sdk");

/** All that wafer2 needs between itself and wxauth: codes and tokens are in its headers, `code` and `data` in its answers. */
function waferServer(baseUrl, wx) {
  const { request } = wx;
  wx.request = ({ url, header, success, fail }) => {
    const { "X-WX-Code": code, "X-WX-Skey": skey } = header;
    if (!code) return request({ url, header: { Authorization: `Bearer ${skey}` }, success, fail });
    const answer = ({ data: { access_token: skey, openid: openId } }) =>
      success({ statusCode: 200, data: skey ? { code: 0, data: { skey, userinfo: { openId } } } : { code: -1 } });
    return request({ url, method: "POST", data: { code }, success: answer, fail });
  };
}

function waferClient({ baseUrl, wx }) {
  waferServer(baseUrl, wx);
  globalThis.wx = wx;
  wafer.setLoginUrl(`${baseUrl}/v1/login`);
  return {
    login: () => new Promise((success, fail) => wafer.loginWithCode({ success, fail })),
    session: () => new Promise((success, fail) => wafer.request({ url: `${baseUrl}/v1/session`, success, fail })),
  };
}

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

test("wafer2 and the tutorials log in once for each request, ours once at most", async () => {
  const rows = await measure(laptop, { wafer2: waferClient, tutorial: tutorialClient, ours: createAuth });
  for (const { client, ending, requests, logins, failed } of rows) {
    const own = ending === "session over" ? 1 : 0;
    assert.equal(logins, client === "ours" ? own : requests, `${client}, ${ending}`);
    if (client === "ours") assert.equal(failed, 0, ending);
    if (client === "wafer2" && requests === 50) assert.notEqual(failed, 0, ending);
  }
});
