import { defineConfig } from "vitest/config";
import { useTestLibrary } from "./use-test-library.ts";

export default defineConfig({
  test: {
    root: ".",
    globalSetup: "test/prepare.ts",
    ...useTestLibrary,
    include: ["test/**/*.test.ts"],
    // They have commands of their own: npm run test:emulator and npm run test:terraform.
    exclude: ["test/emulator/**", "test/terraform/**"],
    // Servers of the tests listen on loopback ports of their own, so files may run side by side.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
