"use strict";

const { createAuth } = require("wxauth-miniprogram");
const config = require("./config");
const { withSimulatedPayment } = require("./utils/simulated-payment");

const auth = createAuth({
  baseUrl: config.wxauth,
  origins: [config.api],
  loginPage: "/pages/login/index",
  wx: config.simulator ? withSimulatedPayment(wx, config) : wx,
});

auth.on("loading", (count) => (count > 0 ? wx.showNavigationBarLoading() : wx.hideNavigationBarLoading()));

App({ auth });
