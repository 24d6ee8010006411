import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readRunHead } from "../../src/dataset/run-head.js";
import { openStorage } from "../../src/dataset/storage/open-storage.js";
import { parseSinkTarget } from "../../src/delivery/sink-target.js";
import { openSink } from "../../src/delivery/sinks/open-sink.js";
import { useTempDir } from "../support/temp-dir.js";
import { writeParts } from "./pushed.js";

describe("delivery/a sink that takes connections and says nothing", () => {
  const tempDir = useTempDir();
  let server: Server;
  let port: number;
  beforeEach(async () => {
    server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => void server.close());

  for (const [scheme, database] of [
    ["postgres", "db"],
    ["redis", "0"],
  ] as const) {
    it(`is let go of at once where ${scheme} is interrupted`, async function () {
      this.timeout(60_000);
      const out = join(tempDir(), "out");
      await writeParts(out, 1, 4);
      const head = await readRunHead(openStorage(out));
      const controller = new AbortController();
      const target = parseSinkTarget(`${scheme}://127.0.0.1:${port}/${database}`, "/");
      const connected = once(server, "connection");
      const opening = openSink(target, head, controller.signal);
      opening.catch(() => {});
      const [socket] = await connected;
      socket.resume();
      const ended = once(socket, "close");
      controller.abort();
      // By themselves they give up after 10 and 30 s.
      const late = sleep(7_000, "late", { ref: false });
      assert.notEqual(await Promise.race([opening.catch(() => "rejected"), late]), "late");
      await assert.rejects(opening, { code: "SINK_UNREACHABLE" });
      assert.notEqual(await Promise.race([ended, late]), "late");
    });
  }
});
