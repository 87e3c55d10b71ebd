"""A web server on loopback with the manners that a download must cope with. Prints its port, then one line a request.

/NAME          the file NAME of the directory given, with ETag and ranges
/drop/N/NAME   the same, but the connection breaks after N bytes of each answer
/changed/NAME  the same under an ETag of its own
/to?URL        redirect
/away/NAME     503
/trickle/NAME  1 KiB every tenth of a second
/slow/NAME     a byte, then nothing until the client goes
/sums          checksums
"""

import http.server
import os
import re
import sys
import time
import urllib.parse

DIRECTORY = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        print(self.path, self.headers.get("Range", "-"), flush=True)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", urllib.parse.unquote(self.path[4:]))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        parts = self.path.strip("/").split("/")
        if parts[0] == "away":
            self.send_error(503)
            return
        drop = int(parts[1]) if parts[0] == "drop" else None
        path = os.path.join(DIRECTORY, os.path.basename(parts[-1]))
        if not os.path.exists(path):
            self.send_error(404)
            return
        with open(path, "rb") as file:
            content = file.read()
        tag = '"changed"' if parts[0] == "changed" else '"same"'
        start = self.begin_of_range(tag)
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:]
        if parts[0] == "slow":
            self.wfile.write(body[:1])
            self.wfile.flush()
            self.rfile.read(1)
        elif parts[0] == "trickle":
            for at in range(0, len(body), 1024):
                self.wfile.write(body[at : at + 1024])
                time.sleep(0.1)
        elif drop is not None and drop < len(body):
            self.wfile.write(body[:drop])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def begin_of_range(self, tag):
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match and self.headers.get("If-Range") in (None, tag) else 0


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
