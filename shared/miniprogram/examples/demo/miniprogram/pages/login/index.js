"use strict";

const { openPrivacy } = require("../../utils/api");

const HINTS = { retry: "网络不稳定，请稍后再试", fix: "登录失败，请检查服务端配置" };

/** `createAuth` 的 `loginPage`：登录成功后返回，等着登录的请求会自己继续；直接关掉就是拒绝。 */
Page({
  data: { hint: "" },

  onLogin() {
    wx.navigateBack();
  },

  onError({ detail: { action } }) {
    this.setData({ hint: HINTS[action] || "登录失败" });
  },

  onPrivacy: openPrivacy,

  onLater() {
    wx.navigateBack();
  },
});
