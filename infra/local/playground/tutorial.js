// The client of the tutorials, beside which the stories show ours. It is written as they teach it, against the same server:
// keep what the login answered, and upon a 401, or a number that does not come, log in again and repeat the request.
//
// It is not made worse than they are. What it does not have is what they do not have: one login for all that wait,
// a refresh, a device, an Idempotency-Key, a look at `wx.checkSession` before the tap.

export function createTutorialClient({ baseUrl, wx }) {
  function send(url, data) {
    const { access_token: token } = wx.getStorageSync("session") || {};
    const header = token ? { Authorization: `Bearer ${token}` } : {};
    return new Promise((success, fail) => {
      wx.request({ url: baseUrl + url, method: data ? "POST" : "GET", data, header, success, fail });
    });
  }

  async function login() {
    const { code } = await new Promise((success, fail) => wx.login({ success, fail }));
    const { statusCode, data } = await send("/v1/login", { code });
    if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`);
    wx.setStorageSync("session", data);
  }

  async function request(url, data) {
    let answer = await send(url, data);
    if (answer.statusCode === 401) {
      await login();
      answer = await send(url, data);
    }
    if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}`);
    return answer.data;
  }

  /** `bindgetphonenumber`. */
  async function phone({ detail: { encryptedData, iv } }) {
    try {
      return await request("/v1/phone", { encryptedData, iv });
    } catch {
      await login();
      return request("/v1/phone", { encryptedData, iv });
    }
  }

  return { login, request, phone };
}
