import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { createAddressPolicy } from "../../../src/worker/fetch/address-policy.js";
import { createDial, createGuardedConnect, type Dial } from "../../../src/worker/fetch/guarded-connect.js";
import type { ResolveHost } from "../../../src/worker/fetch/resolve-host.js";

const policy = createAddressPolicy({ allowHost: [], denyHost: [], allowPrivate: ["127.0.0.1"] });

describe("worker/fetch/guarded-connect", () => {
  const connect = (hostname: string, resolve: ResolveHost, dial: Dial, connectTimeoutMs = 1_000): Promise<Socket> => {
    const connector = createGuardedConnect({ policy, resolve, dial, connectTimeoutMs });
    return new Promise((settle, reject) => {
      connector({ hostname, protocol: "http:", port: "80" }, (error, socket) =>
        error === null ? settle(socket) : reject(error),
      );
    });
  };

  it("dials the address that it has checked, for the name that was asked for", async () => {
    const dialled: unknown[] = [];
    const socket = { remoteAddress: "8.8.8.8" } as Socket;
    const dial: Dial = async ({ hostname, servername }) => {
      dialled.push([hostname, servername]);
      return socket;
    };
    assert.equal(await connect("a.test", async () => ["10.0.0.1", "8.8.8.8"], dial), socket);
    await connect("8.8.8.8", async () => assert.fail("an address is not resolved"), dial);
    assert.deepEqual(dialled, [
      ["8.8.8.8", "a.test"],
      ["8.8.8.8", undefined],
    ]);
  });

  it("lets go of a socket that is connected to another address than the policy allows", async () => {
    let isDestroyed = false;
    for (const remoteAddress of ["169.254.169.254", undefined]) {
      isDestroyed = false;
      const destroy = () => {
        isDestroyed = true;
      };
      const dial: Dial = async () => ({ remoteAddress, destroy }) as unknown as Socket;
      await assert.rejects(
        connect("a.test", async () => ["8.8.8.8"], dial),
        /link-local address|no address/,
      );
      assert.ok(isDestroyed);
    }
  });

  it("tries a second address, within the same time", async () => {
    const tried: unknown[] = [];
    const dial: Dial = async ({ hostname }, timeoutMs) => {
      tried.push([hostname, timeoutMs]);
      if (hostname === "8.8.8.8") throw new Error("down");
      return connectTcp({ host: "127.0.0.1", port: 1 }).on("error", () => {});
    };
    await assert.rejects(
      connect("a.test", async () => ["8.8.8.8", "1.1.1.1", "8.8.4.4"], dial),
      /no address/,
    );
    assert.deepEqual(tried, [
      ["8.8.8.8", 500],
      ["1.1.1.1", 500],
    ]);
  });

  it("waits no longer for a name than for a connection", async () => {
    const dial: Dial = async () => assert.fail("dialled");
    await assert.rejects(
      connect("a.test", () => new Promise(() => {}), dial, 20),
      /no name server answered within --connect-timeout-ms/,
    );
    await assert.rejects(
      connect("a.test", async () => [], dial),
      /ENODATA/,
    );
  });

  it("connects for real", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const port = String((server.address() as AddressInfo).port);
    const socket = await createDial()({ hostname: "127.0.0.1", protocol: "http:", port }, 30_000);
    assert.equal(String((await once(socket, "data"))[0]), "hello");
    socket.destroy();
    server.close();
    await once(server, "close");
    await assert.rejects(createDial()({ hostname: "127.0.0.1", protocol: "http:", port }, 30_000), /ECONNREFUSED/);
  });
});
