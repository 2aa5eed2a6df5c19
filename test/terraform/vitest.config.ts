import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: ".",
    include: ["test/terraform/**/*.test.ts"],
    // Terraform starts the provider, a program of 700 megabytes, several times for each validation.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
