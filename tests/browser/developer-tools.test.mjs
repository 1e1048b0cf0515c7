// What the page says of codes that the simulator did not make.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, rows, url } from "./page.mjs";

test("the page says whom a code of the developer tools logs in, and shows the login", async (t) => {
  const { page, shot } = await open(t);
  const body = JSON.stringify({ code: "the code is a mock one" });

  const answer = await fetch(`${url}/v1/login`, { method: "POST", headers: { "content-type": "application/json" }, body });

  assert.equal(answer.status, 200);
  await page.locator("[data-card=wechat] p", { hasText: "log in as one user, “devtools”" }).waitFor();
  await rows(page, "/v1/login", "Elsewhere").waitFor();
  await page.locator("[data-language=zh]").click();
  await page.locator("[data-card=wechat] p", { hasText: "一律登录为同一个用户 “devtools”" }).waitFor();
  await shot("developer-tools");
});
