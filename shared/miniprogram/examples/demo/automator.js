"use strict";

// 在真的微信开发者工具里走一遍：首页、静默登录、订单、退出、登录页。仓库的 CI 里没有开发者工具，所以这个脚本不在 CI 里运行；
// CI 用 miniprogram-simulate 跑同样的页面，并让下面的 tour 在它上面走一遍，见 test-component/demo.mjs。
//
// 1. 登录服务和业务服务器都已启动，`npm start` 执行过
// 2. 开发者工具：设置 > 安全 > 服务端口，打开
// 3. npm install --no-save miniprogram-automator，然后 node automator.js
//    工具装在别处时设置 WECHAT_CLI，例如 D:\微信web开发者工具\cli.bat

const assert = require("node:assert/strict");

async function tour(miniProgram) {
  /** 当前页面，等到条件成立为止，最多十秒。 */
  async function until(holds, what) {
    for (let look = 0; look < 40; look += 1) {
      const page = await miniProgram.currentPage();
      if (page && (await holds(page))) return page;
      await new Promise((wake) => setTimeout(wake, 250));
    }
    throw new Error(`十秒之内没有等到：${what}`);
  }
  const at = (path) => until((page) => page.path === path, path);
  const tap = async (page, selector) => (await page.$(selector)).tap();

  await miniProgram.reLaunch("/pages/home/index");
  const home = await until(async (page) => (await page.data("products")).length, "商品");
  assert.equal((await home.$$(".product")).length, 2);

  await miniProgram.switchTab("/pages/orders/index");
  await until((page) => page.data("authed"), "静默登录");

  await miniProgram.switchTab("/pages/me/index");
  const me = await until(async (page) => (await page.data("devices")).length, "登录设备");
  await tap(me, ".logout");
  await until(async (page) => !(await page.data("authed")), "退出登录");

  await miniProgram.switchTab("/pages/orders/index");
  const login = await at("pages/login/index");
  await tap(await login.$(".login-button"), "button");
  await at("pages/orders/index");
  await until((page) => page.data("authed"), "登录页登录之后");
}

async function main() {
  const automator = require("miniprogram-automator");
  const miniProgram = await automator.launch({ projectPath: __dirname, cliPath: process.env.WECHAT_CLI });
  try {
    await tour(miniProgram);
    console.log("全部通过");
  } finally {
    await miniProgram.close();
  }
}

module.exports = { tour };

if (require.main === module) {
  main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
}
