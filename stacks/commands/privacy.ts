// `npm run privacy`: publishes counts without personal data, removes records for good, and keeps the key and the names of the
// de-identified file.
import { Resource } from "sst/resource";
import { localFolder } from "../local/local-folder.ts";
import { isConfirmed, runCommand } from "./command-line.ts";
import { forgetRecords } from "./privacy/forget-command.ts";
import { storeNamesFile } from "./privacy/names.ts";
import { type Command, line } from "./privacy/privacy-args.ts";
import { writePublicFile } from "./privacy/public.ts";
import { rotate, setSecret } from "./privacy/rotate.ts";
import type { Target } from "./target.ts";

async function run(command: Command, target: Target): Promise<string> {
  switch (command.verb) {
    case "public":
      return writePublicFile(command, target);
    case "rotate": {
      const stage = target.isStage ? Resource.App.stage : undefined;
      return rotate(command, { stage, folder: localFolder, setSecret, isConfirmed });
    }
    case "names":
      return storeNamesFile(command, target);
    case "forget":
      return forgetRecords(command, target);
  }
}

await runCommand(line, run);
