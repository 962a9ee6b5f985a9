"""A mail server that writes each mail down, decoded, as HOME/box/NNNN.json: from, to, subject, headers, text, html.

usage: smtp_sink.py HOME PORT, with the password of the login `muster` in SMTP_PASSWORD. As long as HOME/later is there,
every address is refused with 451; `nobody@…` always is, with 550; a mail to `full@…` is refused with 554 after its text.
"""

import email
import email.policy
import json
import os
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

home, port = sys.argv[1], int(sys.argv[2])
password = os.environ["SMTP_PASSWORD"]
kept = 0


class Keeper:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if os.path.exists(f"{home}/later"):
            return "451 4.3.0 try again later"
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        global kept
        if any(address.startswith("full@") for address in envelope.rcpt_tos):
            return "554 5.6.0 rejected"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body(preferencelist=(kind,)).get_content()
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": bool(session.authenticated),
            "subject": mail["Subject"],
            "headers": [[name, str(value)] for name, value in mail.items()],
            "defects": [str(defect) for piece in mail.walk() for defect in piece.defects],
            "text": part("plain"),
            "html": part("html"),
        }
        kept += 1
        name = f"{home}/box/{kept:04d}.json"
        with open(name + ".part", "w", encoding="utf-8") as file:
            json.dump(told, file, ensure_ascii=False)
        os.rename(name + ".part", name)
        return "250 kept"


def login(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"muster", password.encode())
    # Not handled: it answers 535 by itself.
    return AuthResult(success=known, handled=known)


tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(f"{home}/server.pem", f"{home}/server.key")
both = {"hostname": "127.0.0.1", "authenticator": login, "auth_required": True}
Controller(Keeper(), port=port, tls_context=tls, require_starttls=True, auth_require_tls=True, **both).start()
Controller(Keeper(), port=port + 1, ssl_context=tls, auth_require_tls=False, **both).start()
print("listening", flush=True)
while True:
    time.sleep(3600)
