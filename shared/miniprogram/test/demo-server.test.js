"use strict";

// The server of the demo, which people copy: what it believes. With a login service and a `sign` that are scripted.

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const { createShop } = require("../examples/demo/server");
const { exchange } = require("../test-support/laptop");

const servers = [];

/** The address of a server that answers by this function. */
const listening = (answer) =>
  new Promise((resolve) => {
    const server = http.createServer(answer).listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
    servers.push(server);
  });

const says = (body) => (request, response) => response.end(JSON.stringify(body));

let shop;
before(async () => {
  const wxauth = await listening(says({ appid: "wx0123456789abcdef", openid: "o-ada" }));
  const lambda = await listening(says({ signature: "ab", paySig: "cd" }));
  shop = await listening(createShop({ wxauth, lambda }));
});
after(() => servers.forEach((server) => server.close()));

async function ordered() {
  const { data } = await exchange(`${shop}/orders`, { method: "POST", data: { product: "vip_month" } });
  return JSON.parse(data.signData).outTradeNo;
}

const told = (message, header) => exchange(`${shop}/wechat`, { method: "POST", data: { message }, header });
const delivery = (number) => ({ Event: "xpay_goods_deliver_notify", OpenId: "o-ada", OutTradeNo: number });

async function stateOf(number) {
  const { data } = await exchange(`${shop}/orders`);
  return data.find((order) => order.number === number).state;
}

test("a refund that failed takes nothing back, one that succeeded does, and a late delivery does not undo it", async () => {
  const number = await ordered();
  const refund = (RetCode) => told({ Event: "xpay_refund_notify", OpenId: "o-ada", MchOrderId: number, RetCode });

  await told(delivery(number));
  assert.deepEqual([(await refund(1)).statusCode, await stateOf(number)], [200, "delivered"]);
  assert.deepEqual([(await refund("0")).statusCode, await stateOf(number)], [200, "refunded"]);
  await told(delivery(number));
  assert.equal(await stateOf(number), "refunded");
});

test("events that nobody knows change nothing, whatever they are called, and a message that is none is no error", async () => {
  const number = await ordered();

  for (const Event of ["constructor", "__proto__", "toString", "user_enter_tempsession", 7, undefined]) {
    assert.deepEqual((await told({ ...delivery(number), Event })).statusCode, 200);
    assert.equal(await stateOf(number), "ordered");
  }
  for (const message of [null, "text", []]) assert.equal((await told(message)).statusCode, 200);
});

test("a page in a browser delivers nothing, though it calls from this machine", async () => {
  const number = await ordered();

  const forged = await told(delivery(number), { origin: "https://evil.example" });

  assert.deepEqual([forged.statusCode, await stateOf(number)], [403, "ordered"]);
});

test("no name of a product is one of the language's, and no path leads elsewhere", async () => {
  for (const product of ["constructor", "__proto__", "toString", "", null, {}]) {
    const { statusCode } = await exchange(`${shop}/orders`, { method: "POST", data: { product } });
    assert.equal(statusCode, 400, `${product}`);
  }
  for (const path of ["/avatars/../server/index.js", "/avatars/%2e%2e/index.js", "/__proto__", "/avatars/constructor"]) {
    assert.equal((await exchange(shop + path)).statusCode, 404, path);
  }
});
