"""Verifies access tokens as a stranger's Python backend would: by the discovery document and `PyJWT`.

    python verify.py ISSUER AUDIENCE TOKEN...

Prints a line for each token; ends with 1 when one is refused, or when a token with one changed character is not.
"""

import json
import sys
import urllib.request

import jwt

if len(sys.argv) < 4:
    sys.exit("usage: python verify.py ISSUER AUDIENCE TOKEN...")
issuer, audience, *tokens = sys.argv[1:]

discovery = f"{issuer}/.well-known/openid-configuration"
with urllib.request.urlopen(discovery, timeout=10) as answer:
    provider = json.load(answer)
if provider["issuer"] != issuer:
    sys.exit(f"{discovery} names another issuer: {provider['issuer']}")

keys = jwt.PyJWKClient(provider["jwks_uri"], timeout=10)


def verify(token):
    """Header and claims of a token that holds."""
    verified = jwt.decode_complete(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=provider["id_token_signing_alg_values_supported"],
        issuer=issuer,
        audience=audience,
        options={"require": ["exp", "iat", "iss", "aud", "sub"]},
    )
    # PyJWT leaves the type to its caller.
    if verified["header"]["typ"] != "at+jwt":
        raise jwt.InvalidTokenError("it is not an access token")
    return verified["header"], verified["payload"]


def changed(token):
    """The token with another first character of its signature."""
    at = token.rindex(".") + 1
    return token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]


for token in tokens:
    header, claims = verify(token)
    print("ok PyJWT", header["alg"], header["kid"], claims["sub"])
    try:
        verify(changed(token))
    except jwt.InvalidSignatureError:
        print("ok PyJWT refuses it with one character changed")
    else:
        sys.exit("a changed token was accepted")
