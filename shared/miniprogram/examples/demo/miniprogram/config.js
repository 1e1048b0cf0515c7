"use strict";

// 三个地址都在本机。真机调试时换成电脑的局域网 IP（见 README），上线时换成自己的域名。
module.exports = {
  /** wxauth：`cargo run` */
  wxauth: "http://127.0.0.1:9000",

  /** 自己的业务服务器：这里是 server/index.js */
  api: "http://127.0.0.1:8080",

  /** 模拟的微信，由它代替微信支付收款。上线前改成 "" */
  simulator: "http://127.0.0.1:9001",

  /** 开发者工具的 code 在模拟的微信里登录成谁 */
  simulatedUser: "devtools",
};
