// A small SCIM 2.0 server: scimmy does the protocol, two maps are the database.
// Environment: PORT, TOKEN; SCIMMY_PAGING=raw leaves startIndex and count as the texts that express hands over.
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const port = Number(process.env.PORT);
const token = process.env.TOKEN;

SCIMMY.Config.set({
    patch: true,
    sort: true,
    filter: 200,
    bulk: { supported: true, maxOperations: 1000, maxPayloadSize: 1048576 },
});

/** The three handlers that scimmy asks of a resource type, on a map of its own. */
function storage(kind, unique) {
    const rows = new Map();
    const existing = id => {
        if (!rows.has(id)) throw new SCIMMY.Types.Error(404, null, `${kind} ${id} does not exist`);
        return rows.get(id);
    };
    return {
        egress: async resource => {
            if (resource.id) return structuredClone(existing(resource.id));
            const all = Array.from(rows.values());
            return structuredClone(resource.filter ? resource.filter.match(all) : all);
        },
        ingress: async (resource, data) => {
            const before = resource.id ? existing(resource.id) : undefined;
            const id = resource.id ?? randomUUID();
            const name = String(data[unique]).toLowerCase();
            for (const [other, row] of rows) {
                if (other !== id && String(row[unique]).toLowerCase() === name) {
                    throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} "${data[unique]}" is already in use`);
                }
            }
            const now = new Date();
            const plain = JSON.parse(JSON.stringify(data));
            const version = Number(before?.meta.version.match(/\d+/)[0] ?? 0) + 1;
            const meta = { created: before?.meta.created ?? now, lastModified: now, version: `W/"${version}"` };
            const row = { ...plain, id, meta };
            rows.set(id, row);
            return structuredClone(row);
        },
        degress: async resource => {
            existing(resource.id);
            rows.delete(resource.id);
        },
    };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User, {
    ...storage("User", "userName"),
    extensions: [{ schema: SCIMMY.Schemas.EnterpriseUser, attributes: [] }],
});
SCIMMY.Resources.declare(SCIMMY.Resources.Group, storage("Group", "displayName"));

const app = express();
if (process.env.SCIMMY_PAGING !== "raw") {
    // scimmy reads startIndex and count only where they are numbers.
    app.set("query parser", query => {
        const parsed = Object.fromEntries(new URLSearchParams(query));
        for (const name of ["startIndex", "count"]) {
            if (/^-?\d+$/.test(parsed[name] ?? "")) parsed[name] = Number(parsed[name]);
        }
        return parsed;
    });
}
app.use("/scim/v2", new SCIMMYRouters({
    type: "bearer",
    handler: request => {
        if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("the token is not the right one");
        return "muster";
    },
}));
app.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${port}`));
