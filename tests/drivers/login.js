// One login and one query by tedious, which NODE_PATH leads to.
"use strict";

const { readFileSync } = require("node:fs");
const { get } = require("node:http");
const { parseArgs } = require("node:util");
const { Connection, Request } = require("tedious");

const text = (value) => ({ type: "string", default: value });
const { values: o } = parseArgs({
  options: {
    host: text("127.0.0.1"), port: text("1433"), encrypt: text("on"), auth: text("sql"), user: text("sa"),
    password: text("secret"), query: text("SELECT 1"), timeout: text("10"), errand: text("query"), certificate: text(""),
    check: text("as-ever"),
    instance: text(""), "token-from": text(""),
  },
});
const stays = { query: undefined, leave: 0, stay: 2000 };
if (!(o.errand in stays)) throw new Error(`not asked of tedious: ${o.errand}`);

// Off is not offered: a client that would rather not encrypt says that it cannot.
const encrypt = { none: false, on: true, strict: "strict" }[o.encrypt];
if (encrypt === undefined) throw new Error(`tedious cannot ask for encryption ${o.encrypt}`);

// Asks the service that issues tokens, or stands for it.
async function getToken() {
  if (o["token-from"]) {
    await new Promise((done, failed) => {
      get(o["token-from"], { agent: false }, (answer) => answer.resume().on("end", done)).on("error", failed);
    });
  }
  return { token: o.password, expiresOnTimestamp: Date.now() + 3_600_000 };
}
const credential = { getToken };

const connection = new Connection({
  server: o.host,
  authentication: {
    sql: { type: "default", options: { userName: o.user, password: o.password } },
    token: { type: "azure-active-directory-access-token", options: { token: o.password } },
    "token-on-demand": { type: "token-credential", options: { credential } },
  }[o.auth],
  options: {
    ...(o.instance ? { instanceName: o.instance } : { port: Number(o.port) }), encrypt, trustServerCertificate: !o.certificate, connectTimeout: Number(o.timeout) * 1000,
    // Which version and cipher it is to be the server says.
    cryptoCredentialsDetails: {
      minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0", ca: o.certificate ? readFileSync(o.certificate) : undefined,
    },
  },
});

connection.connect((error) => {
  if (error) throw error;
  if (o.errand !== "query") {
    setTimeout(() => connection.close(), stays[o.errand]);
    return;
  }
  const request = new Request(o.query, (error, rows) => {
    if (error) throw error;
    console.log("rows", rows);
    connection.close();
  });
  connection.execSqlBatch(request);
});
