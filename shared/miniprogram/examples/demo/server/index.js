"use strict";

// 演示用的业务服务器：商品、订单、个人资料，都只在内存里。它扮演“你自己的服务器”，不依赖任何 npm 包。
// node server/index.js [--listen 127.0.0.1:8080] [--wxauth http://127.0.0.1:9000] [--lambda http://127.0.0.1:9000]

const http = require("node:http");
const { randomBytes } = require("node:crypto");
const { parseArgs } = require("node:util");

const PRODUCTS = [
  { id: "vip_month", name: "会员月卡", about: "30 天会员", price: 1000 },
  { id: "vip_year", name: "会员年卡", about: "365 天会员，每月不到 9 元", price: 9800 },
];

const LARGEST = 2 * 1024 * 1024;
const PICTURES = ["image/png", "image/jpeg", "image/webp"];

/** 以这个状态码和正文结束请求；正文里的 `code`、`action` 由小程序里的 SDK 处理。 */
class Refusal extends Error {
  constructor(status, body) {
    super(`HTTP ${status}`);
    Object.assign(this, { status, body });
  }
}

const refuse = (status, title) => {
  throw new Refusal(status, { title });
};

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST) refuse(413, "too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readJson(request) {
  try {
    return Object(JSON.parse(await read(request)));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return refuse(400, "not JSON");
  }
}

async function ask(url, options) {
  try {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(10_000) });
    return { answer, body: await answer.json() };
  } catch (error) {
    // 问不到不等于没登录：绝不能因此返回 401。
    throw new Refusal(503, { code: "unavailable", action: "retry", title: error.message });
  }
}

/** `wxauth` 是登录服务的地址；`lambda` 是 AWS Lambda 接口的地址，在本机由同一个进程提供。 */
function createShop({ wxauth, lambda = wxauth }) {
  const orders = new Map();
  const profiles = new Map();
  const avatars = new Map();

  /**
   * 是谁在请求。这里去问登录服务，能立即感知退出登录；请求量大时改为用公钥自己验证 JWT，见 infra/OPERATE.zh-CN.md。
   * 它的拒绝原样转给小程序，SDK 据此续期或者重新登录。
   */
  async function whoIs({ headers: { authorization = "" } }) {
    const { answer, body } = await ask(`${wxauth}/v1/session`, { headers: { authorization } });
    if (!answer.ok) throw new Refusal(answer.status, body);
    return body;
  }

  /** 支付要的两个签名由函数 sign 给出。部署之后改用 AWS SDK 调用它，见 SDK 的 README“虚拟支付”。 */
  async function sign(event) {
    const url = `${lambda}/2015-03-31/functions/wxauth-sign/invocations`;
    const { answer, body } = await ask(url, { method: "POST", body: JSON.stringify(event) });
    if (!answer.ok || answer.headers.has("x-amz-function-error")) throw new Refusal(503, { code: "unavailable", action: "retry" });
    if (body.refused) throw new Refusal(409, { code: body.refused, action: body.action });
    return body;
  }

  async function order(request) {
    const { appid, openid } = await whoIs(request);
    const { product } = await readJson(request);
    const found = PRODUCTS.find(({ id }) => id === product) || refuse(400, "no such product");
    const number = `DEMO${randomBytes(10).toString("hex")}`;
    // 原文只生成一次，签名之后原样交给小程序。
    const signData = JSON.stringify({
      offerId: "1450000001", env: 0, currencyType: "CNY", buyQuantity: 1,
      productId: found.id, goodsPrice: found.price, outTradeNo: number, attach: "",
    });
    const signed = await sign({ appid, openid, message: signData, uri: "requestVirtualPayment", check: true });
    orders.set(number, { number, openid, name: found.name, price: found.price, state: "ordered" });
    return { mode: "short_series_goods", signData, ...signed };
  }

  const ordersOf = (openid) =>
    [...orders.values()].filter((order) => order.openid === openid).map(({ openid: _, ...order }) => order).reverse();

  const profileOf = (openid) => profiles.get(openid) || { nickname: "", avatar: "" };

  function saveProfile(openid, change) {
    profiles.set(openid, { ...profileOf(openid), ...change });
    return profileOf(openid);
  }

  /** 用户填写的内容：检查类型和长度。正式上线还要做内容安全检查（msgSecCheck、mediaCheckAsync）。 */
  async function rename(request) {
    const { openid } = await whoIs(request);
    const { nickname } = await readJson(request);
    if (typeof nickname !== "string" || !nickname.trim() || nickname.length > 20) refuse(400, "nickname");
    return saveProfile(openid, { nickname: nickname.trim() });
  }

  async function receiveAvatar(request) {
    const { openid } = await whoIs(request);
    const body = await read(request);
    const type = request.headers["content-type"] || "";
    const form = await new Response(body, { headers: { "content-type": type } }).formData().catch(() => refuse(400, "no form"));
    const file = form.get("file");
    if (!file || !PICTURES.includes(file.type)) refuse(415, "not a picture");
    const id = randomBytes(16).toString("hex");
    avatars.set(id, { openid, type: file.type, bytes: Buffer.from(await file.arrayBuffer()) });
    return saveProfile(openid, { avatar: `http://${request.headers.host}/avatars/${id}` });
  }

  async function forget(request) {
    const { openid } = await whoIs(request);
    profiles.delete(openid);
    for (const kept of [orders, avatars]) for (const [key, { openid: owner }] of kept) if (owner === openid) kept.delete(key);
    return {};
  }

  /**
   * 微信推送的消息，由 wxauth 验签、解密后交到这里（`--push-target`）。发货只认它，不认小程序说的支付结果。
   * 只听本机的：浏览器里的网页也能从本机发请求，但总会带上 Origin。
   */
  async function told({ headers, socket }, message) {
    if (headers.origin || !/^(::1$|(::ffff:)?127\.)/.test(socket.remoteAddress)) refuse(403, "loopback only");
    const { Event, OpenId, OutTradeNo, MchOrderId, RetCode } = message;
    const isRefund = Event === "xpay_refund_notify" && Number(RetCode) === 0;
    if (Event !== "xpay_goods_deliver_notify" && !isRefund) return {};
    const found = orders.get(isRefund ? MchOrderId : OutTradeNo);
    if (!found || found.openid !== OpenId) return { ErrCode: 1, ErrMsg: "no such order" };
    if (found.state !== "refunded") found.state = isRefund ? "refunded" : "delivered"; // 同一条通知来几次都一样
    return { ErrCode: 0 };
  }

  const routes = {
    "GET /products": async () => PRODUCTS,
    "GET /orders": async (request) => ordersOf((await whoIs(request)).openid),
    "POST /orders": order,
    "GET /me": async (request) => profileOf((await whoIs(request)).openid),
    "PUT /me": rename,
    "DELETE /me": forget,
    "POST /me/avatar": receiveAvatar,
    "POST /wechat": async (request) => told(request, Object((await readJson(request)).message)),
  };

  function picture(path) {
    const found = avatars.get(path.replace("/avatars/", ""));
    return found && { "content-type": found.type, "x-content-type-options": "nosniff", body: found.bytes };
  }

  return async (request, response) => {
    const send = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    try {
      const [path] = request.url.split("?");
      const shown = request.method === "GET" && picture(path);
      if (shown) {
        const { body, ...headers } = shown;
        response.writeHead(200, headers);
        return response.end(body);
      }
      const route = routes[`${request.method} ${path}`] || refuse(404, "no such route");
      return send(200, await route(request));
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      return send(error.status || 500, error.body || { title: "internal" });
    }
  };
}

module.exports = { createShop };

if (require.main === module) {
  const local = "http://127.0.0.1:9000";
  const option = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({ options: { listen: option("127.0.0.1:8080"), wxauth: option(local), lambda: { type: "string" } } });
  const [, host, port] = /^(.*):(\d+)$/.exec(values.listen) || [];
  http.createServer(createShop(values)).listen(Number(port), host, () => {
    console.log(`业务服务器已启动：http://${values.listen}
还要在仓库根目录启动登录服务（另开一个终端）：
  cargo run -- --push-target http://127.0.0.1:${port}/wechat
然后在微信开发者工具里导入 ${require("node:path").join(__dirname, "..")}`);
  });
}
