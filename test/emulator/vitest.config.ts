import { defineConfig } from "vitest/config";
import { useTestLibrary } from "../use-test-library.ts";

export default defineConfig({
  test: {
    root: ".",
    globalSetup: "test/prepare.ts",
    ...useTestLibrary,
    include: ["test/emulator/**/*.test.ts"],
    // Each file starts its own emulator, with up to thirty function processes.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
