"use strict";

const ACTION = /^(fix|refresh|relogin(_then_retap)?|retry|stop)$/;

const failure = (code, action, title = code.replace(/_/g, " "), more) =>
  Object.assign(new Error(title), { statusCode: 0, code, action, title, errMsg: `wxauth:fail ${title}` }, more);

/** The error that an answer is; without an action if it is none, without a `code` if wxauth did not give it. */
function refusal({ statusCode, data }) {
  const kind = (statusCode / 100) | 0;
  if (kind === 2) return {};
  let body = data;
  try {
    body = JSON.parse(data);
  } catch (error) {} // parsed already, or not JSON
  const { code, action, title = `HTTP ${statusCode}`, retry_after, request_id } = Object(body);
  const more = { statusCode, retry_after, request_id, data: body };
  if (code && ACTION.test(action)) return failure(code, action, title, more);
  // From a gateway or a proxy, so it is never a verdict on a session.
  const renewable = statusCode === 401 || (statusCode === 403 && !code);
  const passing = statusCode === 429 || kind !== 4;
  return failure(undefined, renewable ? "refresh" : passing ? "retry" : "fix", title, more);
}

/** For `then`: lets an answer pass, but for the errors that `isFatal` picks, by default all. */
const unless = (isFatal = ({ action }) => action) => (answer) => {
  const error = refusal(answer);
  if (isFatal(error)) throw error;
  return answer;
};

function createWire(platform) {
  const call = (name, options) =>
    new Promise((success, fail) => {
      Promise.resolve(platform[name]({ ...options, success, fail })).catch(fail); // Taro answers by a promise as well
    });

  const send = (name, options) =>
    call(name, options).catch((error = {}) => {
      if (error.statusCode) return error; // the PC client was seen to report a 401 so
      throw failure("network", "retry", error.errMsg || error.message);
    });

  /** For wxauth's own routes: at most three tries, which fit into the 60 s for which the server repeats a refresh. */
  const insist = (options, [pause, ...pauses] = [500, 1500]) =>
    send("request", options)
      .then(unless(({ action }) => action === "retry"))
      .catch(async (error) => {
        const wait = Math.max(pause * (0.5 + Math.random()), 1000 * error.retry_after || 0);
        if (!(wait < 10000)) throw error;
        await new Promise((wake) => setTimeout(wake, wait));
        return insist(options, pauses);
      });

  return { call, insist, send };
}

module.exports = { createWire, failure, refusal, unless };
