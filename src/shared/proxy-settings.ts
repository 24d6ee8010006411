/** Urls of proxies by the scheme of what is fetched, empty for none, and the hosts that are reached without, as `NO_PROXY` has them. */
export interface ProxySettings {
  readonly http: string;
  readonly https: string;
  readonly direct: string;
}

/** As undici's agent for proxies takes them. Proxies refuse tunnels to port 80 as a rule. */
export function proxyAgentOptions({ http, https, direct }: ProxySettings) {
  return { httpProxy: http, httpsProxy: https, noProxy: direct, proxyTunnel: false };
}
