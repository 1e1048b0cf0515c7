// The demo as a person uses it, with the server that it brings, against the laptop.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { stage } from "../test-support/stage.mjs";

const require = createRequire(import.meta.url);
const { exchange, freePort, phoneOf, startLaptop } = require("../test-support/laptop");

const demo = fileURLToPath(new URL("../examples/demo/", import.meta.url));
const PICTURE = Buffer.from("iVBORw0KGgo=", "base64");

let laptop;
let shop;
let api;

before(async () => {
  const { scripts } = JSON.parse(readFileSync(path.join(demo, "package.json"), "utf8"));
  const [, setup] = /^node (\S+)$/.exec(scripts.setup);
  execFileSync(process.execPath, [setup], { cwd: demo });
  api = `http://127.0.0.1:${await freePort()}`;
  laptop = await startLaptop({}, ["--push-target", `${api}/wechat`]);
  const flags = ["server/index.js", "--listen", api.slice(7), "--wxauth", laptop.url];
  shop = spawn(process.execPath, flags, { cwd: demo, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((ready) => shop.stdout.once("data", ready));
});

after(async () => {
  if (shop) shop.kill();
  if (laptop) await laptop.stop();
});

/** A phone of that user, which answers modals by `confirms` and writes down what it shows. */
function phone(user) {
  const wx = phoneOf(laptop, user);
  const shown = [];
  const upload = async ({ url, filePath, name, header }) => {
    const form = new FormData();
    form.append(name, new Blob([PICTURE], { type: "image/png" }), path.basename(filePath));
    const answer = await fetch(url, { method: "POST", body: form, headers: header });
    return { statusCode: answer.status, data: await answer.text() };
  };
  return Object.assign(wx, {
    shown,
    confirms: true,
    showToast: ({ title }) => void shown.push(title),
    showModal: ({ content, success }) => (shown.push(content), Promise.resolve({ confirm: wx.confirms }).then(success)),
    showNavigationBarLoading() {},
    hideNavigationBarLoading() {},
    stopPullDownRefresh: () => void shown.push("pulled"),
    openPrivacyContract: () => void shown.push("privacy"),
    getPrivacySetting() {},
    uploadFile: (options) => void upload(options).then(options.success, (error) => options.fail({ errMsg: `uploadFile:fail ${error.message}` })),
  });
}

let users = 0;

/** The demo on somebody's phone, as `config.js` would be for it. */
async function opened(t, change = () => {}, user = `visitor-${(users += 1)}`) {
  const wx = phone(user);
  change(wx);
  const config = { wxauth: laptop.url, api, simulator: laptop.wechat, simulatedUser: user };
  const app = await stage(path.join(demo, "miniprogram"), wx, { "config.js": config });
  t.after(() => app.close());
  return { app, user, wx, auth: globalThis.getApp().auth };
}

const BUY = ".buy";
const enter = (app) => app.act(".login-button", "tap", undefined, ".auth-button");

test("home shows what the server sells, and the tab of orders logs in silently", async (t) => {
  const { app, wx } = await opened(t);
  await app.shows("会员月卡");
  await app.shows("10.00");
  app.goTo("pages/orders/index");
  await app.shows("还没有订单");
  assert.deepEqual([wx.counts.logins, wx.shown], [1, []]);
});

test("a purchase is signed by the server, paid at the simulator and delivered by its push alone", async (t) => {
  const { app, wx } = await opened(t);
  await app.act(BUY);
  await app.until(({ route }) => route === "pages/orders/index", "the tab of orders");
  await app.shows("已到账");
  assert.deepEqual(wx.shown, ["应付 ¥10.00（模拟支付，不会扣款）"]);
});

test("a purchase that is given up is an order without a delivery, and no failure", async (t) => {
  const { app, auth, wx } = await opened(t, (wx) => (wx.confirms = false));
  await app.act(BUY);
  await app.until(() => wx.shown.length, "the sheet");
  await app.until(({ instance }) => instance.data.buying === "", "its end");
  assert.equal(app.top().route, "pages/home/index");
  const { data: orders } = await auth.request({ url: `${api}/orders` });
  assert.deepEqual(orders.map(({ state }) => state), ["ordered"]);
  assert.equal(wx.shown.length, 1);
});

test("a login elsewhere between signing and paying costs one more signature, and the purchase goes on", async (t) => {
  const { app, user, wx } = await opened(t);
  const { showModal } = wx;
  wx.showModal = (options) => {
    wx.showModal = showModal;
    laptop.simulate("login", { user }).then(() => showModal(options));
  };
  await app.act(BUY);
  await app.until(({ route }) => route === "pages/orders/index", "the tab of orders");
  await app.shows("已到账");
  assert.equal(wx.counts.logins, 2);
});

test("in the developer tools, whose codes the laptop did not make, the demo as it stands logs in and buys", async (t) => {
  await laptop.simulate("settings", { foreign_codes: true });
  const { simulatedUser } = require(path.join(demo, "miniprogram/config.js"));
  const { app } = await opened(t, (wx) => (wx.login = ({ success }) => success({ code: "the code is a mock one" })), simulatedUser);
  await app.act(BUY);
  await app.until(({ route }) => route === "pages/orders/index", "the tab of orders");
  await app.shows("已到账");
});

test("what the page claims of a payment delivers nothing, and the price is the server's", async (t) => {
  const { auth } = await opened(t);
  const order = (data) => auth.request({ url: `${api}/orders`, method: "POST", data });
  const { data } = await order({ product: "vip_year", price: 1 });
  assert.equal(JSON.parse(data.signData).goodsPrice, 9800);
  assert.equal((await order({ product: "nothing" })).statusCode, 400);
  const forged = { Event: "xpay_goods_deliver_notify", OutTradeNo: JSON.parse(data.signData).outTradeNo, OpenId: "somebody" };
  const told = await exchange(`${api}/wechat`, { method: "POST", data: { message: forged } });
  assert.equal(told.data.ErrCode, 1);
  const { data: orders } = await auth.request({ url: `${api}/orders` });
  assert.deepEqual(orders.map(({ state }) => state), ["ordered"]);
});

test("me has avatar and nickname as WeChat gives them today, kept by the server, and the phone number", async (t) => {
  const { app, user, wx } = await opened(t);
  app.goTo("pages/me/index");
  await app.shows("本机");
  await app.act(".avatar", "chooseavatar", { avatarUrl: "wxfile://tmp/1.png" });
  await app.until(({ instance }) => instance.data.me.avatar, "the avatar");
  await app.act(".naming", "submit", { value: { nickname: " 小柠 " } });
  await app.until(() => wx.shown.includes("已保存"), "the nickname");
  const { avatar, nickname } = app.top().instance.data.me;
  assert.equal(nickname, "小柠");
  assert.deepEqual(Buffer.from(await (await fetch(avatar)).arrayBuffer()), PICTURE);

  const wxml = readFileSync(path.join(demo, "miniprogram/pages/me/index.wxml"), "utf8");
  assert.match(wxml, /open-type="chooseAvatar"/);
  assert.match(wxml, /<input[^>]* type="nickname"/);

  await app.until(() => app.find(".phone").instance.data.ready, "the phone button");
  await app.act(".phone", "getphonenumber", await laptop.simulate("phone", { user }), ".auth-button");
  await app.until(({ instance }) => /^1\d\d\*{4}\d{4}$/.test(instance.data.phone), "the number");
  assert.equal(wx.counts.logins, 1);
});

test("after a logout nobody is logged in silently; the orders ask on the login page, and go on after its tap", async (t) => {
  const { app, auth, wx } = await opened(t);
  app.goTo("pages/me/index");
  await app.act(".logout");
  await app.shows("你还没有登录");
  app.goTo("pages/orders/index");
  await app.shows("登录即表示同意");
  await app.act(".link");
  assert.deepEqual([app.top().route, wx.shown, auth.loggedIn], ["pages/login/index", ["privacy"], false]);
  await enter(app);
  await app.shows("还没有订单");
  assert.equal(wx.counts.logins, 2);
});

test("who closes the login page is brought home from the orders, and can log in on me by one tap", async (t) => {
  const { app, auth, wx } = await opened(t);
  app.goTo("pages/me/index");
  await app.act(".logout");
  await app.shows("你还没有登录");
  app.goTo("pages/orders/index");
  await app.act(".later");
  await app.until(({ route }) => route === "pages/home/index", "home");
  app.goTo("pages/me/index");
  await app.act(".login", "tap", undefined, ".auth-button");
  await app.shows("退出登录");
  assert.deepEqual([auth.loggedIn, wx.shown], [true, []]);
});

test("a purchase after a logout goes over the login page to its end", async (t) => {
  const { app, auth } = await opened(t);
  await auth.ensure();
  await auth.logout();
  await app.act(BUY);
  await enter(app);
  await app.until(({ route }) => route === "pages/orders/index", "the tab of orders");
  await app.shows("已到账");
});

test("me lists both phones of a user, and a logout everywhere ends the other one's session", async (t) => {
  const { app, user } = await opened(t);
  const { createAuth } = require("..");
  const other = createAuth({ baseUrl: laptop.url, wx: phoneOf(laptop, user) });
  await other.login();
  const kicked = new Promise((heard) => other.on("kicked", heard));
  app.goTo("pages/me/index");
  await app.shows("其他设备");
  await app.act(".everywhere");
  await app.shows("你还没有登录");
  await other.session();
  assert.equal((await kicked).code, "login_required");
});

test("an account that is deleted is gone at both servers, and asked about before", async (t) => {
  const { app, auth, wx } = await opened(t, (wx) => (wx.confirms = false));
  await app.act(BUY);
  await app.until(() => wx.shown.length, "the sheet");
  app.goTo("pages/me/index");
  await app.act(".delete");
  await app.until(() => wx.shown.length === 2, "the question");
  assert.equal(auth.loggedIn, true);
  wx.confirms = true;
  await app.act(".delete");
  await app.shows("你还没有登录");
  assert.equal((await auth.login()).new_user, true);
  assert.deepEqual((await auth.request({ url: `${api}/orders` })).data, []);
});

/** As much of miniprogram-automator as the demo's script uses, where the pages are the simulator's. */
function automated(app) {
  const element = (found) => ({ tap: async () => found.dispatchEvent("tap", { bubbles: true }), $: async () => element(found.querySelector(".auth-button")) });
  const currentPage = async () => {
    const { route, instance } = app.top();
    const data = async (name) => instance.data[name];
    return { path: route, data, $: async (selector) => element(app.find(selector)), $$: async (selector) => app.all(selector) };
  };
  const goTo = async (url) => void app.goTo(url.slice(1));
  return { currentPage, reLaunch: goTo, switchTab: goTo };
}

test("the script for the developer tools goes through the pages to its end", async (t) => {
  const { app, auth } = await opened(t);
  await require(path.join(demo, "automator.js")).tour(automated(app));
  assert.equal(auth.loggedIn, true);
});

test("without a network the orders say so, and log in when it is back", async (t) => {
  const { app, wx } = await opened(t, (wx) => {
    const { request } = wx;
    wx.down = true;
    wx.request = (options) => (wx.down ? options.fail({ errMsg: "request:fail" }) : request(options));
    wx.onNetworkStatusChange = (listener) => (wx.goOnline = listener);
  });
  await app.shows("商品加载失败");
  app.goTo("pages/orders/index");
  await app.shows("暂时无法登录");
  wx.down = false;
  wx.goOnline({ isConnected: true });
  await app.shows("还没有订单");
  app.goTo("pages/home/index");
  await app.act(".empty .button");
  await app.shows("会员月卡");
});

test("without a network me does not take an outage for a logout, and goes on after a tap", async (t) => {
  const { app, wx } = await opened(t, (wx) => {
    const { request } = wx;
    wx.down = true;
    wx.request = (options) => (wx.down ? options.fail({ errMsg: "request:fail" }) : request(options));
  });
  app.goTo("pages/me/index");
  await app.shows("暂时无法登录");
  wx.down = false;
  await app.act(".retry");
  await app.shows("退出登录");
});

test("without the owner's server the orders are not blank", async (t) => {
  const { app } = await opened(t, (wx) => {
    const { request } = wx;
    wx.request = (options) => (options.url.startsWith(api) ? options.fail({ errMsg: "request:fail" }) : request(options));
  });
  app.goTo("pages/orders/index");
  await app.shows("订单加载失败");
});

test("the server takes no word but its user's: no token, no picture, no name that is none", async (t) => {
  const { auth } = await opened(t);
  assert.equal((await exchange(`${api}/orders`)).statusCode, 401);
  assert.equal((await exchange(`${api}/nothing`)).statusCode, 404);
  const me = `${api}/me`;
  for (const nickname of ["", " ", "x".repeat(21), 7]) {
    assert.equal((await auth.request({ url: me, method: "PUT", data: { nickname } })).statusCode, 400);
  }
  assert.equal((await auth.request({ url: `${me}/avatar`, method: "POST", data: "{}" })).statusCode, 400);
});

test("the tools find each file that the project names, and check no domains", () => {
  const json = (name) => JSON.parse(readFileSync(path.join(demo, name), "utf8"));
  const { miniprogramRoot, setting, appid } = json("project.config.json");
  assert.deepEqual([setting.urlCheck, appid, miniprogramRoot], [false, "touristappid", "miniprogram/"]);
  const { pages, tabBar, sitemapLocation } = json("miniprogram/app.json");
  const icons = tabBar.list.flatMap(({ iconPath, selectedIconPath }) => [iconPath, selectedIconPath]);
  const files = pages.flatMap((page) => ["js", "json", "wxml", "wxss"].map((type) => `${page}.${type}`));
  for (const name of [...icons, ...files, sitemapLocation, "app.wxss"]) assert.ok(readFileSync(path.join(demo, miniprogramRoot, name)).length, name);
  const { simulator } = require(path.join(demo, "miniprogram/config.js"));
  assert.match(simulator, /^http:\/\/127\.0\.0\.1:/);
});
