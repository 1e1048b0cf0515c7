"use strict";

const { after, before, test } = require("node:test");
const assert = require("node:assert/strict");
const { createAuth } = require("..");
const { phoneOf, startLaptop } = require("../test-support/laptop");

let laptop;
before(async () => {
  laptop = await startLaptop();
});
after(() => laptop && laptop.stop());

/** What `cargo run` prints to be pasted. */
const lines = () => laptop.printed().split("\n").filter((line) => line.startsWith("  "));

/** The app of someone who pasted the line into it, where `wx.login` gives these codes. */
function pasted(line, codes) {
  const wx = { ...phoneOf(laptop, "nobody"), login: ({ success }) => success({ code: codes.shift() }) };
  const load = (name) => {
    assert.equal(name, "wxauth-miniprogram");
    return { createAuth: (options) => createAuth({ ...options, wx }) };
  };
  return new Function("require", `${line}\nreturn auth;`)(load);
}

test("the first two lines are for the developer tools, and work as they are pasted", async () => {
  const [setting, app] = lines();
  assert.deepEqual(JSON.parse(`{${setting.replace(/,$/, "")}}`), { setting: { urlCheck: false } });

  // Without an AppID, with one, and on a phone.
  const mock = pasted(app, ["the code is a mock one", "the code is a mock one"]);
  const tools = pasted(app, ["033Ab9Ga1-Tools_Tools_Tools00001"]);
  const phone = pasted(app, ["0b3Phone-Phone_Phone_Phone_00002"]);

  assert.equal((await mock.login()).new_user, true);
  assert.equal((await mock.login()).new_user, false);
  for (const auth of [mock, tools, phone]) {
    const { openid, appid } = await auth.session();
    assert.deepEqual([openid, appid], [(await mock.session()).openid, "wx0123456789abcdef"]);
  }
  const { phoneNumber } = await tools.phone({ detail: { code: "e31968a7f94cc5ee25fafc2aef2773f0", errMsg: "getPhoneNumber:ok" } });
  assert.match(phoneNumber, /^1\d{10}$/);
});

test("a user of the simulator has no use for a phone code that nobody made", async () => {
  const auth = createAuth({ baseUrl: laptop.url, wx: phoneOf(laptop, "ada") });
  await auth.login();

  await assert.rejects(auth.phone({ detail: { code: "made-up", errMsg: "getPhoneNumber:ok" } }), { code: "phone_code_invalid" });
});
