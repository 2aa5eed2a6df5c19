// The services by the name of their queue.
import { assemblerService } from "../../services/assembler/service.ts";
import { athenaService } from "../../services/athena/service.ts";
import { deidentifierService } from "../../services/deidentifier/service.ts";
import { ec2Service } from "../../services/ec2/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { rendererService } from "../../services/renderer/service.ts";
import { replayService } from "../../services/replay/service.ts";
import { reporterService } from "../../services/reporter/service.ts";
import { tableauService } from "../../services/tableau/service.ts";
import { transformerService } from "../../services/transformer/service.ts";

export const everyService = {
  kickoff: kickoffService,
  fetcher: fetcherService,
  transformer: transformerService,
  assembler: assemblerService,
  deidentifier: deidentifierService,
  athena: athenaService,
  tableau: tableauService,
  reporter: reporterService,
  renderer: rendererService,
  ec2: ec2Service,
  replay: replayService,
};
