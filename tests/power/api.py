"""The cloud's API, as somebody outside of the machine uses it: one connection a caller, the authority pinned."""
import http.client
import json
import ssl
import time

IDLE_SECONDS = 30  # the server ends what is idle for twice as long, perhaps just when something is asked


class Unanswered(Exception):
    """Sent, perhaps, and not answered: nobody knows what became of it."""


class Api:
    def __init__(self, port, authority, token):
        self._context = ssl.create_default_context(cadata=authority)
        self._port, self._token, self._connection = port, token, None
        self._used = 0

    def ask(self, method, path, body=None, key=None, seconds=30):
        """(status, document, headers) of an answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        if key:
            headers["Idempotency-Key"] = key
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        try:
            if not self._connection:
                self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context)
                self._connection.timeout = seconds
            self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = self._connection.getresponse()
            data = response.read()
            self._used = time.monotonic()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(f"{method} {path}: {type(error).__name__} {error}") from error
        if response.getheader("Connection", "").lower() == "close":
            self.close()
        text = data.decode(errors="replace")
        is_json = "json" in response.getheader("Content-Type", "")
        return response.status, json.loads(text) if is_json and text else text, response.headers

    def close(self):
        if self._connection:
            self._connection.close()
        self._connection = None

    def get(self, path, seconds=30):
        return self.ask("GET", path, seconds=seconds)[:2]

    def names(self, kind):
        """All objects of a kind in the default project, by name."""
        found, more = {}, ""
        while True:
            status, page, _ = self.ask("GET", f"/v1/projects/default/{kind}?limit=500{more}")
            if status != 200:
                raise Unanswered(f"list of {kind}: {status} {page}")
            found.update({item["name"]: item for item in page["items"]})
            if not page.get("continue"):
                return found
            more = "&continue=" + page["continue"]
