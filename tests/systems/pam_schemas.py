#!/usr/bin/env python3
"""Writes what makes scim2-server a vault: the schemas and resource types of the extension for privileged access
(draft-grizzle-scim-pam-ext-01), as the built-in server publishes them, beside the server's own.

usage: pam_schemas.py OUTDIR    (with the Python that scim2-server is installed for)
"""
import importlib.resources
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
own = importlib.resources.files("scim2_server") / "resources"
schemas = json.loads((own / "default-schemas.json").read_text())
types = json.loads((own / "default-resource-types.json").read_text())
config = json.loads((own / "default-service-provider-config.json").read_text())

with open(os.path.join(here, "..", "..", "src", "sandbox", "privileged_access.json"), encoding="utf-8") as file:
    extension = json.load(file)
for resource_type in types:
    linked = "urn:ietf:params:scim:schemas:pam:1.0:LinkedObject"
    resource_type.setdefault("schemaExtensions", []).append({"schema": linked, "required": False})
schemas += extension["schemas"]
for resource_type in extension["resourceTypes"]:
    types.append({name: value for name, value in resource_type.items() if value != []})

for name, document in (("schemas", schemas), ("resource-types", types), ("config", config)):
    with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
