"""An OpenID Connect issuer on loopback: real keys, a real HTTP server, and what tests do to it."""

import base64
import http.server
import json
import threading
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "corridor"


class Key:
    """A signing key with its id; ``public`` is what is published of it."""

    def __init__(self, key_id: str, algorithm: str) -> None:
        self.key_id, self.algorithm = key_id, algorithm
        if algorithm.startswith("ES"):
            curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
            self.private: Any = ec.generate_private_key(curve)
            published = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
            published = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        published = {one: value for one, value in published.items() if one != "key_ops"}
        self.public = {**published, "kid": key_id, "use": "sig"}


class Issuer:
    """Serves discovery and keys; ``away`` answers 503, ``asked`` counts questions for keys."""

    def __init__(self) -> None:
        self.keys = [Key("first", "ES256"), Key("second", "RS256")]
        self.away, self.asked = False, 0
        #: Set at each question for keys.
        self.was_asked = threading.Event()
        self.named: str | None = None
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = None if issuer.away else issuer.answer(self.path)
                self.send_response(503 if answer is None else 200)
                self.end_headers()
                if answer is not None:
                    self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, path: str) -> Any:
        """Return the document at a path, None if there is none."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            self.asked += 1
            self.was_asked.set()
            return {"keys": [one.public for one in self.keys]}
        return None

    def token(
        self, claims: dict[str, Any], key: Key | None = None, header: dict[str, Any] | None = None
    ) -> str:
        """Sign claims, by the first key if none is given."""
        key = key or self.keys[0]
        headers = {"kid": key.key_id, **(header or {})}
        given = {name: value for name, value in headers.items() if value is not None}
        return jwt.encode(claims, key.private, key.algorithm, headers=given)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """Put a token together that no library would make."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
