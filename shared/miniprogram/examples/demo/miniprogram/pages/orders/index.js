"use strict";

const { api, showFailure, yuan } = require("../../utils/api");

const { auth } = getApp();

const STATES = { ordered: "待付款", delivered: "已到账", refunded: "已退款" };
const shown = ({ state, price, ...order }) => ({ ...order, state, text: STATES[state], yuan: yuan(price) });

/** 需要登录的页面：guardPage 先登录，再执行下面的钩子。 */
Page(
  auth.guardPage(
    {
      data: { orders: null, failed: false },

      onShow() {
        return this.load(8);
      },

      onHide() {
        clearTimeout(this.later);
      },

      onPullDownRefresh() {
        return this.load(0).then(() => wx.stopPullDownRefresh());
      },

      /** 微信的发货通知比支付结果晚几秒，所以有未到账的订单时再看几次。 */
      async load(again) {
        clearTimeout(this.later);
        try {
          const orders = (await api("/orders")).map(shown);
          this.setData({ orders, failed: false });
          if (again && orders.some(({ state }) => state === "ordered")) {
            this.later = setTimeout(() => this.load(again - 1), 1000);
          }
        } catch (error) {
          this.setData({ failed: true });
          showFailure(error);
        }
      },
    },
    { redirect: "/pages/home/index" },
  ),
);
