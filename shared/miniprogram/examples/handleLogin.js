"use strict";

// utils/handleLogin.js, as the tutorials have it: each page checks in onShow, asks with a modal, logs in and goes on.

const { createAuth } = require("wxauth-miniprogram");

const auth = createAuth({
  baseUrl: "https://auth.example.com",
  origins: ["https://api.example.com"],
});

/** Silently if that is possible, else with the modal; then goes on with what the user wanted. */
const handleLogin = (then) => auth.ensure({ interactive: true }).then(then);

/** In the handler of a tap. The data is encrypted first, so no `wx.login` may come after it. */
const getUserInfo = () =>
  auth
    .ensure({ interactive: true })
    .then(() => new Promise((success, fail) => wx.getUserInfo({ withCredentials: true, success, fail })))
    .then((result) => auth.userInfo(result));

module.exports = { auth, getUserInfo, handleLogin, showLoginModal: auth.showLoginModal };

// app.js
//
//     const { auth } = require("./utils/handleLogin");
//     App({ auth });
//
// pages/order/order.js: the page is shown to those who are logged in only
//
//     const { auth } = require("../../utils/handleLogin");
//     Page(auth.guardPage({
//       onShow() {
//         auth.request({ url: "https://api.example.com/orders" }).then(({ data }) => this.setData({ orders: data }));
//       },
//     }));
//
// pages/shop/shop.js: everybody sees the page, one button needs a login
//
//     const { auth, handleLogin } = require("../../utils/handleLogin");
//     Page({
//       onBuy() {
//         handleLogin(() => auth.request({ url: "https://api.example.com/orders", method: "POST" }));
//       },
//     });
