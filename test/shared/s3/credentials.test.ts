import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type CredentialKind, createCredentialSource } from "../../../src/shared/s3/credentials.js";
import { useTempDir } from "../../support/temp-dir.js";

const off = { AWS_EC2_METADATA_DISABLED: "true" };

describe("shared/s3/credentials", () => {
  const tempDir = useTempDir();
  let server: Server;
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  let url: string;
  beforeEach(async () => {
    server = createServer((request, response) => respond(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const open = (env: Record<string, string>, kind: CredentialKind = "auto", isAws = true) =>
    createCredentialSource({ kind, env, home: tempDir(), isAws });
  const idOf = async (source: ReturnType<typeof open>) => (await source.get())?.accessKeyId ?? null;
  const writeProfiles = async (text: string) => {
    await mkdir(join(tempDir(), ".aws"), { recursive: true });
    await writeFile(join(tempDir(), ".aws/credentials"), text);
  };
  const timed = (id: string, inMs = 3_600_000) =>
    JSON.stringify({
      ...{ Code: "Success", AccessKeyId: id, SecretAccessKey: "hunter2", Token: "t" },
      Expiration: new Date(Date.now() + inMs).toISOString(),
    });

  it("takes the environment's first, with its session token", async () => {
    await writeProfiles("[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
    const env = { ...off, AWS_ACCESS_KEY_ID: "ENV", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" };
    const found = await open(env).get();
    assert.deepEqual([found?.accessKeyId, found?.secretAccessKey, found?.sessionToken], ["ENV", "s", "t"]);
    assert.equal(await idOf(open(env, "file")), "FILE");
    assert.equal(await idOf(open(env, "anonymous")), null);
  });

  it("takes a profile of the credentials file, and reads it anew once they are forgotten", async () => {
    const work = "[work]\n# theirs\naws_access_key_id = WORK\naws_secret_access_key = a=b \naws_session_token=t\n";
    await writeProfiles(`[default]\r\naws_access_key_id = HOME\r\naws_secret_access_key = s\r\n\r\n${work}`);
    const source = open(off);
    assert.equal(await idOf(source), "HOME");
    const found = await open({ ...off, AWS_PROFILE: "work" }).get();
    assert.deepEqual([found?.accessKeyId, found?.secretAccessKey, found?.sessionToken], ["WORK", "a=b", "t"]);
    await writeProfiles("[default]\naws_access_key_id=NEW\naws_secret_access_key=s\n");
    assert.equal(await idOf(source), "HOME");
    source.forget();
    assert.equal(await idOf(source), "NEW");
    for (const text of ["", "[default]\n"]) {
      await writeProfiles(text);
      source.forget();
      await assert.rejects(source.get(), { code: "STORAGE_FAILED", message: /there were credentials, and now/ });
    }
    await writeProfiles("[default]\naws_access_key_id=NEWER\naws_secret_access_key=s\n");
    assert.equal(await idOf(source), "NEWER");
    const other = join(tempDir(), "other");
    await writeFile(other, "[default]\naws_access_key_id=OTHER\naws_secret_access_key=s\n");
    assert.equal(await idOf(open({ ...off, AWS_SHARED_CREDENTIALS_FILE: other })), "OTHER");
  });

  it("is none where nothing has any, and an error where what was named has none", async () => {
    assert.equal(await idOf(open(off)), null);
    await writeProfiles("[sso]\nsso_session = x\n[half]\naws_access_key_id = hunter2\n");
    assert.equal(await idOf(open(off)), null);
    const wrong: readonly (readonly [Record<string, string>, CredentialKind?])[] = [
      [{ AWS_PROFILE: "sso" }],
      [{ AWS_PROFILE: "half" }],
      [{ AWS_PROFILE: "absent" }],
      [{ AWS_SHARED_CREDENTIALS_FILE: join(tempDir(), "absent") }],
      [{ AWS_ACCESS_KEY_ID: "hunter2" }],
      [{ AWS_ACCESS_KEY_ID: "hunter2", AWS_SECRET_ACCESS_KEY: "hunter2\nx" }],
      [{}, "environment"],
      [{}, "file"],
    ];
    for (const [env, kind] of wrong) {
      await assert.rejects(
        open({ ...off, ...env }, kind).get(),
        (error: Error & { code?: string }) => error.code === "OPTION_INVALID" && !error.message.includes("hunter2"),
        JSON.stringify(env),
      );
    }
  });

  it("asks a container's service, with its token", async () => {
    let asked: string | undefined;
    respond = ({ headers, url: path }, response) => {
      asked = `${path} ${headers.authorization}`;
      response.end(timed("CONTAINER"));
    };
    const env = {
      ...off,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/creds`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "tok",
    };
    assert.equal(await idOf(open(env)), "CONTAINER");
    assert.equal(asked, "/creds tok");
    const foreign = { ...off, AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://example.org/" };
    await assert.rejects(open(foreign).get(), { code: "STORAGE_FAILED", message: /names neither https nor/ });
    respond = (_, response) => response.end("hunter2");
    await assert.rejects(open(env).get(), { code: "STORAGE_FAILED", message: /answer is not JSON$/ });
    respond = (_, response) => response.writeHead(302, { location: url }).end();
    await assert.rejects(open(env).get(), { code: "STORAGE_FAILED" });
  });

  it("asks an instance's service by its second version, for AWS alone unless told to", async () => {
    const asked: string[] = [];
    respond = ({ method, headers, url: path }, response) => {
      asked.push(`${method} ${path} ${headers["x-aws-ec2-metadata-token"] ?? "-"}`);
      if (method === "PUT") response.end("session");
      else response.end(path?.endsWith("/") ? "role" : timed("INSTANCE"));
    };
    // Its second is short for a busy machine.
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: url, AWS_METADATA_SERVICE_TIMEOUT: "30" };
    assert.equal(await idOf(open(env, "auto", false)), null);
    assert.deepEqual(asked, []);
    assert.equal(await idOf(open(env)), "INSTANCE");
    assert.equal(await idOf(open(env, "instance", false)), "INSTANCE");
    const roles = "/latest/meta-data/iam/security-credentials/";
    assert.deepEqual(asked.slice(0, 3), [
      "PUT /latest/api/token -",
      `GET ${roles} session`,
      `GET ${roles}role session`,
    ]);
    respond = (_, response) => response.writeHead(404).end();
    assert.equal(await idOf(open(env)), null);
    await assert.rejects(open(env, "instance").get(), { code: "STORAGE_FAILED", message: /status 404/ });
    respond = () => {};
    const brief = { ...env, AWS_METADATA_SERVICE_TIMEOUT: "0.05" };
    assert.equal(await idOf(open(brief)), null);
    await assert.rejects(open(brief, "instance").get(), { code: "STORAGE_FAILED", message: /timeout/ });
  });

  it("gets new ones before they end, and keeps the old while it cannot", async () => {
    let answers = 0;
    respond = (_, response) => {
      answers += 1;
      if (answers === 2) response.writeHead(500).end();
      else response.end(timed(`ID${answers}`, 60_000));
    };
    const source = open({ ...off, AWS_CONTAINER_CREDENTIALS_FULL_URI: url });
    assert.equal(await idOf(source), "ID1");
    assert.deepEqual(await Promise.all([idOf(source), idOf(source)]), ["ID1", "ID1"]);
    assert.equal(answers, 2);
    source.forget();
    assert.deepEqual(await Promise.all([idOf(source), idOf(source)]), ["ID3", "ID3"]);
  });
});
