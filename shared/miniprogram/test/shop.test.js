"use strict";

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { promisify } = require("node:util");
const vm = require("node:vm");
const { createAuth } = require("..");
const { exchange, lambdaSdk, phoneOf, startLaptop } = require("../test-support/laptop");

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

/** The chapter on payments, as far as it is for a server in this language. */
function server(readme, language) {
  const text = fs.readFileSync(path.join(__dirname, "..", readme), "utf8");
  const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)];
  return blocks.find(([, found, block]) => found === language && block.includes("wxauth-sign"))[2];
}

function inNode(readme) {
  const world = { Buffer, Error, JSON, require: (name) => assert.equal(name, "@aws-sdk/client-lambda") || lambdaSdk(laptop) };
  return vm.runInNewContext(`${server(readme, "js")}\nsignPayment`, world);
}

/** The same in Python, where the stub posts with what Python brings. */
function inPython(readme) {
  const stub = `
import sys, types, urllib.request
class Lambda:
    def invoke(self, FunctionName, Payload):
        request = urllib.request.Request("${laptop.url}/2015-03-31/functions/%s/invocations" % FunctionName, Payload.encode(), method="POST")
        response = urllib.request.urlopen(request)
        error = response.headers.get("x-amz-function-error")
        return {"Payload": response, **({"FunctionError": error} if error else {})}
sys.modules["boto3"] = types.SimpleNamespace(client=lambda name: Lambda())
`;
  const end = "\nprint(json.dumps(sign_payment(*map(json.loads, sys.argv[1:]))))";
  return async (...given) => {
    const code = ["-c", stub + server(readme, "python") + end, ...given.map((each) => JSON.stringify(each))];
    return JSON.parse((await promisify(execFile)("python3", code)).stdout);
  };
}

let orders = 0;
const nextOrder = () => {
  orders += 1;
  return { product: "vip_month", price: 1000, number: `ORDER-0000${orders}`, note: "会员" };
};

for (const readme of ["README.md", "README.zh-CN.md"]) {
  for (const [language, serverOf] of [["js", inNode], ["python", inPython]]) {
    test(`the server of ${readme} in ${language} gets what WeChat accepts, and hands a stale key on`, async () => {
      const user = `buyer-${readme}-${language}`;
      const wx = phoneOf(laptop, user);
      const auth = createAuth({ baseUrl: laptop.url, wx });
      await auth.prepareSignature();
      const { appid } = await auth.session();
      const claims = { client_id: appid, sub: auth.openid };
      const signPayment = serverOf(readme);

      const [status, { mode, signData, paySig, signature }] = await signPayment(claims, nextOrder());
      assert.deepEqual([status, mode], [200, "short_series_goods"]);
      const purchase = await laptop.simulate("purchase", { user, mode, signData, paySig, signature, send: false });
      assert.equal(purchase.errMsg, "requestVirtualPayment:ok");

      // Somebody logs in elsewhere.
      await laptop.simulate("login", { user });
      const [refusal, told] = await signPayment(claims, nextOrder());
      assert.deepEqual([refusal, told.code, told.action], [409, "stale", "relogin"]);
      await auth.prepareSignature();
      assert.equal((await signPayment(claims, nextOrder()))[0], 200);
      assert.equal(wx.counts.logins, 2);
    });

    test(`the server of ${readme} in ${language} fails where the function fails`, async () => {
      await assert.rejects(serverOf(readme)({ client_id: "wxOfNobody", sub: "o" }, nextOrder()), /invalid_request/);
    });
  }
}

/** The function in the chapter, with what it does to an order. */
function inLambda(readme, does) {
  const text = fs.readFileSync(path.join(__dirname, "..", readme), "utf8");
  const [code] = text.match(/exports\.handler = [\s\S]*?(?=```)/);
  const exports = {};
  vm.runInNewContext(code, { exports, Number, ...does });
  return exports.handler;
}

for (const readme of ["README.md", "README.zh-CN.md"]) {
  test(`the function of ${readme} delivers and takes back what WeChat pushes, and fails where it cannot`, async () => {
    const done = [];
    const does = (what) => async (order) => void done.push([what, order.openid, order.number]);
    const handler = inLambda(readme, { deliver: does("delivered"), takeBack: does("taken back") });
    const orders = { outTradeNo: "ORDER-PUSHED", user: "patron" };
    const pushed = async (event, more) => {
      const { body } = await laptop.simulate("push", { event, mode: "plain", ...orders, ...more });
      return handler({ appid: "wx0123456789abcdef", received_at: 1, message: JSON.parse(body) });
    };

    assert.equal(await pushed("xpay_goods_deliver_notify"), undefined);
    await pushed("xpay_refund_notify", { with: { RetCode: 1 } });
    await pushed("xpay_refund_notify");
    await pushed("xpay_complaint_notify");

    const { openid } = await laptop.simulate("user", { user: "patron" });
    assert.deepEqual(done, [["delivered", openid, "ORDER-PUSHED"], ["taken back", openid, "ORDER-PUSHED"]]);
    const broken = inLambda(readme, { deliver: () => Promise.reject(new Error("no stock")) });
    await assert.rejects(broken({ appid: "wx", message: { Event: "xpay_goods_deliver_notify" } }), /no stock/);
  });
}

test("a delivery that the page's function takes is acknowledged, and the simulator sends it by itself", async () => {
  const wx = phoneOf(laptop, "patron");
  const auth = createAuth({ baseUrl: laptop.url, wx });
  await auth.login();
  const { appid } = await auth.session();
  const [, { mode, signData, paySig, signature }] = await inNode("README.md")({ client_id: appid, sub: auth.openid }, nextOrder());
  const { push } = await laptop.simulate("purchase", { user: "patron", mode, signData, paySig, signature, send: false });

  const header = { "content-type": push.content_type };
  const { statusCode, data } = await exchange(`${laptop.url}/v1/push?${push.query}`, { method: "POST", header, data: push.body });
  const body = typeof data === "string" ? data : JSON.stringify(data);
  assert.deepEqual(await laptop.simulate("answer", { id: push.id, status: statusCode, body }), { acknowledged: true });

  const told = async () => {
    const { data: log } = await exchange(`${laptop.url}/playground/log`);
    return log.lines.filter(({ owner, message }) => owner === "taken" && message.Event === "xpay_refund_notify");
  };
  const { outTradeNo } = JSON.parse(signData);
  await laptop.simulate("push", { event: "xpay_refund_notify", outTradeNo, send: true });
  for (let look = 0; look < 40 && (await told()).length === 0; look += 1) await new Promise((wake) => setTimeout(wake, 250));
  assert.deepEqual((await told()).map(({ message }) => [message.MchOrderId, message.RetryTimes]), [[outTradeNo, 0]]);
});
