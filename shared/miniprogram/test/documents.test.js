"use strict";

// The documents beside the READMEs: what they show runs, and what they name is there.

const test = require("node:test");
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { auth, fakeWx, ok, openPage, problem, settle } = require("../test-support/fake");

const ROOT = path.join(__dirname, "../../..");
const MIGRATING = ["MIGRATING.md", "MIGRATING.zh-CN.md"].map((name) => `shared/miniprogram/${name}`);
const DEVTOOLS = ["README.md", "README.zh-CN.md"].map((name) => `shared/miniprogram/examples/demo/${name}`);
const SKILL = "shared/miniprogram/SKILL.md";

const read = (name) => fs.readFileSync(path.join(ROOT, name), "utf8");
const blocks = (name, language = "\\w+") =>
  [...read(name).matchAll(new RegExp(`^( *)\`\`\`(?:${language})\\n([\\s\\S]*?)^ *\`\`\``, "gm"))].map(([, indent, code]) => code.replace(new RegExp(`^${indent}`, "gm"), ""));
const sample = (name, text) => blocks(name, "js").find((code) => code.includes(text));
const settled = async () => {
  for (let turn = 0; turn < 3; turn += 1) await settle();
};

function phone() {
  const wx = fakeWx().on("GET /orders", ok([{ id: 1 }])).on("POST /orders", ok({}));
  wx.toasts = [];
  wx.showToast = ({ title }) => void wx.toasts.push(title);
  return wx;
}

/** Runs a script of a mini program; what it requires from here is in `near`. */
function run(wx, code, near = {}) {
  const module = { exports: {} };
  const world = { wx, module, Promise, Object, Error, App: (given) => (module.app = given), Page: (given) => (module.page = given) };
  globalThis.wx = wx;
  try {
    vm.runInNewContext(code, { ...world, require: (name) => (name === "wxauth-miniprogram" ? require("..") : near) });
  } finally {
    delete globalThis.wx;
  }
  return module;
}

/** The migration's "after", with the app and pages that it shows. */
function migrated(name, wx) {
  const { exports: near } = run(wx, sample(name, "const getUnionId"));
  const page = (text) => run(wx, sample(name, text), near).page;
  assert.equal(run(wx, sample(name, "// app.js"), near).app.auth, near.auth);
  return { ...near, page };
}

for (const name of MIGRATING) {
  test(`what ${name} starts from logs in for each of three requests, and what it ends with once`, async () => {
    const expired = (wx) => wx.on("GET /orders", ...[1, 2, 3].map(() => ({ statusCode: 401, data: {} })), ok([]));
    const ask = (request) => Promise.all([1, 2, 3].map(() => request({ url: "https://api.example.com/orders" })));

    const before = expired(phone()).on("POST /login", ok({ token: "t" }));
    await ask(run(before, sample(name, 'wx.getStorageSync("token")')).exports.request);
    assert.equal(before.made("login").length, 3);

    const after = expired(phone()).on("POST /v1/refresh", problem(400, "login_required", "relogin"));
    const client = migrated(name, after);
    await client.login();
    after.calls.length = 0;
    await ask(client.request);
    assert.equal(after.made("login").length, 1);
  });

  test(`the pages of ${name} show orders to those who are logged in, and buy for those who say yes`, async () => {
    const wx = phone();
    const { page } = migrated(name, wx);
    const order = openPage(page("pages/order/order.js"));
    await settled();
    openPage(page("pages/shop/shop.js")).onBuy();
    await settled();
    assert.deepEqual([order.data.orders, wx.toasts, wx.made("login").length], [[{ id: 1 }], ["已下单"], 1]);
  });

  test(`the client of ${name} tells an outage and no refusal, and knows what a profile is good for today`, async () => {
    const wx = phone().on("DELETE /v1/session", { statusCode: 204, data: "" }).on("POST /v1/userinfo", ok({ nickName: "微信用户", unionId: "u-ada" }));
    wx.getUserInfo = ({ success }) => success({ rawData: "{}", signature: "s", encryptedData: "e", iv: "i" });
    const { auth: client, getUnionId, handleLogin } = migrated(name, wx);
    assert.equal(await getUnionId(), "u-ada");
    await client.logout();
    wx.on("showModal", { confirm: false });
    await handleLogin(() => assert.fail());
    assert.deepEqual(wx.toasts, []);
    wx.on("showModal", { confirm: true }).on("login", { errMsg: "login:fail" });
    await handleLogin(() => assert.fail());
    assert.deepEqual(wx.toasts, ["网络不稳定，请稍后再试"]);
  });

  test(`in the place of weRequest, the request of ${name} gives data, logs in upon -1, and rejects with the server's words`, async () => {
    const wx = phone().on("GET /orders", ok({ errcode: -1 }), ok({ errcode: 0, data: [7] }), ok({ errcode: 9, msg: "没有库存" }));
    const { exports: client } = run(wx, sample(name, "errcode === -1"));
    assert.deepEqual(await client.request({ url: "orders" }), [7]);
    assert.equal(wx.made("request", "/v1/refresh").length, 1);
    await assert.rejects(client.request({ url: "orders" }), { message: "没有库存" });
  });

  test(`what ${name} says takes the place of the old is there`, () => {
    const client = auth(fakeWx());
    for (const [, method] of read(name).matchAll(/`auth\.(\w+)/g)) assert.ok(method in client, method);
  });
}

for (const name of DEVTOOLS) {
  test(`the client that ${name} starts with logs in at the laptop`, async () => {
    const wx = phone();
    const { app } = run(wx, sample(name, "createAuth"));
    assert.equal((await app.auth.ensure()).openid, "o-ada");
    assert.equal(wx.made("request", "/v1/login")[0].url, "http://127.0.0.1:9000/v1/login");
  });
}

test("each script and file that the documents have people run is there, and each flag of the laptop is one", () => {
  const flags = new Set(read("README.md").match(/`--[a-z-]+/g).map((flag) => flag.slice(1)));
  for (const name of [...DEVTOOLS, SKILL]) {
    for (const script of blocks(name, "sh")) {
      execFileSync("bash", ["-n"], { input: script });
      const cargo = script.match(/^cargo run.*$/m);
      for (const [flag] of cargo ? cargo[0].matchAll(/--[a-z-]+/g) : []) assert.ok(flags.has(flag), `${name}: ${flag}`);
      for (const [, file] of name === SKILL ? [] : script.matchAll(/^node (\S+)/gm)) assert.ok(fs.existsSync(path.join(ROOT, path.dirname(name), file)), file);
    }
  }
  const { scripts } = JSON.parse(read("shared/miniprogram/examples/demo/package.json"));
  for (const [, file] of Object.values(scripts).join(" && ").matchAll(/node (\S+)/g)) assert.ok(fs.existsSync(path.join(ROOT, "shared/miniprogram/examples/demo", file)), file);
  for (const name of DEVTOOLS) for (const [, script] of read(name).matchAll(/`npm run (\w+)`/g)) assert.ok(scripts[script], script);
});

test("each script of the demo and of the skill is one", () => {
  const folder = path.join(ROOT, "shared/miniprogram/examples/demo");
  const scripts = fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js") && !name.includes("miniprogram_npm"));
  assert.ok(scripts.includes("automator.js"));
  for (const name of scripts) new vm.Script(fs.readFileSync(path.join(folder, name), "utf8"), { filename: name });
  for (const code of blocks(SKILL, "js")) new vm.Script(code);
  for (const code of blocks(SKILL, "json")) JSON.parse(code);
});
