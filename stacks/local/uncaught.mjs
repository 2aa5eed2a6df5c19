// Prints an error that stops a program before its own error handling, such as an invalid dataset entry, without Node's
// excerpt of the source: the sentence of a PipelineError, or the stack. launch.mjs loads it before the program.
process.on("uncaughtException", (error) => {
  const text = String(error?.sentence ?? error?.stack ?? error);
  const { columns } = process.stderr;
  // A terminal would break long lines inside words. A pipe has no columns.
  const lines = columns ? text.split("\n").map((line) => broken(line, columns)) : [text];
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exit(1);
});

function broken(line, columns) {
  return line.replace(new RegExp(`(.{1,${columns}})(?: |$)`, "g"), "$1\n").trimEnd();
}
