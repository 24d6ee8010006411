import type { StoreSettings } from "../../../src/shared/s3/client.js";
import { type TestStore, testCredentialEnv } from "./store.js";

/** How this process reaches `store`, with the credentials of its user or those of `env`. */
export function testStoreSettings(
  { url: endpoint }: Pick<TestStore, "url">,
  env: Record<string, string> = testCredentialEnv,
): StoreSettings {
  return {
    access: { endpoint, region: "eu-west-3", credentials: { kind: "environment", env, home: "/nowhere" } },
    proxy: null,
  };
}
