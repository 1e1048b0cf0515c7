"use strict";

const HINTS = {
  relogin_then_retap: "请再点一次",
  retry: "网络不稳定，请稍后再试",
  stop: "暂时无法登录",
};

/**
 * `/pages/auth/index`, or `/pages/auth/index?type=phone` where a phone number is wanted too. As the `loginPage` of `createAuth`
 * it is the modal: whoever asked goes on after the login, and is refused when it is closed without one.
 */
Page({
  data: { type: "login", hint: "" },

  onLoad({ type = "login" }) {
    this.setData({ type });
  },

  onLogin() {
    if (this.data.type === "login") this.leave();
  },

  /** To show, not to prove: a server must not believe a number that a client sends. */
  onPhone({ detail }) {
    const opener = this.getOpenerEventChannel();
    if (opener.emit) opener.emit("phone", detail);
    this.leave();
  },

  /** Below base library 2.32.3 there is none, and nothing to agree to. */
  onPrivacy() {
    if (wx.openPrivacyContract) wx.openPrivacyContract({ fail() {} });
  },

  // Opened as the first page, it has nothing to go back to.
  leave() {
    wx.navigateBack({ fail() {} });
  },

  onError({ detail: { code, action } }) {
    const declined = code === "user_denied" || code === "user_refused";
    this.setData({ hint: declined ? "" : HINTS[action] || "登录失败" });
  },
});
