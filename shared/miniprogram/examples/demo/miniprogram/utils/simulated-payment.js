"use strict";

// 本机收不了真的钱。这里把 wx.requestVirtualPayment 换成模拟的微信：两个签名都按微信的规则校验，
// 通过后由它推送发货通知。结果都来自模拟的微信，没有一处是写死的。

const promised = (name, options) => new Promise((success, fail) => wx[name]({ ...options, success, fail }));

async function pay({ simulator, simulatedUser }, { mode, signData, paySig, signature }) {
  const { goodsPrice, buyQuantity } = JSON.parse(signData);
  const content = `应付 ¥${((goodsPrice * buyQuantity) / 100).toFixed(2)}（模拟支付，不会扣款）`;
  const { confirm } = await promised("showModal", { title: "确认付款", content, confirmText: "付款" });
  if (!confirm) throw { errMsg: "requestVirtualPayment:fail cancel", errCode: -2 };
  const data = { user: simulatedUser, mode, signData, paySig, signature };
  const answer = await promised("request", { url: `${simulator}/sim/purchase`, method: "POST", data });
  const { errMsg = `requestVirtualPayment:fail HTTP ${answer.statusCode}`, errCode = answer.statusCode < 300 ? 0 : -1 } = answer.data;
  if (errCode) throw { errMsg, errCode };
  return { errMsg };
}

/** 其余接口原样使用平台的。 */
const withSimulatedPayment = (platform, config) =>
  Object.create(platform, {
    requestVirtualPayment: { value: ({ success, fail, ...signed }) => void pay(config, signed).then(success, fail) },
  });

module.exports = { withSimulatedPayment };
