import assert from "node:assert/strict";
import fc from "fast-check";
import { resolveOptions } from "../../../src/shared/options.js";
import { createAddressPolicy } from "../../../src/worker/fetch/address-policy.js";
import { createHttpFetcher } from "../../../src/worker/fetch/http.js";

/** Forms of addresses that lead into the worker's own network, or that other programs read as such. */
const refusedHosts = [
  // Loopback, unspecified and this network.
  ...["127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"],
  // Private (RFC 1918), carrier-grade NAT, unique local, site-local, link-local.
  ...["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.254"],
  ...["100.64.0.1", "100.127.255.255", "[fc00::1]", "[fd12:3456:789a::1]", "[fec0::1]", "[fe80::1]", "169.254.0.1"],
  // Metadata services: AWS, Google, Azure, Oracle, Alibaba, and AWS and Google over IPv6.
  ...["169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "100.100.100.200"],
  ...["[fd00:ec2::254]", "[fd00:ec2::23]", "[fd20:ce::254]"],
  // Multicast, broadcast, reserved, documentation, benchmarking, the 6to4 relay.
  ...["224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9"],
  ...[
    "198.18.0.1",
    "198.19.255.255",
    "192.88.99.1",
    "192.0.0.8",
    "[ff02::1]",
    "[ff0e::1]",
    "[2001:db8::1]",
    "[3fff::1]",
  ],
  ...["[100::1]", "[5f00::1]", "[4000::1]", "[2001:2::1]", "[2001:10::1]"],
  // IPv4 inside IPv6: mapped, compatible, translated, NAT64 (both prefixes), 6to4, Teredo.
  ...["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:8.8.8.8]", "[::127.0.0.1]", "[::8.8.8.8]"],
  ...["[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::808:808]", "[64:ff9b:1::10.0.0.1]"],
  ...["[2002:7f00:1::]", "[2002:a00:1::1]", "[2002:808:808::1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]"],
  // Literal forms: decimal, octal, hexadecimal, short, mixed, with a dot, full-width, percent-encoded; of public ones too.
  ...["2130706433", "017700000001", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.1", "0", "0x0"],
  ...[
    "127.0.0.1.",
    "0x7f.1",
    "0300.0250.0.1",
    "3232235521",
    "１２７.0.0.1",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "2852039166",
  ],
  ...["0xa9fea9fe", "0251.0376.0251.0376", "134744072", "0x08080808", "010.010.010.010", "8.8.2056"],
  // Names that only this machine answers for.
  ...["localhost", "LOCALHOST", "localhost.", "images.localhost"],
];

/** Names, and what a name server that an attacker holds says of them. */
const refusedAnswers: Readonly<Record<string, readonly string[]>> = {
  "private.test": ["10.1.2.3"],
  "metadata.test": ["169.254.169.254"],
  "mapped.test": ["::ffff:127.0.0.1"],
  "several.test": ["127.0.0.1", "192.168.1.1", "fd00::1", "64:ff9b::7f00:1"],
  "octal.test": ["0177.0.0.1"],
  "zone.test": ["fe80::1%lo"],
  "empty.test": [],
};

const options = resolveOptions({});
const never = new AbortController().signal;

/** An http fetcher that dials nothing, and says what it would have dialled. */
function recordingFetcher(
  policy: Partial<typeof options> = {},
  answers: Readonly<Record<string, readonly string[]>> = {},
) {
  const dials: string[] = [];
  const fetcher = createHttpFetcher({
    policy: { ...options, fetchRetries: 0, ...policy },
    maxItemBytes: 1000,
    resolve: async (host) =>
      answers[host.replace(/\.$/, "")] ?? (/localhost\.?$/.test(host) ? ["127.0.0.1", "::1"] : []),
    dial: async ({ hostname }) => {
      dials.push(hostname);
      throw new Error("recorded");
    },
  });
  const codeOf = async (uri: string) => {
    const outcome = await fetcher.fetch(uri, never);
    assert.ok(!outcome.ok);
    return outcome.failure.code;
  };
  return { dials, codeOf };
}

describe("worker/fetch/address-policy", () => {
  it(`refuses all of ${refusedHosts.length} forms of hosts, by http and https, and dials none`, async () => {
    assert.ok(refusedHosts.length >= 60 && new Set(refusedHosts).size === refusedHosts.length);
    const { dials, codeOf } = recordingFetcher();
    for (const host of refusedHosts) {
      for (const uri of [`http://${host}/a.jpg`, `https://${host}:8443/a.jpg`])
        assert.equal(await codeOf(uri), "FETCH_BLOCKED", uri);
    }
    assert.deepEqual(dials, []);
  });

  it("keeps metadata services, link-local and embedded addresses closed whatever --allow-private opens", async () => {
    const { dials, codeOf } = recordingFetcher({ allowPrivate: ["all"] });
    const opened = refusedHosts
      .slice(0, refusedHosts.indexOf("169.254.0.1"))
      .filter((host) => !/^0|^\[(::|fec0::1|fe80::1)\]$/.test(host));
    assert.ok(opened.length >= 15);
    for (const host of opened) assert.equal(await codeOf(`http://${host}/`), "FETCH_FAILED", host);
    assert.equal(dials.length, opened.length);
    const closed = refusedHosts.slice(refusedHosts.indexOf("169.254.0.1"), refusedHosts.indexOf("localhost"));
    for (const host of [...closed, "0.0.0.0", "[::]", "[fe80::1]", "[fec0::1]"])
      assert.equal(await codeOf(`http://${host}/`), "FETCH_BLOCKED", host);
    assert.equal(dials.length, opened.length);
  });

  it("refuses names by what they resolve to, and dials only the addresses that may be", async () => {
    const answers = { ...refusedAnswers, "mixed.test": ["10.0.0.1", "93.184.215.14", "::1", "1.1.1.1", "8.8.8.8"] };
    const { dials, codeOf } = recordingFetcher({}, answers);
    for (const host of Object.keys(refusedAnswers))
      assert.equal(await codeOf(`https://${host}/a`), host === "empty.test" ? "FETCH_DNS" : "FETCH_BLOCKED", host);
    assert.deepEqual(dials, []);
    assert.equal(await codeOf("https://mixed.test/a"), "FETCH_FAILED");
    assert.deepEqual(dials, ["93.184.215.14", "1.1.1.1"], "the first two, as both fail");
  });

  it("refuses other schemes, and user names", async () => {
    const { dials, codeOf } = recordingFetcher();
    for (const uri of ["https://user:pw@example.org/", "http:example.org", "https:///", "http://[v1.x]/"])
      assert.equal(await codeOf(uri), "FETCH_BLOCKED", uri);
    assert.deepEqual(dials, []);
  });

  it("opens no more than the named networks", () => {
    const { refusalOfAddress } = createAddressPolicy({
      allowHost: [],
      denyHost: [],
      allowPrivate: ["10.1.0.0/16", "::1"],
    });
    for (const address of ["10.1.2.3", "::1", "8.8.8.8", "2606:4700::1111"])
      assert.equal(refusalOfAddress(address), null);
    for (const address of ["10.2.0.1", "127.0.0.1", "fd00::1", "192.168.0.1"])
      assert.match(refusalOfAddress(address) ?? "", /a (private|loopback)( \(unique local\))? address$/);
  });

  it("takes only the hosts of --allow-host, and none of --deny-host under any name", () => {
    const allowHost = ["example.org", "*.images.test", "203.0.114.0/24"];
    const denyHost = ["bad.images.test", "93.184.215.0/24", "2606:4700::1111"];
    const { refusalOfHost, refusalOfAddress } = createAddressPolicy({ allowHost, denyHost, allowPrivate: [] });
    for (const host of ["example.org", "EXAMPLE.org.", "a.images.test", "a.b.images.test", "203.0.114.9"])
      assert.equal(refusalOfHost(host), null, host);
    for (const host of [
      "www.example.org",
      "images.test",
      "xexample.org",
      "evilimages.test",
      "203.0.115.9",
      "[2001::1]",
    ])
      assert.match(refusalOfHost(host) ?? "", /--allow-host does not name/, host);
    for (const host of ["bad.images.test.", "bad.images.test.."])
      assert.match(refusalOfHost(host) ?? "", /--deny-host forbids bad\.images\.test/, host);
    for (const address of ["93.184.215.14", "2606:4700:0::1111"])
      assert.match(refusalOfAddress(address) ?? "", /--deny-host forbids/);
  });

  it("answers for any text that is no address, and for every address", () => {
    const { refusalOfAddress } = createAddressPolicy({ allowHost: [], denyHost: [], allowPrivate: [] });
    for (const text of ["", "0177.0.0.1", "fe80::1%eth0", "example.org"])
      assert.match(refusalOfAddress(text) ?? "", /no address/);
    fc.assert(fc.property(fc.ipV6(), (address) => refusalOfAddress(address) !== undefined));
    fc.assert(
      fc.property(
        fc.ipV4(),
        (address) => refusalOfAddress(`::ffff:${address}`) !== null && refusalOfAddress(`64:ff9b::${address}`) !== null,
      ),
    );
  });
});
