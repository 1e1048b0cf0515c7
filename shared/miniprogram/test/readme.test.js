"use strict";

// What the READMEs show runs as it stands, says no less in Chinese, and looks at a status before it believes an answer.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { auth, fakeWx, NO_ANSWER, ok, openPage, problem, settle } = require("../test-support/fake");

const OURS = ["README.md", "README.zh-CN.md"];
const ROOTS = ["../../README.md", "../../README.zh-CN.md"];
const read = (name) => fs.readFileSync(path.join(__dirname, "..", name), "utf8");
const blocks = (readme, language = "\\w+") => [...read(readme).matchAll(new RegExp(`\`\`\`(?:${language})\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code]) => code);
const sample = (readme, text, language = "js") => blocks(readme, language).find((code) => code.includes(text));

/** A platform whose toasts are written down. */
function phone() {
  const wx = fakeWx().on("GET /orders", ok([{ id: 1 }]));
  wx.toasts = [];
  wx.showToast = ({ title }) => void wx.toasts.push(title);
  wx.showLoading = () => void wx.toasts.push("loading");
  wx.hideLoading = () => void wx.toasts.push("loaded");
  return wx;
}

/** Runs scripts as the files of a mini program, and opens the page that they make. */
async function opened(wx, scripts, more) {
  const world = { wx, Error, require: (name) => assert.equal(name, "wxauth-miniprogram") || require(".."), ...more };
  let page;
  Object.assign(world, { App: (given) => (world.app = given), getApp: () => world.app, Page: (given) => (page = given) });
  globalThis.wx = wx;
  try {
    for (const script of scripts) vm.runInNewContext(script, { ...world });
  } finally {
    delete globalThis.wx;
  }
  const shown = page && openPage(page);
  for (let turn = 0; turn < 3; turn += 1) await settle();
  return shown;
}

const called = (wx) => wx.calls.map(({ name, url }) => url || name);
const QUICK = ["login", "https://auth.example.com/v1/login", "https://api.example.com/orders"];
const quickStart = (readme) => sample(readme, "// app.js").split("// pages/orders/orders.js\n");

for (const readme of OURS) {
  test(`the quick start of ${readme} works as it stands`, async () => {
    const wx = phone();
    const shown = await opened(wx, quickStart(readme));
    assert.deepEqual(JSON.parse(JSON.stringify(shown.data)), { authed: true, authError: null, orders: [{ id: 1 }] });
    assert.deepEqual([called(wx), wx.toasts], [QUICK, []]);
  });

  for (const [what, answer] of [["a status that is none", { statusCode: 500, data: "<html>" }], ["no answer", NO_ANSWER]]) {
    test(`the quick start of ${readme} says so upon ${what}`, async () => {
      const wx = phone().on("GET /orders", answer);
      const shown = await opened(wx, quickStart(readme));
      assert.deepEqual([shown.data.orders.length, wx.toasts], [0, ["加载失败"]]);
    });
  }

  test(`the phone number of ${readme}: shown, asked for again, failed, or declined without a word`, async () => {
    const tap = async (script, detail = { code: "c" }) => {
      const wx = phone().on("POST /v1/phone", ok({ phoneNumber: "13800138000" }));
      script(wx);
      const client = auth(wx);
      await client.login();
      const shown = await opened(wx, [sample(readme, "auth.preparePhone()")], { auth: client });
      shown.onPhone({ detail });
      await settle();
      return [shown.data.phoneNumber, wx.toasts];
    };
    assert.deepEqual(await tap(() => {}), ["13800138000", []]);
    const stale = problem(409, "session_key_expired", "relogin_then_retap");
    assert.deepEqual(await tap((wx) => wx.on("POST /v1/phone", stale)), [undefined, ["请再点一次"]]);
    assert.deepEqual(await tap((wx) => wx.on("POST /v1/phone", problem(403, "data_rejected", "stop"))), [undefined, ["获取失败"]]);
    assert.deepEqual(await tap(() => {}, { errno: 104, errMsg: "getPhoneNumber:fail" }), [undefined, []]);
  });

  test(`the dialog on privacy of ${readme} agrees and disagrees as WeChat wants it`, async () => {
    for (const [act, told] of [["onAgree", { event: "agree", buttonId: "agree" }], ["onDisagree", { event: "disagree" }]]) {
      const wx = phone();
      let ask;
      wx.onNeedPrivacyAuthorization = (listener) => (ask = listener);
      const shown = await opened(wx, [sample(readme, "onNeedPrivacyAuthorization")]);
      const heard = [];
      ask((decision) => heard.push(decision));
      assert.equal(shown.data.asksPrivacy, true);
      shown[act]();
      assert.deepEqual(JSON.parse(JSON.stringify([shown.data.asksPrivacy, heard])), [false, [told]]);
    }
    await opened(phone(), [sample(readme, "onNeedPrivacyAuthorization")]);
  });

  test(`name and picture of ${readme} are uploaded with the token, and a refusal is told`, async () => {
    const script = sample(readme, "onChooseAvatar");
    for (const [answer, toasts] of [[{ statusCode: 204, data: "" }, []], [{ statusCode: 413, data: "" }, ["保存失败", "保存失败"]], [NO_ANSWER, ["保存失败", "保存失败"]]]) {
      const wx = phone().on("uploadFile", answer).on("PUT /me", answer);
      const client = auth(wx, { origins: ["https://api.example.com"] });
      const shown = await opened(wx, [script], { auth: client });
      await shown.onChooseAvatar({ detail: { avatarUrl: "wxfile://tmp/1.png" } });
      await shown.onSubmit({ detail: { value: { nickname: " Ada " } } });
      const [upload, named] = [...wx.made("uploadFile"), ...wx.made("request", "/me")];
      assert.deepEqual([upload.filePath, named.data.nickname], ["wxfile://tmp/1.png", "Ada"]);
      for (const { header } of [upload, named]) assert.equal(header.Authorization, `Bearer ${client.current().access_token}`);
      assert.deepEqual([shown.data.avatar, wx.toasts], ["wxfile://tmp/1.png", toasts]);
    }
  });

  test(`an API's own "not logged in" of ${readme} is one`, async () => {
    for (const answer of [ok({ code: 401 }), { statusCode: 403, data: null }]) {
      const wx = phone().on("GET /orders", answer, ok([]));
      await opened(wx, [`const { createAuth } = require("wxauth-miniprogram");\n${sample(readme, "expired:")}\nApp({ auth });
        auth.request({ url: "https://api.example.com/orders" });`]);
      assert.deepEqual([wx.made("request", "/orders").length, wx.made("request", "/v1/refresh").length], [2, 1]);
    }
  });

  test(`the loading of ${readme} is shown for as long as it takes`, async () => {
    const wx = phone();
    const client = auth(wx, { origins: ["https://api.example.com"] });
    await opened(wx, [sample(readme, '"loading"')], { auth: client });
    await client.request({ url: "https://api.example.com/orders" });
    await settle();
    assert.deepEqual(wx.toasts, ["loading", "loaded"]);
  });

  test(`the independent sub-package of ${readme} has an auth where the button looks for it`, async () => {
    const app = {};
    const wx = phone();
    globalThis.wx = wx;
    try {
      const script = sample(readme, "allowDefault");
      vm.runInNewContext(script, { getApp: ({ allowDefault }) => allowDefault && app, createAuth: require("..").createAuth, Object });
    } finally {
      delete globalThis.wx;
    }
    assert.equal((await app.auth.ensure()).openid, "o-ada");
  });
}

for (const readme of ROOTS) {
  test(`what ${readme} gives to paste works as it stands`, async () => {
    const wx = phone().on("POST /v1/phone", ok({ phoneNumber: "13800138000" }));
    const shown = await opened(wx, [sample(readme, "createAuth")]);
    await shown.phone({ detail: { code: "tapped", errMsg: "getPhoneNumber:ok" } });
    await settle();
    assert.deepEqual([shown.data.orders, shown.data.phoneNumber], [[{ id: 1 }], "13800138000"]);
    assert.deepEqual([called(wx), wx.toasts], [[...QUICK, "https://auth.example.com/v1/phone"], []]);
  });

  test(`what ${readme} gives to paste says so where it fails`, async () => {
    const wx = phone().on("GET /orders", { statusCode: 502, data: "" });
    const shown = await opened(wx, [sample(readme, "createAuth")]);
    await shown.phone({ detail: { errno: 112, errMsg: "getPhoneNumber:fail" } });
    await settle();
    assert.deepEqual([shown.data.orders, wx.toasts.length], [undefined, 2]);
  });
}

for (const readme of [...OURS, ...ROOTS]) {
  test(`no sample of ${readme} believes an answer whose status it has not seen, or leaves a failure unheard`, () => {
    for (const code of blocks(readme, "js").filter((code) => /auth\.(request|uploadFile|downloadFile|phone)\(/.test(code))) {
      if (/auth\.(request|uploadFile|downloadFile)\(/.test(code)) assert.match(code, /statusCode/, code);
      assert.match(code, /catch|\.then\([^;]*,/, code);
    }
  });
}

for (const readme of OURS) {
  test(`what ${readme} shows of uni-app and Taro is what test-adapters builds and runs`, () => {
    const shown = blocks(readme).flatMap((code) => [.../^(?:\/\/|<!--) (src\/\S+\.(?:vue|jsx|js)).*\n([\s\S]*)/g[Symbol.matchAll](code)]);
    const files = shown.map(([, name, code]) => [name, code]);
    assert.deepEqual(files.map(([name]) => name), ["src/auth.js", "src/pages/orders/orders.vue", "src/pages/orders/orders.jsx"]);
    for (const [name, code] of files) assert.equal(code, read(`test-adapters/${name.endsWith("x") ? "taro" : "uni"}/${name}`), name);
  });

  test(`${readme} names all that the adapters have`, () => {
    const chapter = read(readme).split(/^## /m).find((text) => text.startsWith("uni-app"));
    for (const adapter of ["uni", "taro"]) {
      const names = [...read(`${adapter}/index.d.ts`).matchAll(/^export function (\w+)/gm)].map(([, name]) => name);
      assert.ok(names.length > 1 && chapter.includes(`\`wxauth-miniprogram/${adapter}\``), adapter);
      for (const name of names) assert.ok(chapter.includes(`\`${name}(`), name);
    }
  });
}

test("both READMEs have the same chapters and the same code, but for what is said in comments", () => {
  const [ours, theirs] = OURS.map((readme) => ({
    chapters: read(readme).replace(/```[\s\S]*?```/g, "").match(/^#+ /gm),
    rows: read(readme).match(/^\| .*\|$/gm).length,
    code: blocks(readme).map((code) => code.replace(/\s*(\/\/|#) .*$/gm, "")),
  }));
  assert.deepEqual(theirs, ours);
});
