// Tokens as a person reads them: shortened in texts, and what is written inside.

/** The members that hold a token or another long secret. */
const SECRET = /^(access_token|refresh_token|code|encryptedData|iv|signature|authorization|idempotency-key)$/i;

/** The head and the tail of a long text. */
export function short(text, head = 10, tail = 6) {
  return text.length > head + tail + 3 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text;
}

/** JSON on several lines, its secrets shortened. */
export function pretty(value) {
  return JSON.stringify(value, (name, member) => shown(name, member), 2);
}

function shown(name, member) {
  if (typeof member !== "string" || !SECRET.test(name)) return member;
  return member.startsWith("Bearer ") ? `Bearer ${short(member.slice(7))}` : short(member);
}

/** The tokens in a request and its answer, each with what it says. */
export function tokensOf({ request, answer }) {
  const bearer = request.headers.authorization?.replace(/^Bearer /, "");
  const found = [
    ["tokens.sent", bearer, readAccess],
    ["tokens.sent", request.body?.refresh_token, readRefresh],
    ["tokens.got", answer?.body?.access_token, readAccess],
    ["tokens.got", answer?.body?.refresh_token, readRefresh],
  ];
  return found.filter(([, text]) => text).map(([key, text, read]) => ({ key, text, ...read(text) }));
}

/** Header and JWT claims. The signature is the server's matter. */
export function readAccess(text) {
  try {
    const [header, claims] = text
      .split(".")
      .slice(0, 2)
      .map((part) => JSON.parse(fromBase64url(part)));
    return { kind: "access", parts: { header, claims } };
  } catch {
    return { kind: "access", parts: {} };
  }
}

/** The payload in its order: key id, generation, family, device, appid, openid; then the MAC. */
export function readRefresh(text) {
  try {
    const bytes = Uint8Array.from(fromBase64url(text.replace(/^wxr1_/, ""), true), (char) => char.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    let at = 40;
    const next = () => {
      const length = bytes[at];
      at += 1 + length;
      return new TextDecoder().decode(bytes.subarray(at - length, at));
    };
    const [appid, openid] = [next(), next()];
    return {
      kind: "refresh",
      parts: {
        key_id: view.getUint32(0),
        generation: view.getUint32(4),
        family: short(hex(bytes.subarray(8, 24)), 8, 0),
        device: toBase64url(bytes.subarray(24, 40)),
        appid,
        openid,
        mac: `${bytes.length - at} bytes`,
      },
    };
  } catch {
    return { kind: "refresh", parts: {} };
  }
}

function fromBase64url(text, binary = false) {
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return binary ? bytes : new TextDecoder().decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
}

function toBase64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
