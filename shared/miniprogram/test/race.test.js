"use strict";

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { createAuth } = require("..");
const { phoneOf, startLaptop } = require("../test-support/laptop");

const AT_ONCE = [1, 3, 6, 50];

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

/** The client of the tutorials: a token in the storage, and upon a 401 a login and the request again. */
function tutorialClient({ baseUrl, wx }) {
  const send = (url, data, header) =>
    new Promise((success, fail) => wx.request({ url: baseUrl + url, method: data ? "POST" : "GET", data, header, success, fail }));
  const login = async () => {
    const { code } = await new Promise((success, fail) => wx.login({ success, fail }));
    const { data } = await send("/v1/login", { code, device: wx.getStorageSync("device") || undefined });
    if (!data.access_token) throw new Error(data.code);
    wx.setStorageSync("token", data.access_token);
    wx.setStorageSync("device", data.device);
  };
  const session = async () => {
    const ask = () => send("/v1/session", undefined, { Authorization: `Bearer ${wx.getStorageSync("token")}` });
    let answer = await ask();
    if (answer.statusCode === 401) {
      await login();
      answer = await ask();
    }
    if (answer.statusCode !== 200) throw new Error(answer.data.code);
    return answer.data;
  };
  return { login, session };
}

const CLIENTS = { tutorial: tutorialClient, ours: createAuth };

// The access token is made unreadable, as if it had run out; the whole session is ended from another phone.
const ENDINGS = {
  "access token over": async (_, wx) => {
    for (const [key, text] of wx.storage) {
      wx.storage.set(key, text.replace(/("access_token":")?(eyJ[\w-]+\.[\w-]+\.)/, "$1$2x"));
    }
  },
  "session over": async (user) => {
    const other = createAuth({ baseUrl: laptop.url, wx: phoneOf(laptop, user) });
    await other.login();
    assert.equal(await other.logout({ everywhere: true }), true);
  },
};

async function race(make, ending, atOnce, user) {
  const wx = phoneOf(laptop, user);
  const client = make({ baseUrl: laptop.url, wx });
  await client.login();
  await ENDINGS[ending](user, wx);
  wx.counts.logins = 0;
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, () => client.session()));
  const failed = outcomes.filter(({ status }) => status === "rejected").length;
  return { ...wx.counts, failed };
}

test("however many requests find the session over, there is one refresh, or one login, and none fails", async () => {
  const rows = [];
  for (const ending of Object.keys(ENDINGS)) {
    for (const atOnce of AT_ONCE) {
      for (const [name, make] of Object.entries(CLIENTS)) {
        const user = `${name}-${ending}-${atOnce}`.replace(/ /g, "-");
        rows.push({ ending, requests: atOnce, client: name, ...(await race(make, ending, atOnce, user)) });
      }
    }
  }
  console.table(rows);

  for (const { ending, client, logins, refreshes, failed } of rows.filter((row) => row.client === "ours")) {
    assert.equal(failed, 0, `${client}, ${ending}`);
    assert.equal(logins, ending === "session over" ? 1 : 0);
    assert.equal(refreshes, 1);
  }
});
