// SKILL.md, followed to the letter in an empty folder: its app on a phone, its server beside the laptop.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { stage } from "../test-support/stage.mjs";

const require = createRequire(import.meta.url);
const { freePort, lambdaSdk, phoneOf, startLaptop } = require("../test-support/laptop");

const sdk = fileURLToPath(new URL("..", import.meta.url));
const skill = readFileSync(path.join(sdk, "SKILL.md"), "utf8");
const files = new Map([...skill.matchAll(/^`([\w./]+)`:\n\n```\w+\n([\s\S]*?)```/gm)].map(([, name, text]) => [name, text]));

let folder;
let laptop;
let server;
let api;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "skill-"));
  for (const [name, text] of files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  for (const name of ["index.js", "lib"]) cpSync(path.join(sdk, name), path.join(folder, "miniprogram_npm/wxauth-miniprogram", name), { recursive: true });

  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  laptop = await startLaptop({}, ["--push-target", `${api}/wechat`]);
  const need = (name) => (name === "@aws-sdk/client-lambda" ? lambdaSdk(laptop) : name === "node:http" ? { createServer: (act) => (server = http.createServer(act)) } : require(name));
  const process = { env: { PORT: port, WXAUTH_URL: laptop.url } };
  vm.runInThisContext(`(function (require, process) {${files.get("server.js")}\n})`)(need, process);
});

after(async () => {
  if (server) server.close();
  if (laptop) await laptop.stop();
  rmSync(folder, { recursive: true, force: true });
});

let users = 0;

/** The app on a phone whose payments the simulator takes. */
async function opened(t, change = () => {}) {
  const user = `assistant-${(users += 1)}`;
  const wx = phoneOf(laptop, user);
  const shown = [];
  Object.assign(wx, {
    shown,
    showToast: ({ title }) => void shown.push(title),
    showModal: ({ title, success }) => (shown.push(title), success({ confirm: true })),
    stopPullDownRefresh() {},
    requestVirtualPayment({ success, fail, ...signed }) {
      laptop.simulate("purchase", { user, ...signed }).then((told) => (told.errCode ? fail : success)(told), fail);
    },
  });
  change(wx);
  const app = await stage(folder, wx, { "config.js": { wxauth: laptop.url, api } });
  t.after(() => app.close());
  return { app, user, wx };
}

test("the page opens without a question, and logs in again after a logout and a question", async (t) => {
  const { app, wx } = await opened(t);
  await app.shows("绑定手机号");
  assert.deepEqual([wx.counts.logins, wx.shown], [1, []]);
  await app.act(".logout");
  await app.until(() => wx.counts.logins === 2, "another login");
  await app.shows("绑定手机号");
  assert.deepEqual(wx.shown, ["登录"]);
});

test("the server learns the phone number; a refusal shows nothing, and data that is too old asks for another tap", async (t) => {
  const { app, user, wx } = await opened(t);
  await app.act(".ask", "getphonenumber", { errMsg: "getPhoneNumber:fail user deny" });
  const [encryptedData, iv] = [64, 16].map((length) => Buffer.alloc(length, 7).toString("base64"));
  await app.act(".ask", "getphonenumber", { encryptedData, iv });
  await app.until(() => wx.shown.length, "a toast");
  assert.deepEqual(wx.shown, ["请再点一次"]);
  await app.act(".ask", "getphonenumber", await laptop.simulate("phone", { user }));
  await app.until(({ instance }) => /^1\d{10}$/.test(instance.data.phone), "the number");
  await app.act(".ask", "getphonenumber", { ...(await laptop.simulate("phone", { user })), code: undefined });
  assert.deepEqual(wx.shown, ["请再点一次"]);
});

test("a purchase is delivered by WeChat's push, and one that is cancelled shows no failure", async (t) => {
  const { app, wx } = await opened(t);
  await app.act(".buy");
  const delivered = async ({ instance }) => (await instance.load(), instance.data.orders.some(({ state }) => state === "delivered"));
  await app.until(delivered, "the delivery");
  await app.until(({ instance }) => !instance.data.busy, "the end of the purchase");
  wx.requestVirtualPayment = ({ fail }) => fail({ errMsg: "requestVirtualPayment:fail cancel", errCode: -2 });
  await app.act(".buy");
  await app.until(({ instance }) => instance.data.orders.length === 2 && !instance.data.busy, "the second order");
  assert.deepEqual(wx.shown, []);
});

test("what is for sale is the server's list, and no word of the language is in it", async (t) => {
  const { app } = await opened(t);
  await app.shows("绑定手机号");
  for (const product of ["constructor", "__proto__", "vip_year", undefined]) {
    const { statusCode } = await globalThis.getApp().auth.request({ url: `${api}/orders`, method: "POST", data: { product } });
    assert.equal(statusCode, 400, product);
  }
});

test("without wxauth the page says so, and works again afterwards", async (t) => {
  const { app, wx } = await opened(t, (wx) => {
    const { request } = wx;
    wx.down = true;
    wx.request = (options) => (wx.down ? options.fail({ errMsg: "request:fail" }) : request(options));
  });
  await app.shows("暂时无法登录");
  wx.down = false;
  await app.act(".again");
  await app.shows("绑定手机号");
});

test("the app keeps the rules that the skill gives", () => {
  const code = [...files].filter(([name]) => name !== "server.js").map(([, text]) => text).join("");
  assert.doesNotMatch(code, /wx\.(login|checkSession|request|getUserProfile)\b|AppSecret|session_key/);
  assert.equal(code.match(/createAuth\(/g).length, 1);
  assert.match(skill, /^---\nname: [a-z-]+\ndescription: .{1,1024}\n---\n/);
});
