/** What may be wrong with names, addresses, connections, TLS and the head of an answer. */
import type { Fault, Visit } from "./fault.js";

/** Begins an answer, and adds a byte of a header every 100 ms. */
const dripHeaders = ({ socket }: Visit) => {
  socket.write("HTTP/1.1 200 OK\r\nX-Slow: ");
  const timer = setInterval(() => socket.write("x"), 100);
  socket.on("close", () => clearInterval(timer));
};

const resetOnceThenImage = ({ response, socket, image, number }: Visit) =>
  number === 1 ? socket.resetAndDestroy() : response.end(image);

export const connectionFaults: readonly Fault[] = [
  { name: "slow-headers", what: "no answer", code: "FETCH_TIMEOUT", serve: () => {} },
  { name: "drip-headers", what: "a byte of a header every 100 ms", code: "FETCH_TIMEOUT", serve: dripHeaders },
  {
    name: "reset",
    what: "a reset instead of an answer",
    code: "FETCH_FAILED",
    serve: ({ socket }) => socket.resetAndDestroy(),
  },
  { name: "once-reset", what: "a reset once, then the image", code: "ok", serve: resetOnceThenImage },
  { name: "closed", what: "an end instead of an answer", code: "FETCH_FAILED", serve: ({ socket }) => socket.end() },
  {
    name: "not-http",
    what: "an answer that is not HTTP",
    code: "FETCH_FAILED",
    serve: ({ socket }) => socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
  },
  {
    name: "large-headers",
    what: "a megabyte of headers",
    code: "FETCH_FAILED",
    serve: ({ socket }) => socket.write(`HTTP/1.1 200 OK\r\nX-Large: ${"x".repeat(2 ** 20)}`),
  },
  {
    name: "refused",
    what: "nothing listens at the port",
    code: "FETCH_FAILED",
    uri: ({ closedPort }) => `http://refused.localhost:${closedPort}/`,
  },
  {
    name: "tls-good",
    what: "https with a trusted certificate",
    code: "ok",
    uri: ({ tlsPorts }) => `https://localhost:${tlsPorts.good}/`,
  },
  {
    name: "tls-address",
    what: "https to an address, with a certificate for it",
    code: "ok",
    uri: ({ tlsPorts }) => `https://127.0.0.1:${tlsPorts.good}/`,
  },
  {
    name: "tls-expired",
    what: "an expired certificate",
    code: "FETCH_TLS",
    uri: ({ tlsPorts }) => `https://localhost:${tlsPorts.expired}/`,
  },
  {
    name: "tls-self-signed",
    what: "a self-signed certificate",
    code: "FETCH_TLS",
    uri: ({ tlsPorts }) => `https://localhost:${tlsPorts["self-signed"]}/`,
  },
  {
    name: "tls-other-name",
    what: "a certificate for another name",
    code: "FETCH_TLS",
    uri: ({ tlsPorts }) => `https://localhost:${tlsPorts["other-name"]}/`,
  },
  {
    name: "tls-none",
    what: "https to a port that speaks http",
    code: "FETCH_TLS",
    uri: ({ port }) => `https://tls-none.localhost:${port}/`,
  },
  {
    name: "tls-silent",
    what: "a connection, and no TLS",
    code: "FETCH_TIMEOUT",
    uri: ({ silentPort }) => `https://tls-silent.localhost:${silentPort}/`,
  },
  {
    name: "name-unknown",
    what: "a name that does not exist",
    code: "FETCH_DNS",
    uri: ({ port }) => `http://unknown.test:${port}/`,
  },
  {
    name: "name-broken",
    what: "a name server that fails",
    code: "FETCH_DNS",
    uri: ({ port }) => `http://broken.test:${port}/`,
  },
  {
    name: "name-silent",
    what: "a name server that does not answer",
    code: "FETCH_DNS",
    uri: ({ port }) => `http://silent.test:${port}/`,
  },
  {
    name: "rebind",
    what: "a name whose address becomes another loopback address after the first answer: the checked one is used",
    code: "ok",
    uri: ({ port }) => `http://rebind.test:${port}/`,
  },
  {
    name: "rebind-late",
    what: "the same, and a redirect to another port of that name",
    code: "FETCH_BLOCKED",
    uri: ({ port }) => `http://rebind-late.test:${port}/`,
    serve: ({ response, at }) =>
      response.writeHead(302, { location: `http://rebind-late.test:${at.canaryPort}/` }).end(),
  },
  {
    name: "canary-name",
    what: "a name whose address is another loopback address",
    code: "FETCH_BLOCKED",
    uri: ({ canaryPort }) => `http://canary.test:${canaryPort}/`,
  },
  {
    name: "canary-address",
    what: "a loopback address that is not opened",
    code: "FETCH_BLOCKED",
    uri: ({ canaryPort }) => `http://127.0.0.2:${canaryPort}/`,
  },
  {
    name: "canary-address-6",
    what: "`[::1]`",
    code: "FETCH_BLOCKED",
    uri: ({ canaryPort }) => `http://[::1]:${canaryPort}/`,
  },
  {
    name: "metadata",
    what: "169.254.169.254",
    code: "FETCH_BLOCKED",
    uri: () => "http://169.254.169.254/latest/meta-data/",
  },
  {
    name: "octal",
    what: "a loopback address in octal",
    code: "ITEM_INVALID",
    uri: ({ canaryPort }) => `http://0177.0.0.2:${canaryPort}/`,
  },
  {
    name: "userinfo",
    what: "a user name and password in the uri",
    code: "ITEM_INVALID",
    uri: ({ port }) => `http://user:hunter2@image.localhost:${port}/`,
  },
  {
    name: "presigned",
    what: "a signed query in the uri",
    code: "ITEM_INVALID",
    uri: ({ port }) => `http://image.localhost:${port}/?X-Amz-Signature=hunter2`,
  },
  {
    name: "ftp",
    what: "a scheme that is not known",
    code: "FETCH_UNSUPPORTED",
    uri: ({ port }) => `ftp://image.localhost:${port}/`,
  },
];
