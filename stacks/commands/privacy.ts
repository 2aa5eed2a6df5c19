// `npm run privacy`: publishes counts without personal data.
import { runCommand } from "./command-line.ts";
import { type Command, line } from "./privacy/privacy-args.ts";
import { writePublicFile } from "./privacy/public.ts";
import type { Target } from "./target.ts";

async function run(command: Command, target: Target): Promise<string> {
  switch (command.verb) {
    case "public":
      return writePublicFile(command, target);
  }
}

await runCommand(line, run);
