// Prints an error that stops a program before its own error handling, such as an invalid dataset entry, without Node's
// excerpt of the source: the sentence of a PipelineError, or the stack. launch.mjs loads it before the program.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${error?.sentence ?? error?.stack ?? error}\n`);
  process.exit(1);
});
