import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { bodySha256Of, encodePath, type SignableRequest, signRequest } from "../../../src/shared/s3/sign.js";

/** Of AWS's own examples. */
const keys = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const get = { method: "GET", query: {}, headers: {}, bodySha256: bodySha256Of(undefined) };
const signatureOf = (headers: Record<string, string>) => headers.authorization?.split("Signature=")[1];

describe("shared/s3/sign", () => {
  it("signs as the examples of the S3 API reference do", () => {
    const host = "examplebucket.s3.amazonaws.com";
    const text = createHash("sha256").update("Welcome to Amazon S3.").digest("hex");
    const stored = { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" };
    const examples: readonly (readonly [Partial<SignableRequest> & { path: string }, string])[] = [
      [
        { path: "/test.txt", headers: { range: "bytes=0-9" } },
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
      ],
      [
        { method: "PUT", path: encodePath("/test$file.text"), headers: stored, bodySha256: text },
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
      ],
      [{ path: "/", query: { lifecycle: "" } }, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
      [
        { path: "/", query: { prefix: "J", "max-keys": "2" } },
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
      ],
    ];
    for (const [request, signature] of examples) {
      const scope = { region: "us-east-1", at: new Date("2013-05-24T00:00:00Z") };
      const headers = signRequest({ ...get, host, ...request }, { ...keys, sessionToken: null }, scope);
      assert.equal(signatureOf(headers), signature, request.path);
    }
  });

  it("signs odd keys, queries and a session token as botocore does (bench/parity/s3_signatures.py)", () => {
    const odd = { prefix: "a b/é+'*", "list-type": "2", "continuation-token": "1/+==" };
    const examples: readonly (readonly [string, Record<string, string>, string])[] = [
      ["a b/é+%&='()*~!.jpg", {}, "1f012c048d99158d8140b852ae280fbe67ce9e8517634987e386f8df8f8946af"],
      ["//twice//", {}, "a8eac100d916410a6ce9d78ede6990a81258251ba6610fa7e5dca4dd161a4f0f"],
      ["?#[]@$,;:.png", {}, "9f65764ba6a1e9a44916422b7455b61048012c51a5085214e1b63da067af7115"],
      ["日本/🐱.webp", {}, "476e32cdb8af580d1aa386313c6f0643031b6740bc278561c6fe28021812a8d2"],
      ["", {}, "7a22692a4d687c57858292969b4f9cba6162473d1c6921baabaccd97ca25cede"],
      ["", odd, "f37e291488af23e820b2ae94deb85a5417420b36db2fcd794e500dc0a0f3d51a"],
    ];
    for (const [key, query, signature] of examples) {
      const request = { ...get, host: "127.0.0.1:9000", path: `/bucket/${encodePath(key)}`, query };
      const scope = { region: "eu-west-3", at: new Date("2026-01-02T03:04:05.678Z") };
      const headers = signRequest(request, { ...keys, sessionToken: "a/session+token==" }, scope);
      assert.equal(signatureOf(headers), signature, `${key} ${JSON.stringify(query)}`);
      assert.equal(headers["x-amz-security-token"], "a/session+token==");
      assert.ok(!JSON.stringify(headers).includes(keys.secretAccessKey));
    }
  });
});
