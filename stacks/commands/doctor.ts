// `npm run doctor`: checks the set-up with read-only calls, before and after a deploy. Exits with 1 if there is a problem.
// shared/library.ts is checked when it is loaded, and the modules of the other checks load it.
const invalid: unknown = await import("../../shared/datasets.ts").then(
  () => undefined,
  (error: unknown) => error,
);
if (invalid instanceof Error) {
  const text = `problem  shared/library.ts\n  ${invalid.message}\n  Fix: Correct the entry. The other checks need it.\n`;
  process.stdout.write(text);
  process.exitCode = 1;
} else {
  const { runDoctor } = await import("./doctor/run-doctor.ts");
  await runDoctor();
}
