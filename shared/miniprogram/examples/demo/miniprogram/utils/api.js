"use strict";

const config = require("../config");

const check = ({ statusCode, data }) => {
  if (statusCode >= 300) throw Object.assign(new Error(`HTTP ${statusCode}`), { statusCode });
  return data;
};

/** 请求自己的服务器。令牌由 SDK 携带和续期；状态码不是 2xx 就抛错。 */
const api = (path, options) => getApp().auth.request({ url: config.api + path, ...options }).then(check);

const upload = (path, filePath) =>
  getApp().auth.uploadFile({ url: config.api + path, filePath, name: "file" }).then(check).then(JSON.parse);

const WANTED = ["user_refused", "user_denied", "logged_out"];

/** 失败时提示一句；用户自己拒绝、取消或退出的不提示。 */
function showFailure({ code, action, errCode, errno }) {
  if (WANTED.includes(code) || (errCode || errno) === -2) return;
  const title = { retry: "网络不稳定，请稍后再试", relogin_then_retap: "请再点一次" }[action] || "操作失败";
  wx.showToast({ title, icon: "none" });
}

/** 基础库 2.32.3 以下没有这个接口，也没有要同意的内容。 */
function openPrivacy() {
  if (wx.openPrivacyContract) wx.openPrivacyContract({ fail() {} });
}

const yuan = (fen) => (fen / 100).toFixed(2);

module.exports = { api, openPrivacy, showFailure, upload, yuan };
