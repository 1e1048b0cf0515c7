"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { fakeWx, ok, settle } = require("../test-support/fake");

const ROOT = path.join(__dirname, "..");
const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
const shipped = ["index.js", ...fs.readdirSync(path.join(ROOT, "lib")).map((name) => `lib/${name}`)];
const read = (name) => fs.readFileSync(path.join(ROOT, name), "utf8");

test("the developer tools find the package, and npm ships all of it", () => {
  assert.equal(manifest.miniprogram, ".");
  assert.equal(manifest.dependencies, undefined);
  for (const name of [manifest.main, manifest.types, ...manifest.files]) assert.ok(fs.existsSync(path.join(ROOT, name)), name);
  for (const name of fs.readdirSync(ROOT)) {
    const known = [...manifest.files, "README.md", "package.json", "test", "test-component", "test-support"];
    assert.ok(known.includes(name), `${name} is neither shipped nor a test`);
  }
});

/** Runs what a README shows, in the order of its files, and opens its page. */
async function opened(wx, ...scripts) {
  const world = { wx, console, require: (name) => assert.equal(name, manifest.name) || require("..") };
  let page;
  Object.assign(world, { App: (given) => (world.app = given), getApp: () => world.app, Page: (given) => (page = given) });
  globalThis.wx = wx;
  try {
    for (const script of scripts) vm.runInNewContext(script, { ...world });
  } finally {
    delete globalThis.wx;
  }
  const shown = { ...page, setData: (change) => Object.assign(shown.data, change) };
  if (shown.onLoad) shown.onLoad({});
  shown.onShow();
  await settle();
  return shown;
}

const called = (wx) => wx.calls.map(({ name, url }) => url || name);
const QUICK = ["login", "https://auth.example.com/v1/login", "https://api.example.com/orders"];

test("the README's quick start works as it stands", async () => {
  const [, app, page] = /```js\n\/\/ app\.js\n([\s\S]*?)\/\/ pages\/orders\/orders\.js\n([\s\S]*?)```/.exec(read("README.md"));
  const wx = fakeWx().on("GET /orders", ok([{ id: 1 }]));
  const shown = await opened(wx, app, page);
  assert.deepEqual(shown.data, { authed: true, orders: [{ id: 1 }] });
  assert.deepEqual(called(wx), QUICK);
});

for (const readme of ["../../README.md", "../../README.zh-CN.md"]) {
  test(`what ${readme} gives to paste works as it stands`, async () => {
    const [, script] = /```js\n(const \{ createAuth[\s\S]*?)```/.exec(read(readme));
    const wx = fakeWx().on("GET /orders", ok([{ id: 1 }])).on("POST /v1/phone", ok({ phoneNumber: "13800138000" }));
    const shown = await opened(wx, script);
    shown.phone({ detail: { code: "tapped", errMsg: "getPhoneNumber:ok" } });
    await settle();
    assert.deepEqual(shown.data, { authed: true, orders: [{ id: 1 }], phoneNumber: "13800138000" });
    assert.deepEqual(called(wx), [...QUICK, "https://auth.example.com/v1/phone"]);
  });
}

test("the README says how long the code is; test-component/size.mjs looks at it minified", () => {
  const bytes = Buffer.byteLength(shipped.map(read).join("")).toLocaleString("en");
  assert.match(read("README.md"), new RegExp(`\\b${bytes} bytes of source\\b`), `${bytes} bytes of source`);
});

test("what the tests install is named without an address, and not shipped", () => {
  const lock = JSON.parse(read("test-component/package-lock.json"));
  assert.deepEqual(lock.packages[""].dependencies, JSON.parse(read("test-component/package.json")).dependencies);
  for (const [name, { resolved }] of Object.entries(lock.packages)) assert.equal(resolved, undefined, name);
  assert.ok(manifest.files.every((name) => !name.startsWith("test")));
});

test("no syntax is newer than ES2018, and nothing is required from outside", () => {
  for (const name of shipped) {
    const code = read(name);
    assert.doesNotMatch(code, /\?\.[a-z[(]|\?\?|catch \{|\bimport\b|\bprocess\b|\bwindow\b|\bBuffer\b|new URL|#\w+\(/, name);
    for (const [, wanted] of code.matchAll(/require\("([^"]+)"\)/g)) assert.match(wanted, /^\.\.?\//);
  }
});

test("what the types declare is there, and nothing else", () => {
  const { createAuth } = require("..");
  const wx = { getStorageSync: () => "", setStorageSync() {}, removeStorageSync() {} };
  const [, declared] = /export interface Auth \{([\s\S]*?)\n\}/.exec(read("index.d.ts"));
  const names = [...declared.matchAll(/^ {2}(?:readonly )?(\w+)[<(?:]/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(createAuth({ baseUrl: "https://a.example", wx })).sort(), [...new Set(names)].sort());
});

test("every method, event and option of the types is in the README", () => {
  const readme = read("README.md");
  const declared = read("index.d.ts");
  for (const name of ["Auth", "AuthOptions", "Events"]) {
    const [, body] = new RegExp(`export interface ${name} \\{([\\s\\S]*?)\\n\\}`).exec(declared);
    for (const [, member] of body.matchAll(/^ {2}(?:readonly )?(\w+)[<(?:]/gm)) {
      assert.match(readme, new RegExp(`\\b${member}\\b`), `${name}.${member}`);
    }
  }
});

test("the global wx is used where no other platform is given", () => {
  const { createAuth } = require("..");
  assert.throws(() => createAuth({ baseUrl: "https://a.example" }), /wx is not defined/);
  globalThis.wx = { getStorageSync: () => '{"openid":"o"}', setStorageSync() {}, removeStorageSync() {} };
  try {
    assert.equal(createAuth({ baseUrl: "https://a.example" }).openid, "o");
  } finally {
    delete globalThis.wx;
  }
});
