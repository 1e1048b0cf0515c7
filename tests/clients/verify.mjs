// Verifies access tokens as a stranger's Node.js backend would: by the discovery document and the `jose` package.
//
//     node verify.mjs ISSUER AUDIENCE TOKEN...
//
// Prints a line for each token; ends with 1 when one is refused, or when a token with one changed character is not.

import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const [issuer, audience, ...tokens] = process.argv.slice(2);
if (tokens.length === 0) {
  throw new Error("usage: node verify.mjs ISSUER AUDIENCE TOKEN...");
}

const discovery = `${issuer}/.well-known/openid-configuration`;
const answer = await fetch(discovery, { signal: AbortSignal.timeout(10_000) });
if (!answer.ok) {
  throw new Error(`${discovery}: ${answer.status}`);
}
const provider = await answer.json();
if (provider.issuer !== issuer) {
  throw new Error(`${discovery} names another issuer: ${provider.issuer}`);
}

const keys = createRemoteJWKSet(new URL(provider.jwks_uri), { timeoutDuration: 10_000 });
const algorithms = provider.id_token_signing_alg_values_supported;
const verify = (token) => jwtVerify(token, keys, { algorithms, issuer, audience, typ: "at+jwt" });

for (const token of tokens) {
  const { payload, protectedHeader } = await verify(token);
  console.log(`ok jose ${protectedHeader.alg} ${protectedHeader.kid} ${payload.sub}`);
  await refuses(changed(token));
}

/** The token with another first character of its signature. */
function changed(token) {
  const at = token.lastIndexOf(".") + 1;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

/** Ends with an error unless the signature is what the token is refused for. */
async function refuses(token) {
  try {
    await verify(token);
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) {
      console.log("ok jose refuses it with one character changed");
      return;
    }
    throw error;
  }
  throw new Error("a changed token was accepted");
}
