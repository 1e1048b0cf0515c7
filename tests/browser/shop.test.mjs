// A purchase on the page: sign, pay, delivery, refund, and what happens with a stale key or without the shop's function.

import assert from "node:assert/strict";
import { test } from "node:test";
import { choose, open, press, rows } from "./page.mjs";

const ORDER = "https://shop.example/orders";
const SIGN = "/2015-03-31/functions/wxauth-sign/invocations";
const PAY = "requestVirtualPayment";
const DELIVERY = "xpay_goods_deliver_notify";

/** Phone 1 in the shop, with the sheet on which the user may pay. */
async function ordered(t, user, options) {
  const opened = await open(t, { user, ...options });
  await opened.first.login();
  await opened.first.tap("/pages/shop");
  await rows(opened.page, "/v1/session?wechat=check", "200").first().waitFor();
  await opened.first.tap("buy");
  await opened.first.frame.locator("[role=dialog]").waitFor();
  return opened;
}

const order = (first, state) => first.frame.locator(`[data-order=${state}]`).first().waitFor();

test("signed, paid, delivered, refunded", async (t) => {
  const { page, first, shot } = await ordered(t, "pia");
  await shot("21-pay-sheet");
  await rows(page, SIGN, "200").waitFor();
  await first.answer("yes");
  await rows(page, PAY, "ok").waitFor();
  await order(first, "delivered");
  await rows(page, DELIVERY, "handled").waitFor();
  await rows(page, "/v1/push", "200").first().waitFor();
  await shot("22-delivered");

  await press(page, "shop.again");
  await rows(page, "/v1/push", "200").nth(1).waitFor();
  assert.equal(await rows(page, DELIVERY).count(), 1, "the function hears of an order once");
  await press(page, "shop.refund");
  await order(first, "refunded");
  await press(page, "shop.complaint");
  await first.shows("[data-order]", "refunded, complaint");
  await shot("23-refunded");
});

test("a key that was replaced before the tap is renewed before the tap", async (t) => {
  const { page, first } = await open(t, { user: "rosa" });
  await first.login();
  await press(page, "wechat.replace");
  await first.tap("/pages/shop");
  await rows(page, "/v1/session?wechat=check", "200").waitFor();
  await rows(page, "/v1/login").nth(1).waitFor();
  await first.tap("buy");
  await first.answer("yes");
  await order(first, "delivered");
  assert.equal(await rows(page, PAY).count(), 1);
});

test("a key that is stale when it should sign costs a login, and the order is signed again", async (t) => {
  const { page, first, shot } = await open(t, { user: "stan" });
  await first.login();
  await first.tap("/pages/shop");
  await rows(page, "/v1/session?wechat=check", "200").waitFor();
  await press(page, "wechat.replace");
  await first.tap("buy");
  await rows(page, ORDER, "stale").waitFor();
  await rows(page, ORDER, "200").waitFor();
  await shot("24-stale-key");
  await first.answer("yes");
  await order(first, "delivered");
});

test("a key that is replaced under the open payment is refused, and the order signed again", async (t) => {
  const { page, first, shot } = await ordered(t, "una");
  await press(page, "wechat.replace");
  await first.answer("yes");
  await rows(page, PAY, "-15005").waitFor();
  await rows(page, ORDER).nth(1).or(rows(page, ORDER, "×2")).first().waitFor();
  await first.frame.locator("[role=dialog]").waitFor();
  await shot("25-signature-refused");
  await first.answer("yes");
  await order(first, "delivered");
  await rows(page, PAY, "ok").waitFor();
});

test("a payment that the user cancels is no order", async (t) => {
  const { page, first } = await ordered(t, "carl");
  await first.answer("no");
  await first.toast("cancelled");
  await order(first, "ordered");
  assert.equal(await rows(page, "/v1/push").count(), 0);
});

test("what nobody takes is not acknowledged, and comes again until somebody does", async (t) => {
  const { page, first, shot } = await ordered(t, "nils");
  t.after(() => choose(page, "shop.function", "takes").catch(() => {}));
  await choose(page, "shop.function", "absent");
  await page.locator(".note", { hasText: "does not exist" }).waitFor();
  await first.answer("yes");
  await rows(page, "/v1/push", "PUSH_OWNER_NOT_RUN").first().waitFor();
  await page.locator(".note", { hasText: "sends it again in 2 s" }).waitFor();
  await order(first, "paid");
  await shot("26-nobody-takes-it");
  await page.locator(".note", { hasText: "sends it again in 4 s" }).waitFor();
  await choose(page, "shop.function", "takes");
  await order(first, "delivered");
});

test("the shop in Chinese, on a narrow screen", async (t) => {
  for (const width of [1680, 390]) {
    const { page, first, shot } = await ordered(t, "小红", { locale: "zh-CN", viewport: { width, height: 900 } });
    await first.answer("yes");
    await order(first, "delivered");
    await shot(`shop-${width}-zh`);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
  }
});
