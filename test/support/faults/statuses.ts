/** What a server may say before any body counts: statuses, redirects, `Retry-After`. */
import type { Fault, OriginPlaces, Visit } from "./fault.js";

const status =
  (code: number, headers: Readonly<Record<string, string>> = {}) =>
  ({ response }: Visit) =>
    response.writeHead(code, headers).end("not an image");

/** `headers` are made when asked for, as some hold the time. */
const onceThenImage =
  (code: number, headers: () => Readonly<Record<string, string>> = () => ({})) =>
  ({ response, image, number }: Visit) =>
    number === 1 ? response.writeHead(code, headers()).end() : response.end(image);

const redirect =
  (to: (at: OriginPlaces) => string, code = 302) =>
  ({ response, at }: Visit) =>
    response.writeHead(code, { location: to(at) }).end();

/** `/3` leads to `/2`, and so on to the image at `/0`. */
const redirectTimes =
  (times: number) =>
  ({ request, response, image }: Visit) => {
    const left = request.url === "/" ? times : Number(request.url?.slice(1));
    if (left === 0) response.end(image);
    else response.writeHead(307, { location: `/${left - 1}` }).end();
  };

/** An HTTP date at least `seconds` from now; such dates have whole seconds. */
const dateIn = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString();

export const statusFaults: readonly Fault[] = [
  { name: "status-404", what: "404", code: "FETCH_NOT_FOUND", serve: status(404) },
  { name: "status-410", what: "410", code: "FETCH_NOT_FOUND", serve: status(410) },
  { name: "status-400", what: "400", code: "FETCH_STATUS", serve: status(400) },
  { name: "status-401", what: "401", code: "FETCH_STATUS", serve: status(401) },
  { name: "status-403", what: "403", code: "FETCH_STATUS", serve: status(403) },
  { name: "status-451", what: "451", code: "FETCH_STATUS", serve: status(451) },
  { name: "status-500", what: "500, every time", code: "FETCH_STATUS", serve: status(500) },
  { name: "status-503", what: "503, every time", code: "FETCH_STATUS", serve: status(503) },
  { name: "status-408", what: "408, every time", code: "FETCH_STATUS", serve: status(408) },
  { name: "status-429", what: "429, every time", code: "FETCH_STATUS", serve: status(429) },
  { name: "status-204", what: "204, without a body", code: "FETCH_STATUS", serve: status(204) },
  { name: "status-206", what: "206, though no range was asked for", code: "FETCH_STATUS", serve: status(206) },
  { name: "status-304", what: "304, though nothing was cached", code: "FETCH_STATUS", serve: status(304) },
  { name: "once-503", what: "503 once, then the image", code: "ok", serve: onceThenImage(503) },
  { name: "once-425", what: "425 once, then the image", code: "ok", serve: onceThenImage(425) },
  {
    name: "retry-after-seconds",
    what: "429 with `Retry-After: 1`, then the image",
    code: "ok",
    serve: onceThenImage(429, () => ({ "retry-after": "1" })),
  },
  {
    name: "retry-after-date",
    what: "429 with a date as `Retry-After`, then the image",
    code: "ok",
    serve: onceThenImage(429, () => ({ "retry-after": dateIn(2) })),
  },
  {
    name: "retry-after-hour",
    what: "503 with `Retry-After: 3600`, which is not waited for",
    code: "FETCH_STATUS",
    serve: onceThenImage(503, () => ({ "retry-after": "3600" })),
  },
  {
    name: "retry-after-odd",
    what: "503 with `Retry-After: soon`, then the image",
    code: "ok",
    serve: onceThenImage(503, () => ({ "retry-after": "soon" })),
  },
  { name: "redirect-five", what: "five redirects, then the image", code: "ok", serve: redirectTimes(5) },
  { name: "redirect-six", what: "six redirects, then the image", code: "FETCH_REDIRECT", serve: redirectTimes(6) },
  { name: "redirect-loop", what: "a redirect to itself", code: "FETCH_REDIRECT", serve: redirect(() => "/") },
  { name: "redirect-nowhere", what: "302 without `Location`", code: "FETCH_STATUS", serve: status(302) },
  {
    name: "redirect-broken",
    what: "a redirect to `http://[`",
    code: "FETCH_REDIRECT",
    serve: redirect(() => "http://["),
  },
  {
    name: "redirect-metadata",
    what: "a redirect to 169.254.169.254",
    code: "FETCH_BLOCKED",
    serve: redirect(() => "http://169.254.169.254/latest/meta-data/", 301),
  },
  {
    name: "redirect-loopback",
    what: "a redirect to another loopback address",
    code: "FETCH_BLOCKED",
    serve: redirect(({ canaryPort }) => `http://127.0.0.2:${canaryPort}/`, 307),
  },
  {
    name: "redirect-loopback-6",
    what: "a redirect to `[::1]`",
    code: "FETCH_BLOCKED",
    serve: redirect(({ canaryPort }) => `http://[::1]:${canaryPort}/`, 308),
  },
  {
    name: "redirect-decimal",
    what: "a redirect to a loopback address as one number",
    code: "FETCH_BLOCKED",
    serve: redirect(({ canaryPort }) => `//2130706434:${canaryPort}/`, 303),
  },
  {
    name: "redirect-mapped",
    what: "a redirect to a loopback address inside IPv6",
    code: "FETCH_BLOCKED",
    serve: redirect(({ canaryPort }) => `http://[::ffff:127.0.0.2]:${canaryPort}/`),
  },
  {
    name: "redirect-name",
    what: "a redirect to a name whose address is another loopback address",
    code: "FETCH_BLOCKED",
    serve: redirect(({ canaryPort }) => `http://canary.test:${canaryPort}/`),
  },
  {
    name: "redirect-file",
    what: "a redirect to a `file:` uri",
    code: "FETCH_BLOCKED",
    serve: redirect(() => "file:///etc/passwd"),
  },
  {
    name: "redirect-userinfo",
    what: "a redirect to an address with a user name",
    code: "FETCH_BLOCKED",
    serve: redirect(({ port }) => `http://user@redirect-five.localhost:${port}/0`),
  },
];
