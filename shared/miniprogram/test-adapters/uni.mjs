// The sample project as `uni build` makes it for WeChat.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { build } from "./support/built.mjs";
import { createRun, play } from "./support/plays.mjs";
import { ofUni } from "./support/words.mjs";

const { ok } = createRequire(import.meta.url)("../test-support/fake");
const { folder } = build("uni", ["uni", "build", "-p", "mp-weixin"], "dist");
const output = path.join(folder, "build/mp-weixin");
const words = (page, route) => ofUni(readFileSync(path.join(output, `${route}.wxml`), "utf8"))(page);

play({ folder: output, words });

const API = "https://api.example.com";

test("the real uni.request, uploadFile and downloadFile have the token for the API and for nobody else", async (t) => {
  const run = createRun(t, { folder: output, words }, (wx) => wx.on("uploadFile", ok("")).on("downloadFile", ok("")));
  await run.open("pages/home/home");
  const { index: uni } = run.load("common/vendor.js");
  const heard = [];
  const told = ({ statusCode }) => heard.push(statusCode);
  const task = uni.request({ url: `${API}/orders`, success: told, complete: told });
  uni.uploadFile({ url: `${API}/a`, filePath: "f", name: "n" }).then(told);
  uni.downloadFile({ url: `${API}/a` }).then(told);
  uni.request({ url: "https://elsewhere.example/orders" }).then(told);
  await run.wait();
  assert.deepEqual([heard.length, typeof task.abort], [5, "function"]);
  const sent = (name, path) => run.wx.made(name, path).map(({ header = {} }) => header.Authorization);
  const { access_token: token } = run.wx.held();
  const [bearers, others] = [sent("request", "api.example.com/orders"), sent("request", "elsewhere.example/orders")];
  assert.deepEqual([bearers, others], [[`Bearer ${token}`], [undefined]]);
  for (const name of ["uploadFile", "downloadFile"]) assert.deepEqual(sent(name), [`Bearer ${token}`], name);
  assert.equal(run.wx.made("login").length, 1);
});
