"use strict";

const assert = require("node:assert/strict");
const { createAuth } = require("..");
const { phoneOf } = require("./laptop");

const AT_ONCE = [1, 3, 6, 50];

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

// The access token is made unreadable, as if it had run out; the whole session is ended from another phone.
const ENDINGS = {
  "access token over": async (laptop, user, wx) => {
    for (const [key, kept] of wx.storage) {
      wx.storage.set(key, JSON.parse(JSON.stringify(kept).replace(/(eyJ[\w-]+\.[\w-]+\.)/, "$1x")));
    }
  },
  "session over": async (laptop, user) => {
    const other = createAuth({ baseUrl: laptop.url, wx: phoneOf(laptop, user) });
    await other.login();
    assert.equal(await other.logout({ everywhere: true }), true);
  },
};

async function race(laptop, make, ending, atOnce, user) {
  const wx = phoneOf(laptop, user);
  const client = make({ baseUrl: laptop.url, wx });
  await client.login();
  await ENDINGS[ending](laptop, user, wx);
  wx.counts.logins = 0;
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, () => client.session()));
  return { ...wx.counts, failed: outcomes.filter(({ status }) => status === "rejected").length };
}

/** What it costs each of these clients that requests at once find the session over. */
async function measure(laptop, clients) {
  const rows = [];
  for (const ending of Object.keys(ENDINGS)) {
    for (const requests of AT_ONCE) {
      for (const [client, make] of Object.entries(clients)) {
        const user = `${client}-${ending}-${requests}`.replace(/ /g, "-");
        rows.push({ ending, requests, client, ...(await race(laptop, make, ending, requests, user)) });
      }
    }
  }
  console.table(rows);
  return rows;
}

module.exports = { measure, tutorialClient };
