"use strict";

const { api, showFailure, yuan } = require("../../utils/api");

const { auth } = getApp();

Page({
  data: { products: [], failed: false, buying: "" },

  onLoad() {
    return this.load();
  },

  /** 在用户点“购买”之前就准备好 session_key，签名之后才不会再有登录。 */
  onShow() {
    auth.prepareSignature().catch(() => {});
  },

  onPullDownRefresh() {
    return this.load().then(() => wx.stopPullDownRefresh());
  },

  /** 商品人人可看，所以不为它登录。 */
  async load() {
    try {
      const products = await api("/products", { guest: true });
      this.setData({ products: products.map((product) => ({ ...product, yuan: yuan(product.price) })), failed: false });
    } catch (error) {
      this.setData({ failed: true });
    }
  },

  async onBuy({ currentTarget }) {
    if (this.data.buying) return;
    const { product } = currentTarget.dataset;
    this.setData({ buying: product });
    try {
      await this.buy(product);
      wx.switchTab({ url: "/pages/orders/index" });
    } catch (error) {
      showFailure(error);
    }
    this.setData({ buying: "" });
  },

  /** 只告诉服务器买什么，价格由服务器决定。退出过登录的用户先去登录页，回来后接着下单。 */
  async buy(product, retry = true) {
    const signed = await api("/orders", { method: "POST", data: { product }, interactive: true });
    try {
      await auth.pay(signed);
    } catch (error) {
      // 签名之后别处又登录过，session_key 换了：重新登录，再签一次。
      if (!retry || ![-15005, -15007].includes(error.errCode || error.errno)) throw error;
      await auth.login();
      await this.buy(product, false);
    }
  },
});
