"use strict";

// utils/handleLogin.js, as the tutorials have it: each page checks in onShow, asks with a modal, logs in and goes on.

const { createAuth } = require("wxauth-miniprogram");

const auth = createAuth({
  baseUrl: "https://auth.example.com",
  origins: ["https://api.example.com"],
});

/** To be shown after a failure; whoever declined themselves is told nothing. */
const showFailure = ({ code, action }) => {
  if (code === "user_refused") return;
  wx.showToast({ title: action === "retry" ? "网络不稳定，请稍后再试" : "操作失败", icon: "none" });
};

/** Silently if that is possible, after a logout with the modal; then goes on with what the user wanted. */
const handleLogin = (then) => auth.ensure({ interactive: true }).then(then).catch(showFailure);

/**
 * In the handler of a tap. Since 2022 its name and picture are the same for everybody: what it is good for is `unionId`. The
 * data is encrypted first, so no `wx.login` may come after it.
 */
const getUnionId = () =>
  auth
    .ensure({ interactive: true })
    .then(() => new Promise((success, fail) => wx.getUserInfo({ withCredentials: true, success, fail })))
    .then((result) => auth.userInfo(result))
    .then(({ unionId }) => unionId);

module.exports = { auth, getUnionId, handleLogin, showFailure, showLoginModal: auth.showLoginModal };

// app.js
//
//     const { auth } = require("./utils/handleLogin");
//     App({ auth });
//
// pages/order/order.js: the page is shown to those who are logged in only
//
//     const { auth, showFailure } = require("../../utils/handleLogin");
//     Page(auth.guardPage({
//       onShow() {
//         auth.request({ url: "https://api.example.com/orders" }).then(({ statusCode, data }) => {
//           if (statusCode === 200) this.setData({ orders: data });
//         }).catch(showFailure);
//       },
//     }));
//
// pages/shop/shop.js: everybody sees the page, one button needs a login
//
//     const { auth, handleLogin } = require("../../utils/handleLogin");
//     Page({
//       onBuy() {
//         handleLogin(async () => {
//           const { statusCode } = await auth.request({ url: "https://api.example.com/orders", method: "POST" });
//           wx.showToast({ title: statusCode === 200 ? "已下单" : "下单失败", icon: "none" });
//         });
//       },
//     });
