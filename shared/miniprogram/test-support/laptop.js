"use strict";

const { spawn } = require("node:child_process");
const { existsSync } = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const path = require("node:path");

const PROGRAM = process.env.WXAUTH_LOCAL || path.join(__dirname, "../../../target/debug/local");

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** One exchange over HTTP, as the platform does it: any status is an answer. */
const exchange = (url, { method = "GET", header = {}, data, timeout = 10000 } = {}) =>
  new Promise((resolve, reject) => {
    const body = data === undefined || typeof data === "string" ? data : JSON.stringify(data);
    const headers = { "content-type": "application/json", ...header };
    // Without it, Node.js sends the body of a DELETE so that no server reads it.
    if (body !== undefined && method !== "GET") headers["content-length"] = Buffer.byteLength(body);
    const request = http.request(url, { method, headers, timeout, agent: false }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        let parsed = text;
        try {
          parsed = JSON.parse(text);
        } catch (error) {} // text
        resolve({ statusCode: answer.statusCode, data: parsed, header: answer.headers });
      });
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", reject);
    request.end(method === "GET" ? undefined : body);
  });

/** `cargo run` on free ports, for as long as a test runs. */
async function startLaptop(vars = {}, more = []) {
  if (!existsSync(PROGRAM)) {
    throw new Error(`${PROGRAM} is not there: run \`cargo build\` first, or name the program in WXAUTH_LOCAL`);
  }
  const [api, sim] = [await freePort(), await freePort()];
  const flags = ["--memory", "--listen", `127.0.0.1:${api}`, "--wechat-listen", `127.0.0.1:${sim}`, ...more];
  const child = spawn(PROGRAM, flags, { env: { ...process.env, ...vars }, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  const stop = () =>
    new Promise((stopped) => {
      if (child.exitCode !== null) return stopped();
      child.once("exit", stopped);
      child.kill("SIGTERM");
    });
  await new Promise((resolve, reject) => {
    let errors = "";
    const late = setTimeout(() => reject(new Error(`the laptop did not start within 60 s: ${errors}`)), 60000);
    const done = (act, value) => {
      clearTimeout(late);
      act(value);
    };
    child.stderr.on("data", (chunk) => (errors += chunk));
    child.stdout.on("data", (chunk) => {
      printed += chunk;
      if (/ready/.test(chunk)) done(resolve);
    });
    child.once("error", (error) => done(reject, error));
    child.once("exit", (code) => done(reject, new Error(`the laptop ended with ${code}: ${errors}`)));
  });
  const wechat = `http://127.0.0.1:${sim}`;
  const simulate = async (what, data) => {
    const { statusCode, data: given } = await exchange(`${wechat}/sim/${what}`, { method: data ? "POST" : "GET", data });
    if (statusCode >= 300) throw new Error(`/sim/${what}: ${statusCode}`);
    return given;
  };
  return { url: `http://127.0.0.1:${api}`, wechat, simulate, stop, printed: () => printed };
}

/** A phone of that user: `wx` over real HTTP. `counts` says how often what was called. */
function phoneOf(laptop, user, storage = new Map()) {
  const counts = { logins: 0, refreshes: 0 };
  const answerWith = (promise, { success, fail }) =>
    promise.then(success, (error) => fail({ errMsg: `request:fail ${error.message}` }));
  return {
    counts,
    storage,
    getStorageSync: (key) => storage.get(key) || "",
    setStorageSync: (key, value) => void storage.set(key, value),
    removeStorageSync: (key) => void storage.delete(key),
    login(options) {
      counts.logins += 1;
      answerWith(laptop.simulate("login", { user }), options);
    },
    request(options) {
      if (options.url.endsWith("/v1/refresh")) counts.refreshes += 1;
      answerWith(exchange(options.url, options), options);
    },
    uploadFile: (options) => answerWith(exchange(options.url, { ...options, method: "POST", data: "{}" }), options),
    checkSession: ({ success }) => success({ errMsg: "checkSession:ok" }),
    showModal: ({ success }) => success({ confirm: true }),
  };
}

/** As much of AWS's SDK as a server uses that has purchases signed at the laptop. */
const lambdaSdk = (laptop) => ({
  InvokeCommand: class {
    constructor(input) {
      this.input = input;
    }
  },
  LambdaClient: class {
    async send({ input: { FunctionName, Payload } }) {
      const url = `${laptop.url}/2015-03-31/functions/${FunctionName}/invocations`;
      const { data, header } = await exchange(url, { method: "POST", data: Payload });
      return { Payload: Buffer.from(JSON.stringify(data)), FunctionError: header["x-amz-function-error"] };
    }
  },
});

module.exports = { exchange, freePort, lambdaSdk, phoneOf, startLaptop };
