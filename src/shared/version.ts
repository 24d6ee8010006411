/** The package's version, as `package.json` has it (kept equal by a test). */
export const version = "0.1.0";
